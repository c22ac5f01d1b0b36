"""Films of the best policy so far, while it learns: a few, spread over the run."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from angle_domains.config import AgentConfig
from angle_domains.showing import Showing
from angle_domains.tables import feed_entry, resolve
from angle_domains.watch.film import Picture, default_suffix

_LONGEST = 2_000  # steps of an episode that a film of training shows
_ENDING = 8  # pictures of its end that a strip shows


@dataclass(frozen=True)
class Filmed:
    """A film that was made."""

    path: Path
    ending: Sequence[Picture]  # its last pictures, without what the agent thought


def film_is_due(config: AgentConfig, filmed: list[int], step: int) -> bool:
    """True where the feed has pictures and a share of the budget has passed since the last film."""
    most = config.training.films
    if not feed_entry(config.feed_name).films or len(filmed) >= most:
        return False
    return not filmed or step - filmed[-1] >= config.training.steps / most


def film_path(run: Path, step: int) -> Path:
    return run / "films" / f"step-{step:012d}{default_suffix()}"


def make_film(config: AgentConfig, feed: Any, agent: Any, path: Path) -> Filmed:
    """One episode of the part that checkpoints are chosen on; AngleError where there is nothing to draw it with."""
    ending: deque[Picture] = deque(maxlen=_ENDING)
    showing = Showing(
        split="validation",
        seed=config.seed,
        epsilon=config.training.evaluation_epsilon,
        video=path,
        longest=_LONGEST,
        values=True,
        ending=ending,
    )
    for _ in resolve(feed_entry(config.feed_name).play)(feed, agent, showing):
        pass
    return Filmed(path, ending)
