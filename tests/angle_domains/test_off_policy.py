"""The loop that learns off policy on a scripted world: when it learns, from what, and how it goes on after a cut."""

import copy
from typing import Any

import pytest
import torch

from angle_domains import loops
from angle_domains.errors import ConfigError
from angle_domains.loops import LoopState, begin, off_policy, rejoin
from angle_domains.replay import ReplayBuffer, ReplayConfig, experience
from angle_domains.types import Decision, LearnResult, Percept, Window
from tests.angle_domains.test_loops import world
from tests.contracts.trees import assert_same


class Learner:
    """Counts; keeps the windows it was given."""

    length = 2

    def __init__(self, **changes: Any) -> None:
        self.replay = ReplayConfig(**{"capacity": 64, "warm_up": 8, "learn_every": 2, "batch": 5} | changes)
        self.windows: list[Window] = []
        self.at: list[int] = []
        self.decided = 0

    def act(self, percept: Percept, memory: Any, *, explore: bool) -> Decision:
        self.decided += 1
        return Decision(torch.full((len(percept.last),), self.decided % 100))

    def learn(self, window: Window) -> LearnResult:
        self.windows.append(window)
        self.at.append(self.decided)
        return LearnResult({"loss/none": torch.tensor(float(len(self.windows))), "fixed": 2.0})

    def state_dict(self) -> dict[str, Any]:
        return {"decided": self.decided}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.decided = state["decided"]


def parts(*ends: tuple[int, bool], **changes: Any) -> tuple[Learner, Any, ReplayBuffer, LoopState]:
    envs, agent = world(*ends), Learner(**changes)
    replay = experience(agent, streams=envs.num_envs, steps=1_000, stack=0, seed=0, device="cpu")
    return agent, envs, replay, begin(envs, 0)


def test_updates_are_due_by_steps_alone() -> None:
    agent, envs, replay, state = parts((3, True), (4, False))
    list(off_policy(agent, envs, replay, state, steps=20))
    assert agent.at == [4, 5, 6, 7, 8, 9, 10]  # from step 8 on, one for every two steps of two streams
    assert state.updates == 7


def test_several_updates_for_a_step() -> None:
    agent, envs, replay, state = parts((3, True), learn_every=0.5)
    list(off_policy(agent, envs, replay, state, steps=10))
    assert agent.at == [8, 9, 9, 10, 10]


def test_windows_are_of_what_was_lived() -> None:
    agent, envs, replay, state = parts((3, True), (4, False))
    list(off_policy(agent, envs, replay, state, steps=60))
    for window in agent.windows:
        assert window.obs.shape == (3, 5, 1)
        assert (window.real[0] == 1.0).all()  # never begins where an action was ignored
        same = window.same_episode
        step = window.obs[1:, :, 0] - window.obs[:-1, :, 0]
        assert (step[same > 0] == 1.0).all()  # observations count up within an episode


def test_reports_hold_means_and_come_where_the_run_can_be_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "_REPORT_STEPS", 10)
    agent, envs, replay, state = parts((3, True))
    reports = list(off_policy(agent, envs, replay, state, steps=24))
    assert [report.step for report in reports] == [10, 20, 24]
    assert all(report.learned for report in reports)
    assert reports[0].metrics["loss/none"] == 1.5  # updates 1 and 2
    assert reports[1].metrics["loss/none"] == 5.0  # 3 to 7
    assert reports[0].metrics["episode/return"] == (1 + 2 + 3 + 11 + 12 + 13) / 2


def test_a_loop_that_was_cut_goes_on_to_the_bit() -> None:
    agent, envs, replay, state = parts((3, True), (5, False))
    list(off_policy(agent, envs, replay, state, steps=20))
    saved = copy.deepcopy((agent.state_dict(), replay.state_dict(), state.state_dict()))
    other_envs = copy.deepcopy(envs)
    straight = list(off_policy(agent, envs, replay, state, steps=40))

    again, _, other, _ = parts((3, True), (5, False))
    again.load_state_dict(saved[0])
    other.load_state_dict(saved[1])
    resumed_state = LoopState.from_state_dict(saved[2])
    resumed = list(off_policy(again, other_envs, other, resumed_state, steps=40))
    assert [r.step for r in resumed] == [r.step for r in straight]
    assert_same(replay.state_dict(), other.state_dict())
    assert_same(state.state_dict(), resumed_state.state_dict())


def test_games_in_flight_begin_anew_and_what_was_stored_of_them_ends() -> None:
    agent, envs, replay, state = parts((9, True), (7, False))
    list(off_policy(agent, envs, replay, state, steps=12))
    replay.cut()
    joined = rejoin(envs, 0, state)
    assert (joined.step, joined.updates) == (12, state.updates)
    assert joined.percept.first.all()
    assert (joined.returns == 0.0).all()
    list(off_policy(agent, envs, replay, joined, steps=40))
    replay.check_valid()  # an episode begins exactly where one ended


def test_a_budget_that_ends_before_the_first_update_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"training.steps=100 ends before agent.replay.warm_up=200"):
        experience(Learner(warm_up=200), streams=2, steps=100, stack=0, seed=0, device="cpu")


def test_an_update_that_would_find_no_whole_window_is_refused() -> None:
    def made(stack: int = 0, **changes: Any) -> ReplayBuffer:
        return experience(Learner(**changes), streams=4, steps=1_000, stack=stack, seed=0, device="cpu")

    with pytest.raises(ConfigError, match="first window of 2 actions is whole after 12 steps"):
        made(warm_up=8)
    with pytest.raises(ConfigError, match="a window of 2 actions needs 24 rows"):
        made(capacity=23, warm_up=12, stack=4)
    assert (made(warm_up=9).rows, made(capacity=24, warm_up=12, stack=4).rows) == (16, 6)
