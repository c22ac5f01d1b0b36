"""What the agents that learn from a log share beyond the contract of off-policy agents.

The worlds are the same. What random actions led to in them is recorded first, and learned from afterwards.
"""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv

from angle_domains import checkpoint
from angle_domains.loops import OfflineState, offline
from angle_domains.replay import ReplayBuffer, recorded
from angle_domains.types import Report
from feeds.base import FeedSpec, Rows
from tests.contracts import boxes, worlds
from tests.contracts.agent_contract import see
from tests.contracts.off_policy_contract import STREAMS, OffPolicyContract
from tests.contracts.trees import assert_same
from tests.logs import logged, rows_of


class OfflineContract(OffPolicyContract):
    """A subclass gives `settings`, `config`, `module` and `value`."""

    probe_steps = 2_800
    action_spaces = ((spaces.Discrete(3, start=-1), False),)

    def record(self, rows: Rows, agent: Any, seed: int = 0) -> ReplayBuffer:
        return recorded(rows, agent, seed=seed, device="cpu")

    def run(
        self, envs: SyncVectorEnv, steps: int, *, simplex: bool = False, **changes: Any
    ) -> tuple[Any, list[Report]]:
        """A log of a tenth as many rows as are asked for, and an update for every four that are."""
        agent = self.build(worlds.spec_of(envs, simplex=simplex), envs.num_envs, **changes)
        replay = self.record(logged(envs, max(200, steps // 10)), agent)
        return agent, list(offline(agent, replay, OfflineState(), steps=max(20, steps // 4)))

    def biased(self) -> Rows:
        """One action each: that which matches the sign that is seen earns 1, but seven in ten were the other."""
        chance = np.random.default_rng(0)
        episodes = []
        for _ in range(300):
            sign, wrong = chance.choice([-1.0, 1.0]), chance.random() < 0.7
            action = int((sign > 0) != wrong)
            episodes.append(
                {"obs": [sign, sign], "action": [action], "reward": [-1.0 if wrong else 1.0], "ended": True}
            )
        return rows_of(episodes)

    @pytest.mark.gate
    def test_beats_chance_where_the_best_action_is_known(self) -> None:
        """And what imitation of the log would do."""
        agent = self.build(self.spec(), STREAMS)
        list(offline(agent, self.record(self.biased(), agent), OfflineState(), steps=400))
        self.check_matched(agent.act(see([[-1.0], [1.0]]), None, explore=False).action)

    def check_matched(self, action: torch.Tensor) -> None:
        assert action.tolist() == [0, 1]

    def test_the_rows_it_learned_from_are_those_of_its_settings(self) -> None:
        agent = self.build(self.spec(), STREAMS, replay={"batch": 7})
        replay = self.record(self.biased(), agent)
        sizes = []
        draw = replay.get_batch

        def counted(batch: int, length: int, looks: int | None = None) -> Any:
            sizes.append((batch, length))
            return draw(batch, length, looks)

        replay.get_batch = counted  # type: ignore[method-assign]
        list(offline(agent, replay, OfflineState(), steps=3))
        assert sizes == [(7, agent.length)] * 3

    def test_n_steps_saved_and_n_more_equal_two_n_to_the_bit(self, tmp_path: Path) -> None:
        half = 20
        envs = self.resumed_world()
        rows, spec = logged(envs, 300), worlds.spec_of(envs)

        def parts(seed: int) -> tuple[Any, ReplayBuffer, OfflineState]:
            agent = self.build(spec, STREAMS, seed=seed, replay={"prioritised": True, "beta_steps": 30})
            return agent, self.record(rows, agent, seed), OfflineState()

        agent, replay, state = parts(0)
        list(offline(agent, replay, state, steps=half))
        saved = {"agent": agent.state_dict(), "replay": replay.state_dict(), "loop": state.state_dict()}
        checkpoint.save(tmp_path / "half", saved, {})
        straight = list(offline(agent, replay, state, steps=2 * half))
        loaded, _ = checkpoint.load(tmp_path / "half")
        again, other, _ = parts(99)
        again.load_state_dict(loaded["agent"])
        other.load_state_dict(loaded["replay"])
        resumed = list(offline(again, other, OfflineState.from_state_dict(loaded["loop"]), steps=2 * half))
        assert straight
        assert resumed == straight
        assert_same(agent.state_dict(), again.state_dict())
        assert_same(replay.state_dict(), other.state_dict())

    def resumed_world(self) -> SyncVectorEnv:
        return worlds.vector(lambda: gym.make("CartPole-v1"), STREAMS)

    def test_what_is_stored_with_a_decision_is_nothing(self) -> None:
        """Offline agents explore nothing, and whoever lets them act online stores no picture."""
        agent = self.build(self.spec(), STREAMS)
        assert agent.act(see([[0.5]] * 3), None, explore=True).extras == {}


class OfflineBoxContract(OfflineContract):
    """The same worlds, their actions a lever."""

    action_spaces = (
        (spaces.Box(-2.0, 3.0, (2,), np.float32), False),
        (spaces.Box(np.array([-1.0, 0.0, 10.0], np.float32), np.array([1.0, 0.5, 30.0], np.float32)), False),
    )

    @pytest.fixture(autouse=True)
    def _levers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(worlds, "vector", boxes.vector)

    def biased(self) -> Rows:
        """One action each, most of them on the wrong side of the lever's middle."""
        chance = np.random.default_rng(0)
        episodes = []
        for _ in range(300):
            sign, wrong = chance.choice([-1.0, 1.0]), chance.random() < 0.7
            side = -sign if wrong else sign
            action = np.array([[-1.0 + side * chance.uniform(0.5, 1.5)]], np.float32)
            episodes.append({"obs": [sign, sign], "action": action, "reward": [-1.0 if wrong else 1.0], "ended": True})
        return rows_of(episodes)

    def check_matched(self, action: torch.Tensor) -> None:
        assert (action.flatten() > -1.0).tolist() == [False, True]

    def test_forbidden_actions_are_never_chosen(self) -> None:
        pytest.skip("an action in a box is never forbidden")

    def value(self, agent: Any, obs: torch.Tensor) -> torch.Tensor:
        """What the critics hold of what the policy would do."""
        with torch.no_grad():
            return agent.q.Q_function(obs, agent.act(see(obs.tolist()), None, explore=False).action).mean(0)


def critics_portrayed(agent: Any, values: dict[str, torch.Tensor]) -> None:
    """The values in the portrait of an agent with twin critics are those of its last batch."""
    with torch.no_grad():
        first, second = agent.q.Q_function(agent.learned.obs, agent.learned.action)
    assert_same(values, {"value/q1": first, "value/q2": second})


def spec_of_choices(actions: int) -> FeedSpec:
    return FeedSpec("world", worlds.UNIT, spaces.Discrete(actions))
