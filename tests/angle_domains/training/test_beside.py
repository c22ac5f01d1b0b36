"""Models beside an agent: they change nothing of it, go on to the bit with it, and refuse pictures."""

import json
from itertools import count, pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from angle_domains import checkpoint
from angle_domains.config import AgentConfig, load_config
from angle_domains.errors import ConfigError
from angle_domains.runs import RunFolder
from angle_domains.tracking import MemoryTracker
from angle_domains.training import AgentTrainer, beside
from angle_domains.training.signals import StopSignal
from metalearn import trainer as meta_trainer
from metalearn.states import parts_of
from metalearn.trainer import MetaLearnerTrainer
from tests.angle_domains.training.test_trainer import StopsAfter, logged
from tests.angle_domains.training.worlds import Lines

SMALL = {
    "meta.warm_up": 64, "meta.every": 64, "meta.adaptations": 2, "meta.budget": 1.0, "meta.forecast.kind": "linear",
    "meta.forecast.updates": 2, "meta.risk.updates": 2, "meta.support": 4, "meta.query": 4, "meta.forecast.length": 3,
}  # fmt: skip
TOLD = ("forecast/pinball", "meta/tasks", "risk/events")


def settings(agent: str, **more: Any) -> AgentConfig:
    small = {"training.steps": 512, "training.streams": 2, "training.evaluate_every": 512, "device": "cpu"}
    learning = {"agent.horizon": 16} if agent == "ppo" else {"agent.replay.warm_up": 32, "training.steps": 768}
    learning |= {} if agent == "ppo" else {"agent.replay.learn_every": 16}
    return load_config(feed="classic", agent=agent, env="CartPole-v1", options={**small, **SMALL, **learning, **more})


def trained(config: AgentConfig, folder: Path, stop: Any = None) -> AgentTrainer:
    one = AgentTrainer(config, RunFolder(folder), Lines())
    one.train(MemoryTracker(), stop or StopSignal())
    return one


def content(folder: Path, *parts: str) -> tuple[str, dict[str, bytes]]:
    state, _, _ = RunFolder(folder).load_last()
    tensors: dict[str, torch.Tensor] = {}
    state = {part: state[part] for part in parts}
    if "beside" in state:
        state["beside"]["trainer"]["clock"][2] = 0.0  # seconds
    tree = checkpoint._encode(state, "", tensors)
    return json.dumps(tree), {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}


@pytest.mark.parametrize("agent", ["ppo", "dqn"])
def test_the_agent_is_the_same_to_the_bit_with_models_beside_it(tmp_path: Path, agent: str) -> None:
    one = trained(settings(agent), tmp_path / "alone")
    other = trained(settings(agent, **{"meta.on": True}), tmp_path / "beside")
    assert content(tmp_path / "alone", "agent", "loop") == content(tmp_path / "beside", "agent", "loop")
    assert one.beside is None
    assert other.beside is not None
    assert not set(TOLD) & set(one.tracker.history)  # type: ignore[attr-defined]
    for name in TOLD:
        steps = [step for step, _ in other.tracker.history[name]]  # type: ignore[attr-defined]
        assert len(steps) >= 2
        assert min(b - a for a, b in pairwise(steps)) >= 64


@pytest.mark.parametrize("agent", ["ppo", "dqn"])
def test_models_beside_an_agent_go_on_with_it_to_the_bit(tmp_path: Path, agent: str) -> None:
    config = settings(agent, **{"meta.on": True})
    whole = trained(config, tmp_path / "whole")
    first = trained(config, tmp_path / "parts", StopsAfter(2 if agent == "dqn" else 10))
    assert 64 < first.step < config.training.steps
    second = AgentTrainer(config, RunFolder(tmp_path / "parts"), Lines())
    second.resume(RunFolder(tmp_path / "parts").load_last()[0])
    second.train(MemoryTracker(), StopSignal())
    assert content(tmp_path / "whole", "agent", "beside") == content(tmp_path / "parts", "agent", "beside")
    assert told(whole) == told(first) | told(second)


def told(one: AgentTrainer) -> dict[Any, float]:
    return {
        at: value for at, value in logged(one.tracker).items() if at[0].startswith(("forecast/", "risk/", "meta/t"))
    }


def test_records_are_learned_from_as_they_lie(tmp_path: Path) -> None:
    small = {"training.steps": 512, "training.evaluate_every": 512, "device": "cpu", "feed.patients": 300}
    small |= {"training.judging.checkpoint": "last", "meta.on": True}
    one = trained(load_config(feed="clinical", agent="cql", options={**small, **SMALL}), tmp_path)
    assert one.beside is not None
    assert one.beside.diary is None
    assert {name for name in TOLD if name in one.tracker.history} == set(TOLD)  # type: ignore[attr-defined]
    assert one.tracker.history["risk/events"][-1][1] > 0  # type: ignore[attr-defined]


def test_streams_of_a_market_are_held_apart_by_day(tmp_path: Path) -> None:
    small = {"training.steps": 4_096, "training.streams": 4, "training.evaluate_every": 4_096, "device": "cpu"}
    small |= {"feed.path": "synthetic-brownian", "feed.episode_bars": 100, "agent.horizon": 64, "meta.on": True}
    one = trained(load_config(feed="market", agent="ppo", options={**SMALL, **small}), tmp_path)
    assert one.beside is not None
    assert one.beside.diary is not None
    states = one.beside.diary.states()
    assert states.moment is not None
    walked = states.moment.diff()[~states.first[1:]]
    assert (walked == 1).all()
    assert len(states.moment.unique()) < states.rows  # streams met on some days
    parts = parts_of(states, 1)
    days = [set(states.moment[part].tolist()) for part in parts]
    assert all(days)
    assert not days[0] & days[1] | days[0] & days[2] | days[1] & days[2]


def test_too_few_tasks_are_told_once(tmp_path: Path) -> None:
    config = settings("ppo", **{"meta.on": True, "meta.support": 200})  # longer than any episode
    lines = Lines()
    AgentTrainer(config, RunFolder(tmp_path), lines).train(MemoryTracker(), StopSignal())
    assert len([line for line in lines.told if "ridge regression drawn to the last value stands in" in line]) == 1


def test_pictures_are_refused(tmp_path: Path) -> None:
    config = load_config(feed="minatar", agent="dqn", options={"meta.on": True, "device": "cpu"})
    with pytest.raises(ConfigError, match="leave --meta out for pictures"):
        AgentTrainer(config, RunFolder(tmp_path), Lines())


def test_watching_and_updating_are_paid_for_and_their_share_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By clocks that move a microsecond each time they are read: one for each watch, one for each update."""
    for module in (beside, meta_trainer):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=count(0.0, 1e-6).__next__))
    watched, watch = [], MetaLearnerTrainer.watch

    def counted(*given: Any) -> bool:
        watched.append(given)
        return watch(*given)

    monkeypatch.setattr(MetaLearnerTrainer, "watch", counted)
    one = trained(settings("ppo", **{"meta.on": True}), tmp_path / "one")
    shares = one.tracker.history["meta/share"]  # type: ignore[attr-defined]
    assert one.beside is not None
    assert one.beside.trainer.seconds == pytest.approx((len(watched) + len(shares)) * 1e-6)
    assert all(share > 0.0 for _, share in shares)
