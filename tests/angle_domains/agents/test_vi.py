from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from angle_domains import checkpoint
from angle_domains.agents import vi
from angle_domains.errors import CheckpointError, ConfigError
from angle_domains.loops import OfflineState, offline
from angle_domains.replay import recorded
from feeds.base import FeedSpec, Rows
from tests.contracts import worlds
from tests.contracts.agent_contract import see
from tests.contracts.trees import assert_same
from tests.logs import lucky, rows_of


def spec_of(actions: int) -> FeedSpec:
    return FeedSpec("world", worlds.UNIT, spaces.Discrete(actions))


def made(actions: int, **settings: Any) -> vi.VI:
    return vi.build(vi.VIConfig(**{"prior": 0.0} | settings), spec_of(actions), streams=1, seed=0, device="cpu")


def swept(rows: Rows, actions: int, sweeps: int, **settings: Any) -> vi.VI:
    agent = made(actions, **settings)
    list(offline(agent, recorded(rows, agent, seed=0, device="cpu"), OfflineState(), steps=sweeps))
    return agent


def q_of(agent: vi.VI, obs: float) -> list[float]:
    return agent.act(see([[obs]]), None, explore=False).extras["q"][0].tolist()


def chain() -> Rows:
    """States 0, 1, 2 in a row. Action 1 goes on and earns 1 at the end; action 0 ends the task at once and earns .5."""
    quits = [{"obs": [s, 9], "action": [0], "reward": [0.5], "ended": True} for s in (0, 1, 2) for _ in range(3)]
    goes = [{"obs": [0, 1, 2, 9], "action": [1, 1, 1], "reward": [0, 0, 1], "ended": True}] * 3
    return rows_of(quits + goes)


def test_values_of_a_chain_by_hand() -> None:
    agent = swept(chain(), 2, 5, gamma=0.6, least=3)
    for state, wanted in enumerate([[0.5, 0.36], [0.5, 0.6], [0.5, 1.0]]):
        # V(1) = max(.5, .6 · 1) = .6, so action 1 is worth .36 in state 0
        assert q_of(agent, float(state)) == pytest.approx(wanted)
    best = agent.act(see([[0.0], [1.0], [2.0]]), None, explore=False).action
    assert best.tolist() == [0, 1, 1]


def test_where_a_record_stops_the_value_goes_on() -> None:
    """1 an hour for ever, recorded for one hour or four at a time: V = 1 / (1 - gamma), traps 11 and 12."""
    for hours in (1.0, 4.0):
        reward = sum(0.5**-hour for hour in range(int(hours)))  # each grown to the end of the row
        episode = {"obs": [0, 0], "action": [0], "reward": [reward], "ended": False, "elapsed": [hours]}
        assert q_of(swept(rows_of([episode] * 20), 1, 60, gamma=0.5), 0.0) == pytest.approx([2.0])


def test_an_action_must_be_a_share_of_what_was_done() -> None:
    one = {"obs": [0, 9], "action": [0], "reward": [0.5], "ended": True}
    rows = rows_of([one] * 94 + [one | {"action": [1], "reward": [1.0]}] * 6)
    for share, best in ((0.05, 1), (0.07, 0)):
        agent = swept(rows, 2, 2, least=5, share=share)
        assert agent.act(see([[0.0]]), None, explore=False).action.tolist() == [best]


def test_rare_luck_is_not_believed() -> None:
    agent = swept(lucky(), 41, 3, least=5)
    decision = agent.act(see([[0.0]]), None, explore=False)
    assert decision.action.tolist() == [40]
    assert decision.extras["q"].max().item() == pytest.approx(0.5)
    naive = swept(lucky(), 41, 3, least=1).act(see([[0.0]]), None, explore=False)
    assert naive.extras["q"].max().item() == 1.0  # what it believes without, of an action worth 0


def test_where_nothing_was_taken_often_the_most_frequent_counts_alone() -> None:
    episodes = [{"obs": [0, 1], "action": [a], "reward": [a], "ended": False} for a in (0, 0, 1)]
    agent = swept(rows_of(episodes), 2, 1, gamma=0.5, least=20)
    assert agent.act(see([[0.0]]), None, explore=False).action.tolist() == [0]
    place = agent.support.find(torch.tensor([[0.0], [1.0]]))
    assert agent.value[place].tolist() == [0.0, 0.0]  # of action 0; nothing was decided in state 1


