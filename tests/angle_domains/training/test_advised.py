"""Advice to an agent: rows bear it, runs go on with it to the bit, shaped rewards telescope, the shield holds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from angle_domains.advised import Advised, make_agent
from angle_domains.config import load_config
from angle_domains.errors import ConfigError
from angle_domains.policy import load_policy
from angle_domains.runs import RunFolder
from angle_domains.tracking import MemoryTracker
from angle_domains.training import AgentTrainer
from angle_domains.training.signals import StopSignal
from angle_domains.types import Percept, Window
from feeds.base import FeedSpec
from tests.angle_domains.training.test_beside import SMALL, content, settings, trained
from tests.angle_domains.training.test_trainer import StopsAfter
from tests.angle_domains.training.worlds import Lines

ALL = {
    "meta.on": True, "meta.serve.forecast": True, "meta.serve.risk": True, "meta.serve.shaping": 0.5,
    "meta.serve.shield": True, "meta.risk.event": "end", "meta.risk.horizon": 5, "meta.risk.most_missed": 0.3,
}  # fmt: skip


@pytest.mark.parametrize("agent", ["ppo", "dqn"])
def test_advised_agents_go_on_to_the_bit(tmp_path: Path, agent: str) -> None:
    steps = 2_560 if agent == "dqn" else 1_536
    config = settings(
        agent, **ALL, **{"training.steps": steps, "meta.every": 512, "meta.drift": "none", "meta.budget": 0.2}
    )
    whole = trained(config, tmp_path / "whole")
    first = trained(config, tmp_path / "parts", StopsAfter(8 if agent == "dqn" else 45))
    assert 512 < first.step < config.training.steps
    second = AgentTrainer(config, RunFolder(tmp_path / "parts"), Lines())
    second.resume(RunFolder(tmp_path / "parts").load_last()[0])
    second.train(MemoryTracker(), StopSignal())
    assert content(tmp_path / "whole", "agent", "beside") == content(tmp_path / "parts", "agent", "beside")
    assert isinstance(whole.agent, Advised)
    assert whole.agent.adviser.trainer.forecast.ready
    if agent == "dqn":  # whose episodes end often enough for a shield
        assert "shield/would_forbid" in whole.tracker.history  # type: ignore[attr-defined]


@pytest.mark.parametrize("control", ["none", pytest.param("shuffled", marks=pytest.mark.gate)])
def test_records_bear_advice_that_is_renewed(tmp_path: Path, control: str) -> None:
    small = {"training.steps": 768, "training.evaluate_every": 768, "device": "cpu", "feed.patients": 300}
    small |= {"training.judging.checkpoint": "last", "training.checkpoint_every": 256}
    told = {**SMALL, **ALL, "meta.risk.event": "told", "meta.risk.horizon": 20, "meta.serve.control": control}
    told |= {"meta.budget": 0.2, "meta.serve.folds": 2}
    config = load_config(feed="clinical", agent="cql", options={**small, **told}, overrides=["agent.bounds=null"])
    whole = trained(config, tmp_path / "whole")
    replay, agent = whole.experience.replay, whole.agent
    assert isinstance(agent, Advised)
    assert whole.beside is not None
    assert whole.beside.records is not None
    kept = replay.read_rows(0, replay.size)["extras/advice/features"].squeeze(1)
    held_out = whole.beside.held_out
    assert held_out is not None
    now = held_out.advise(whole.beside.records).features
    assert torch.equal(kept, now)
    assert bool((kept != 0).any())
    first = trained(config, tmp_path / "parts", StopsAfter(2))
    assert first.step < config.training.steps
    second = AgentTrainer(config, RunFolder(tmp_path / "parts"), Lines())
    second.resume(RunFolder(tmp_path / "parts").load_last()[0])
    second.train(MemoryTracker(), StopSignal())
    assert content(tmp_path / "whole", "agent", "beside") == content(tmp_path / "parts", "agent", "beside")


def test_a_policy_is_served_with_its_models(tmp_path: Path) -> None:
    one = trained(settings("ppo", **ALL), tmp_path / "run")
    policy = load_policy(str(tmp_path / "run" / "last"))
    obs = torch.randn(7, 4, generator=torch.Generator().manual_seed(0))
    memory = others = None
    for tick in range(5):
        percept = percept_of(obs + tick, first=tick == 0)
        mine, theirs = (
            agent.act(percept, past, explore=False) for agent, past in ((one.agent, memory), (policy.agent, others))
        )
        memory, others = mine.memory, theirs.memory
        assert torch.equal(mine.extras["log_probs"], theirs.extras["log_probs"])
    assert policy.predict(obs.numpy().astype(np.float32)).shape == (7,)


def percept_of(obs: torch.Tensor, *, first: bool = False) -> Percept:
    streams = len(obs)
    no, zero = torch.zeros(streams, dtype=torch.bool), torch.zeros(streams)
    return Percept(obs, torch.zeros(streams, dtype=torch.int64), zero, zero + 1.0, no | first, no)


class Constant:
    """An agent that keeps the windows it is given."""

    def __init__(self) -> None:
        self.seen: list[Window] = []

    def learn(self, window: Window) -> Any:
        self.seen.append(window)


def advised(spec: FeedSpec, **more: Any) -> Advised:
    agent = make_agent(settings("dqn", **{**ALL, **more}), spec, "cpu")
    assert isinstance(agent, Advised)
    return agent


def cartpole() -> FeedSpec:
    from angle_domains.tables import make_feed

    config = settings("dqn")
    spec: FeedSpec = make_feed("classic", config.feed).spec
    return spec


@pytest.mark.parametrize("hours", [None, 4.0])
def test_what_shaping_adds_telescopes(hours: float | None) -> None:
    """The first action takes these hours, and what shaping adds counts at the action itself."""
    agent = advised(cartpole())
    inner = agent.agent = Constant()  # type: ignore[assignment]
    chance = torch.tensor([[0.2], [0.4], [0.6], [0.1]])  # the third row is the last of its episode
    percept = Percept(
        obs=torch.zeros(4, 1, 4),
        action=torch.zeros(4, 1, dtype=torch.int64),
        reward=torch.tensor([[0.0], [1.0], [2.0], [0.0]]),
        discount=torch.tensor([[1.0], [1.0], [0.0], [1.0]]),
        first=torch.tensor([[True], [False], [False], [True]]),
        last=torch.tensor([[False], [False], [True], [False]]),
        elapsed=None if hours is None else torch.tensor([[0.0], [hours], [1.0], [0.0]]),
    )
    width = agent.adviser.layout.size
    extras = {"advice/chance": chance, "advice/features": torch.zeros(4, 1, width)}
    extras["advice/safe"] = torch.ones(4, 1, 2, dtype=torch.bool)
    agent.learn(Window(percept, torch.zeros(3, 1, dtype=torch.int64), extras, torch.ones(1)))
    window, gamma, kappa = inner.seen[0], agent.gamma, 0.5
    later, paid = (gamma, 1.0) if hours is None else (gamma**hours, gamma ** (hours - 1.0))
    got = (window.reward * window.paid(gamma)).squeeze(1)
    wanted = torch.tensor([paid * 1.0 + kappa * (0.2 - later * 0.4), 2.0 + kappa * 0.4, 0.0])
    torch.testing.assert_close(got, wanted)
    added = got[:2] - torch.tensor([paid * 1.0, 2.0])
    torch.testing.assert_close(added[0] + later * added[1], torch.tensor(kappa * 0.2))  # minus the first potential
    assert torch.equal(percept.reward.squeeze(1), torch.tensor([0.0, 1.0, 2.0, 0.0])), "the replay's rewards stay"


def test_the_shield_leaves_only_safe_actions() -> None:
    agent = advised(cartpole())
    obs = torch.randn(64, 4, generator=torch.Generator().manual_seed(1))
    free = agent.act(percept_of(obs, first=True), None, explore=True).extras["advice/safe"]
    assert bool(free.all()), "nothing is forbidden before anything is known"
    shield = agent.adviser.trainer.shield
    assert shield is not None
    shield.safe = lambda past: torch.tensor([[False, True]]).expand(len(past.elapsed), 2)  # type: ignore[method-assign]
    for explore in (True, False):
        decision = agent.act(percept_of(obs, first=True), None, explore=explore)
        assert bool((decision.action == 1).all())
    assert float(decision.extras["q"][:, 0].max()) < -1e4, "who reads a policy from it does not choose them"


def test_what_cannot_be_served_is_told() -> None:
    spec = cartpole()
    with pytest.raises(ConfigError, match="add --meta"):
        make_agent(settings("dqn", **{"meta.serve.risk": True}), spec, "cpu")
    config = load_config(
        feed="classic", agent="sac", env="Pendulum-v1", options={"meta.on": True, "meta.serve.shield": True}
    )
    from angle_domains.tables import make_feed

    with pytest.raises(ConfigError, match="shield=true needs discrete actions"):
        make_agent(config, make_feed("classic", config.feed).spec, "cpu")


@pytest.mark.parametrize("agent", ["bc", "rcql", "iql", "cql", "bcq", "vi"])
def test_every_agent_of_records_is_advised_or_refused(tmp_path: Path, agent: str) -> None:
    small = {"training.steps": 512, "training.evaluate_every": 512, "device": "cpu", "feed.patients": 200}
    small |= {"training.judging.checkpoint": "last"}
    told = {**SMALL, "meta.on": True, "meta.serve.risk": True, "meta.risk.event": "told", "meta.warm_up": 128}
    config = load_config(feed="clinical", agent=agent, options={**small, **told})
    if agent in ("bcq", "vi"):
        with pytest.raises(ConfigError, match="counts observations that come back"):
            AgentTrainer(config, RunFolder(tmp_path), Lines())
        return
    one = trained(config, tmp_path)
    assert isinstance(one.agent, Advised)
    assert hasattr(one.agent, "worth") == (agent in ("iql", "cql"))


@pytest.mark.parametrize("agent", ["nec", "ngu", "agent57", "r2d2"])
def test_who_decides_by_rewards_refuses_shaping(agent: str) -> None:
    """Those that it sees as it acts would not be those that it learns from."""
    from angle_domains.tables import make_feed

    options = {"meta.on": True, "meta.serve.shaping": 1.0}
    config = load_config(feed="classic", env="CartPole-v1", agent=agent, options=options)
    with pytest.raises(ConfigError, match=f"'{agent}' decides by the rewards that it sees"):
        make_agent(config, make_feed("classic", config.feed).spec, "cpu")


def test_bounds_refuse_shaping() -> None:
    config = load_config(feed="clinical", agent="cql", options={"meta.on": True, "meta.serve.shaping": 1.0})
    from angle_domains.tables import make_feed

    with pytest.raises(ConfigError, match="set agent.bounds=null"):
        make_agent(config, make_feed("clinical", config.feed).spec, "cpu")
