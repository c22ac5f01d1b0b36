"""Games whose observations are images: a run that is interrupted goes on in new games, with all it has lived."""

import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from angle_domains.config import AgentConfig, load_config
from angle_domains.loops import spread
from angle_domains.replay import ReplayBuffer
from angle_domains.runs import RunFolder
from angle_domains.tables import make_feed
from angle_domains.training import train
from tests.angle_domains.training.worlds import Lines, points, the_run

SMALL = (
    "agent.network.hidden=[8]",
    "agent.replay.warm_up=64",
    "agent.replay.learn_every=32",
    "agent.replay.batch=4",
    "agent.replay.capacity=2_000",
    "training.streams=2",
    "training.steps=768",
    "training.evaluate_every=768",
    "training.checkpoint_every=768",
    "training.validation_episodes=1",
    "training.test_episodes=1",
    "training.films=0",
    "training.threads=1",
    "device=cpu",
    "tracking.uri=null",
    "name=one",
)
WORLDS = {
    "atari": ("Breakout", ("feed.max_frames=160", "feed.size=36")),
    "minatar": ("MinAtar/Breakout-v1", ("feed.max_steps=60",)),
    "retro": ("Airstriker-Genesis-v0", ("feed.max_frames=160", "feed.size=36")),
}
EXTRAS = {"minatar": "minatar", "retro": "stable_retro"}
STOPPED = 256  # the step at which a signal comes
TICKS = STOPPED // 2  # lived by each stream until then


class Crash(BaseException):
    """Whatever ends the process."""


class Interrupted(Lines):
    """A console under which, as the loop reports that step, something happens."""

    def __init__(self, step: int, happens: Any) -> None:
        super().__init__()
        self.step, self.happens = step, happens

    def update(self, step: int, metrics: dict[str, float]) -> None:
        if step == self.step:
            self.happens()


def crash() -> None:
    raise Crash


def rows(state: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The columns of the replay of a checkpoint, oldest tick first."""
    parts = state["replay"]["rows"]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def lived(config: AgentConfig, state: dict[str, Any]) -> Any:
    """All rows of the replay of a checkpoint, read back as an agent reads them."""
    stack = make_feed(config.feed_name, config.feed).spec.stack
    replay = ReplayBuffer(2_000, 2, torch.Generator(), stack=stack)
    replay.load_state_dict(state["replay"])
    replay.check_valid()
    return replay.newest(replay.size - 1).percept


@pytest.mark.parametrize("feed", sorted(WORLDS))
def test_a_run_on_images_goes_on_in_new_games_with_all_it_has_lived(feed: str, tmp_path: Path) -> None:
    if feed in EXTRAS:
        pytest.importorskip(EXTRAS[feed])
    env, own = WORLDS[feed]
    config = load_config(env=env, agent="dqn", overrides=(*SMALL, *own))
    assert config.agent.network.kind == ("minatar" if feed == "minatar" else "nature")
    [result] = train(config, console=Interrupted(STOPPED, lambda: signal.raise_signal(signal.SIGTERM)), root=tmp_path)
    assert result.status == "KILLED"
    run = RunFolder(tmp_path / "one")
    before, meta, _ = run.load_last()
    assert (meta["step"], before["replay"]["size"]) == (STOPPED, TICKS)

    # It ends once more past a step that it logged and did not save, so that step is lived and logged twice.
    with pytest.raises(Crash):
        train(config, console=Interrupted(768, crash), root=tmp_path, resume="one")
    assert run.last_step() == STOPPED
    console = Lines()
    [result] = train(config, console=console, root=tmp_path, resume="one")
    assert result.status == "FINISHED"
    assert "one: goes on at step 256 of 768" in console.told
    after, meta, _ = run.load_last()
    assert (meta["step"], after["replay"]["added"], after["replay"]["size"]) == (768, 384, 384)
    assert after["agent"]["core"]["updates"] == after["loop"]["updates"] == (768 - 64) // 32 + 1

    found = points(tmp_path)
    assert all(one < other for series in found.values() for (one, _), (other, _) in pairwise(series))
    assert [step for step, _ in found["loss/q"]] == [256, 512, 768]
    assert [step for step, _ in found["validation/score"]] == [768]
    assert (the_run(tmp_path).info.run_id, the_run(tmp_path).info.status) == (run.note()["run_id"], "FINISHED")

    kept = {name: column[:TICKS] for name, column in rows(after).items()}
    kept["percept/last"][-1] = rows(before)["percept/last"][-1]  # there the games were cut, see below
    assert all(torch.equal(kept[name], column) for name, column in rows(before).items())

    seen = lived(config, after)
    assert seen.last[TICKS - 1].all()
    assert seen.first[TICKS].all()
    assert not seen.first[TICKS + 1 : TICKS + 4].any()
    envs = make_feed(feed, config.feed).envs(2, split="train")
    new, _ = envs.reset(seed=spread(spread(config.seed) ^ STOPPED))
    envs.close()
    assert np.array_equal(seen.obs[TICKS].numpy(), new)  # of stacks three blank frames, and the first of a new game
    if feed != "minatar":
        for age in range(1, 4):
            old = seen.obs[TICKS + age]
            assert not old[:, : 3 - age].any()
            assert torch.equal(old[:, 3 - age : -1], seen.obs[TICKS + age - 1][:, 4 - age :])