def test_values_are_drawn_to_their_states_mean_by_hand() -> None:
    """Action 0 earned 1 four times, action 1 once 1.5: on average 1.1. With 5 counts more: 9.5 / 9 and 7 / 6."""
    episodes = [{"obs": [0, 9], "action": [a], "reward": [r], "ended": True} for a, r in [(0, 1.0)] * 4 + [(1, 1.5)]]
    assert q_of(swept(rows_of(episodes), 2, 1, least=1), 0.0) == pytest.approx([1.0, 1.5])
    assert q_of(swept(rows_of(episodes), 2, 1, least=1, prior=5.0), 0.0) == pytest.approx([9.5 / 9, 7.0 / 6])


def test_masks_are_heeded_in_known_states_and_in_others() -> None:
    agent = swept(chain(), 2, 5, gamma=0.9, least=3)
    percept = see([[1.0], [7.0]])._replace(mask=torch.tensor([[True, False], [False, True]]))
    assert agent.act(percept, None, explore=False).action.tolist() == [0, 1]


def test_it_is_value_iteration_on_a_random_process() -> None:
    chance = np.random.default_rng(0)
    states, actions, gamma = 6, 3, 0.9
    move, earn = chance.integers(states, size=(states, actions)), chance.random((states, actions))
    episodes = []
    for state in range(states):
        for action in range(actions):
            there = {"obs": [state, move[state, action]], "action": [action], "reward": [earn[state, action]]}
            episodes += [there | {"ended": False}] * 2
    agent = swept(rows_of(episodes), actions, 200, gamma=gamma, least=2)
    value = np.zeros(states)
    for _ in range(500):
        q = earn + gamma * value[move]
        value = q.max(-1)
    for state in range(states):
        assert q_of(agent, float(state)) == pytest.approx(q[state].tolist(), abs=1e-5)


def test_n_sweeps_saved_and_n_more_equal_two_n_to_the_bit(tmp_path: Path) -> None:
    def parts() -> Any:
        agent = made(2, gamma=0.9, least=3)
        return agent, recorded(chain(), agent, seed=0, device="cpu"), OfflineState()

    agent, replay, state = parts()
    list(offline(agent, replay, state, steps=2))
    saved = {"agent": agent.state_dict(), "replay": replay.state_dict(), "loop": state.state_dict()}
    checkpoint.save(tmp_path / "half", saved, {})
    straight = list(offline(agent, replay, state, steps=3))
    loaded, _ = checkpoint.load(tmp_path / "half")
    again, other, _ = parts()
    again.load_state_dict(loaded["agent"])
    other.load_state_dict(loaded["replay"])
    assert list(offline(again, other, OfflineState.from_state_dict(loaded["loop"]), steps=3)) == straight
    assert_same(agent.state_dict(), again.state_dict())


def test_a_checkpoint_acts_without_the_log() -> None:
    agent = swept(chain(), 2, 5, gamma=0.6, least=3)
    alone = made(2, gamma=0.6, least=3)
    alone.load_state_dict(agent.state_dict())
    percept = see([[0.0], [1.0], [2.0]])
    assert torch.equal(alone.act(percept, explore=False).action, agent.act(percept, explore=False).action)
    with pytest.raises(CheckpointError, match="has 2 actions, not 3"):
        made(3).load_state_dict(agent.state_dict())


def test_observations_that_never_come_back_are_a_mistake_of_the_user() -> None:
    rows = rows_of([{"obs": range(10), "action": [0] * 9, "reward": [0] * 9, "ended": True}])
    with pytest.raises(ConfigError, match="10 rows of the log hold 10 different observations"):
        swept(rows, 2, 1)


def test_other_action_spaces_are_a_mistake_of_the_user() -> None:
    spec = FeedSpec("world", worlds.UNIT, spaces.Box(-1.0, 1.0, (2,), np.float32))
    with pytest.raises(ConfigError, match="Discrete"):
        vi.build(vi.VIConfig(), spec, streams=1, seed=0, device="cpu")
