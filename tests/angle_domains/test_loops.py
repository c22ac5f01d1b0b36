"""The loop on a scripted world: what the agent saw, what it learned from, and what was reported, tick by tick."""

import copy
from itertools import islice
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from angle_domains.errors import ConfigError, FeedError
from angle_domains.loops import LoopState, begin, interact, on_policy, spread
from angle_domains.replay import ReplayBuffer
from angle_domains.types import Decision, LearnResult, Percept, Window
from tests.contracts import worlds
from tests.contracts.trees import assert_same


class Script(gym.Env[np.ndarray, int]):
    """Episodes of `length` actions; observations count up, reward = 10 · episode + tick."""

    observation_space, action_space = spaces.Box(-1e9, 1e9, (1,), np.float32), spaces.Discrete(100)

    def __init__(self, length: int, *, terminates: bool) -> None:
        self.length, self.terminates = length, terminates
        self.episode, self.tick = -1, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.episode, self.tick = self.episode + 1, 0
        return worlds.observe(100.0 * self.episode), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.tick += 1
        over = self.tick == self.length
        obs = worlds.observe(100.0 * self.episode + self.tick)
        return obs, 10.0 * self.episode + self.tick, over and self.terminates, over and not self.terminates, {}


class Recorder:
    """An agent that decides by counting and keeps what it was given."""

    def __init__(self, horizon: int) -> None:
        self.horizon, self.rows = horizon, horizon + 1
        self.decided, self.updates = 0, 0
        self.tape: list[tuple[Any, ...]] = []
        self.windows: list[Window] = []

    def act(self, percept: Percept, memory: Any, *, explore: bool) -> Decision:
        streams = len(percept.obs)
        self.tape.append(("act", percept.obs[0].item(), percept.first[0].item(), percept.last[0].item(), memory))
        action = torch.full((streams,), self.decided % 100)
        self.decided += 1
        return Decision(action, (memory or 0) + 1, {"version": torch.full((streams,), self.updates)})

    def learn(self, window: Window) -> LearnResult:
        self.tape.append(("learn", window.obs[:, 0, 0].tolist()))
        self.windows.append(copy.deepcopy(window))
        self.updates += 1
        return LearnResult({"loss/none": float(self.updates)})

    def state_dict(self) -> dict[str, Any]:
        return {"decided": self.decided, "updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.decided, self.updates = state["decided"], state["updates"]


def world(*ends: tuple[int, bool]) -> SyncVectorEnv:
    makers = [lambda length=length, ends=ends: Script(length, terminates=ends) for length, ends in ends]
    return SyncVectorEnv(makers, autoreset_mode=AutoresetMode.NEXT_STEP)


def start(envs: SyncVectorEnv, horizon: int) -> tuple[Recorder, ReplayBuffer, LoopState]:
    agent = Recorder(horizon)
    return agent, ReplayBuffer.for_agent(agent, envs.num_envs, seed=0), begin(envs, 0)


def test_the_tape_of_two_windows() -> None:
    envs = world((2, True))
    agent, replay, state = start(envs, 3)
    reports = list(on_policy(agent, envs, replay, state, steps=6))
    assert agent.tape == [
        ("act", 0.0, True, False, None),
        ("act", 1.0, False, False, 1),
        ("act", 2.0, False, True, 2),  # the final observation: its action is ignored
        ("learn", [0.0, 1.0, 2.0, 100.0]),
        ("act", 100.0, True, False, 3),
        ("act", 101.0, False, False, 4),
        ("act", 102.0, False, True, 5),
        ("learn", [100.0, 101.0, 102.0, 200.0]),
    ]
    assert [(report.step, report.learned) for report in reports] == [(3, True), (6, True)]
    assert reports[0].metrics == {"loss/none": 1.0, "episode/return": 3.0, "episode/length": 2.0}
    assert reports[1].metrics == {"loss/none": 2.0, "episode/return": 23.0, "episode/length": 2.0}


def test_a_window_holds_what_each_action_led_to() -> None:
    envs = world((2, True), (2, False))
    agent, replay, state = start(envs, 4)
    list(on_policy(agent, envs, replay, state, steps=8))
    window = agent.windows[0]
    assert window.obs[..., 0].T.tolist() == [[0, 1, 2, 100, 101]] * 2
    assert window.reward.T.tolist() == [[1, 2, 0, 11]] * 2
    assert window.action.T.tolist() == [[0, 1, 2, 3]] * 2
    assert window.percept.action.T.tolist() == [[0, 0, 1, 2, 3]] * 2  # what led here; nothing led to the first
    assert window.discount.T.tolist() == [[1, 0, 1, 1], [1, 1, 1, 1]]
    assert window.real.T.tolist() == [[1, 1, 0, 1]] * 2
    assert window.percept.first.T.tolist() == [[True, False, False, True, False]] * 2
    assert window.percept.last.T.tolist() == [[False, False, True, False, False]] * 2


def test_every_row_is_decided_by_the_policy_that_its_window_updates() -> None:
    envs = world((3, False))
    agent, replay, state = start(envs, 4)
    list(on_policy(agent, envs, replay, state, steps=12))
    for version, window in enumerate(agent.windows):
        assert window.extras["version"][:-1].unique().tolist() == [version]


def test_the_budget_completes_the_window_it_began() -> None:
    envs = world((3, False), (3, False))
    agent, replay, state = start(envs, 4)
    assert [report.step for report in on_policy(agent, envs, replay, state, steps=9)] == [8, 16]
    assert list(on_policy(agent, envs, replay, state, steps=16)) == []
    assert [report.step for report in on_policy(agent, envs, replay, state, steps=17, horizon=2)] == [20]


def test_a_loop_stopped_in_the_middle_of_a_window_goes_on_to_the_bit() -> None:
    def parts() -> tuple[SyncVectorEnv, Recorder, ReplayBuffer, LoopState]:
        envs = world((3, True), (5, False))
        return envs, *start(envs, 4)

    envs, agent, replay, state = parts()
    straight = list(on_policy(agent, envs, replay, state, steps=24))

    envs, early, replay_before, state_before = parts()
    ticks = interact(early, envs, replay_before, state_before)
    for _ in range(2):
        next(ticks)
    _, late, replay_after, _ = parts()
    late.load_state_dict(early.state_dict())
    replay_after.load_state_dict(replay_before.state_dict())
    state_after = LoopState.from_state_dict(state_before.state_dict())
    resumed = list(on_policy(late, envs, replay_after, state_after, steps=24))
    assert resumed == straight
    assert_same(state_after.state_dict(), state.state_dict())
    for one, other in zip(agent.windows, late.windows, strict=True):
        assert_same(list(one.percept), list(other.percept))
        assert_same(one.extras, other.extras)


def test_interact_tells_the_episodes_that_ended() -> None:
    envs = world((2, True), (3, False))
    agent, replay, state = start(envs, 7)
    finished = [(tick.returns, tick.lengths) for tick in islice(interact(agent, envs, replay, state), 6)]
    assert finished == [([], []), ([3.0], [2]), ([6.0], [3]), ([], []), ([23.0], [2]), ([], [])]
    assert state.step == 12


def test_a_tick_in_which_no_stream_names_a_mask_allows_all() -> None:
    class Masked(Script):
        def reset(self, **given: Any) -> tuple[np.ndarray, dict]:
            return super().reset(**given)[0], {"action_mask": np.arange(100) < 7}

    envs = SyncVectorEnv([lambda: Masked(3, terminates=True)], autoreset_mode=AutoresetMode.NEXT_STEP)
    agent, state = Recorder(4), begin(envs, 0)
    ticks = interact(agent, envs, ReplayBuffer.for_agent(agent, 1, 0), state)
    allowed = []
    for _ in range(5):
        assert state.percept.mask is not None
        allowed.append(int(state.percept.mask.sum()))
        next(ticks)
    assert allowed == [7, 100, 100, 100, 7]


def test_masks_of_the_environment_reach_the_percept() -> None:
    envs = worlds.vector(worlds.Masked, 3)
    mask = begin(envs, 0).percept.mask
    assert mask is not None
    assert mask.dtype == torch.bool
    assert mask.sum(-1).tolist() == [2, 2, 2]


class Naming(Script):
    """A script of three actions whose masks are told: one for each observation of an episode, None for none named."""

    def __init__(self, *masks: list[int] | None, space: spaces.Space[Any] = Script.action_space) -> None:
        super().__init__(3, terminates=True)
        self.masks, self.action_space = masks, space

    def reset(self, **given: Any) -> tuple[np.ndarray, dict]:
        return super().reset(**given)[0], self._name()

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        return *super().step(action)[:4], self._name()

    def _name(self) -> dict[str, Any]:
        mask = self.masks[self.tick]
        return {} if mask is None else {"action_mask": np.array(mask, np.int8)}


def masks_seen(*streams: Naming, ticks: int = 5) -> list[Any]:
    envs = SyncVectorEnv([lambda stream=stream: stream for stream in streams], autoreset_mode=AutoresetMode.NEXT_STEP)
    agent, state = Recorder(8), begin(envs, 0)
    running = interact(agent, envs, ReplayBuffer.for_agent(agent, len(streams), 0), state)
    found = []
    for _ in range(ticks):
        found.append(None if state.percept.mask is None else state.percept.mask.int().tolist())
        next(running)
    return found


def test_a_mask_of_zeros_where_an_episode_ended_allows_all() -> None:
    found = masks_seen(Naming([1, 0], [0, 1], [1, 0], [0, 0], space=spaces.Discrete(2)))
    assert found == [[[1, 0]], [[0, 1]], [[1, 0]], [[1, 1]], [[1, 0]]]


def test_a_mask_where_an_episode_is_cut_holds_for_what_would_follow() -> None:
    """Of a second part that allows nothing all is taken to be allowed; other streams keep theirs."""
    two, parts = spaces.Discrete(2), spaces.MultiDiscrete([2, 1])
    found = masks_seen(Naming([1, 0], [0, 1], [1, 0], [0, 1], space=two))
    assert found == [[[1, 0]], [[0, 1]], [[1, 0]], [[0, 1]], [[1, 0]]]
    found = masks_seen(
        Naming([0, 1, 1], [0, 1, 1], [0, 1, 1], [0, 1, 0], space=parts),
        Naming([0, 1, 1], [0, 1, 1], [0, 1, 1], [0, 1, 1], space=parts),
    )
    assert found[3] == [[1, 1, 1], [0, 1, 1]]


def test_a_mask_that_allows_nothing_is_a_mistake_of_the_environment() -> None:
    two, parts = spaces.Discrete(2), spaces.MultiDiscrete([2, 1])
    fine = Naming([1, 0], [1, 0], [1, 0], [0, 0], space=two)
    with pytest.raises(FeedError, match="stream 1 .* allows no action"):
        masks_seen(fine, Naming([1, 0], [0, 1], [0, 0], [0, 0], space=two))
    with pytest.raises(FeedError, match="stream 0 .* allows no action"):
        masks_seen(Naming([0, 0], space=two))
    with pytest.raises(FeedError, match="allows no action"):  # of the second part
        masks_seen(Naming([1, 1, 0], space=parts))
    assert masks_seen(Naming([0, 1, 1], [1, 0, 1], space=parts), ticks=1) == [[[0, 1, 1]]]


def test_a_mask_that_reset_did_not_name_is_a_mistake_of_the_environment() -> None:
    with pytest.raises(FeedError, match="info of reset"):
        masks_seen(Naming(None, [1, 1], [1, 1], [1, 1], space=spaces.Discrete(2)))


def test_runs_of_neighbouring_seeds_share_no_stream() -> None:
    def starts(seed: int) -> list[tuple[float, ...]]:
        envs = SyncVectorEnv([lambda: gym.make("CartPole-v1")] * 4, autoreset_mode=AutoresetMode.NEXT_STEP)
        return [tuple(obs) for obs in begin(envs, seed).percept.obs.tolist()]

    assert starts(0) == starts(0)
    assert len({obs for seed in range(3) for obs in starts(seed)}) == 3 * 4


def test_spread_seeds_leave_room_for_their_streams() -> None:
    numbers = [spread(seed) for seed in (*range(1000), 2**63, 2**100)]
    assert all(0 <= number < 2**30 for number in numbers)
    assert len(set(numbers)) == len(numbers)
    assert (spread(0), spread(1)) == (742202927, 458876031)  # a seed means the same run tomorrow


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.DISABLED])
def test_other_autoreset_modes_are_refused(mode: AutoresetMode) -> None:
    envs = SyncVectorEnv([worlds.Match], autoreset_mode=mode)
    with pytest.raises(ConfigError, match="NEXT_STEP"):
        begin(envs, 0)
