"""The loop that learns from a log: what it counts, what it reports, and how it goes on after a cut."""

import copy
from typing import Any

import pytest
import torch

from angle_domains import loops
from angle_domains.loops import OfflineState, offline
from angle_domains.replay import RecordedConfig, ReplayBuffer, recorded
from angle_domains.types import LearnResult, Window
from tests.contracts.trees import assert_same
from tests.logs import rows_of


class Learner:
    """Remembers which actions it was shown, and prefers late ones."""

    length = 1
    replay = RecordedConfig(batch=3, prioritised=True)

    def __init__(self) -> None:
        self.seen: list[int] = []

    def act(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("nobody asks it for actions")

    def learn(self, window: Window) -> LearnResult:
        self.seen += window.action[0].tolist()
        return LearnResult({"loss/none": float(len(self.seen))}, window.action[0].float())

    def state_dict(self) -> dict[str, Any]:
        return {"seen": list(self.seen)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seen = list(state["seen"])


class Student(Learner):
    def __init__(self) -> None:
        super().__init__()
        self.studied: list[Window] = []

    def study(self, window: Window) -> None:
        self.studied.append(window)


def log() -> Any:
    return rows_of([{"obs": [0, 1, 2, 3], "action": [1, 2, 3], "reward": [1, 2, 3], "ended": True}] * 4)


def parts(kind: type[Learner] = Learner, seed: int = 0) -> tuple[Learner, ReplayBuffer, OfflineState]:
    agent = kind()
    return agent, recorded(log(), agent, seed=seed, device="cpu"), OfflineState()


def test_a_step_is_an_update_and_reports_hold_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "_REPORT_STEPS", 4)
    agent, replay, state = parts()
    reports = list(offline(agent, replay, state, steps=10))
    assert [report.step for report in reports] == [4, 8, 10]
    assert all(report.learned for report in reports)
    assert [report.metrics["loss/none"] for report in reports] == [7.5, 19.5, 28.5]
    assert len(agent.seen) == 30
    assert state.step == 10


def test_priorities_reach_the_sampler() -> None:
    agent, replay, state = parts()
    list(offline(agent, replay, state, steps=400))
    late = torch.bincount(torch.tensor(agent.seen[600:]), minlength=4)
    assert late[3] > late[2] > late[1] > 0


def test_the_log_is_studied_whenever_the_loop_begins() -> None:
    agent, replay, state = parts(Student)
    assert isinstance(agent, Student)
    list(offline(agent, replay, state, steps=2))
    list(offline(agent, replay, state, steps=4))
    window, again = agent.studied
    assert torch.equal(window.obs, again.obs)
    assert window.obs.shape == (16, 1, 1)
    assert window.action[:, 0].tolist() == [1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]


def test_a_loop_that_was_cut_goes_on_to_the_bit() -> None:
    agent, replay, state = parts()
    list(offline(agent, replay, state, steps=7))
    saved = copy.deepcopy((agent.state_dict(), replay.state_dict(), state.state_dict()))
    straight = list(offline(agent, replay, state, steps=20))
    again, other, _ = parts(seed=9)
    again.load_state_dict(saved[0])
    other.load_state_dict(saved[1])
    resumed_state = OfflineState.from_state_dict(saved[2])
    assert list(offline(again, other, resumed_state, steps=20)) == straight
    assert_same(agent.state_dict(), again.state_dict())
    assert_same(replay.state_dict(), other.state_dict())
    assert_same(state.state_dict(), resumed_state.state_dict())
