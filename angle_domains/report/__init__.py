"""Pages that close a run: one self-contained HTML file, no script or font from elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class RunSummary:
    """What a page says of the run itself; whoever trained or evaluated fills it."""

    name: str
    feed: str
    agent: str
    seeds: tuple[int, ...] = ()
    steps: int = 0
    seconds: float = 0.0  # of training
    steps_per_second: float = 0.0
    config: Mapping[str, Any] = field(default_factory=dict)  # nested as in YAML
    provenance: Mapping[str, str] = field(default_factory=dict)  # git commit, versions, host, …
    curve: tuple[tuple[int, float], ...] = ()  # (environment step, score on validation)
    links: Mapping[str, str] = field(default_factory=dict)  # label -> address
    test_openings: int = 0  # how often the test part was opened for this run
    beside: tuple[str, ...] = ()  # sections, ready for HTML, of the models that learned beside the agent


__all__ = ["RunSummary"]
