"""What every agent that learns from its own experience keeps; a test class inherits it and says how to build one."""

import copy
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv

from angle_domains import checkpoint
from angle_domains.loops import LoopState, begin
from angle_domains.replay import ReplayBuffer
from angle_domains.types import Agent, Percept, Portrayed, Report, Valued
from feeds.base import FeedSpec
from tests.contracts import worlds
from tests.contracts.trees import assert_same


class AgentContract:
    """A subclass gives `build`, `loop` and `value`, and may narrow `action_spaces`."""

    probe_steps = 6_000
    endless_steps = 6_000  # for the world whose value has to travel in a circle
    action_spaces: tuple[tuple[spaces.Space[Any], bool], ...] = (
        (spaces.Discrete(3, start=-1), False),
        (spaces.MultiDiscrete([3, 2, 4]), False),
        (spaces.MultiDiscrete([3, 3]), False),
        (spaces.Box(-2.0, 3.0, (2,), np.float32), False),
        (spaces.Box(-np.inf, np.inf, (2,), np.float32), False),
        (spaces.Box(0.0, 1.0, (3,), np.float32), True),
    )

    def build(self, spec: FeedSpec, streams: int, seed: int = 0, **changes: Any) -> Agent:
        """An agent with settings that suit tiny worlds."""
        raise NotImplementedError

    def loop(
        self, agent: Agent, envs: SyncVectorEnv, replay: ReplayBuffer, state: LoopState, steps: int
    ) -> Iterator[Report]:
        raise NotImplementedError

    def value(self, agent: Agent, obs: torch.Tensor) -> torch.Tensor:
        """V `[B]` of observations `[B, D]`."""
        raise NotImplementedError

    def run(
        self, envs: SyncVectorEnv, steps: int, *, simplex: bool = False, **changes: Any
    ) -> tuple[Agent, list[Report]]:
        agent = self.build(worlds.spec_of(envs, simplex=simplex), envs.num_envs, **changes)
        replay = self.remember(agent, envs.num_envs, 0)
        return agent, list(self.loop(agent, envs, replay, begin(envs, 0), steps))

    def remember(self, agent: Any, streams: int, seed: int) -> ReplayBuffer:
        """The replay that the agent learns from."""
        return ReplayBuffer.for_agent(agent, streams, seed)

    @pytest.mark.parametrize("place", range(6))
    def test_acts_in_its_space_and_learns_finite_numbers(self, place: int) -> None:
        if place >= len(self.action_spaces):
            pytest.skip("the agent decides on fewer kinds of action")
        space, simplex = self.action_spaces[place]
        envs = worlds.vector(lambda: worlds.Aim(space), 4)  # raises where an action lies outside
        _, reports = self.run(envs, 600, simplex=simplex)
        assert any(report.learned for report in reports)
        for report in reports:
            assert all(math.isfinite(value) for value in report.metrics.values()), report.metrics

    def test_a_decision_without_exploration_is_the_same_twice(self) -> None:
        envs = worlds.vector(lambda: worlds.Aim(spaces.Discrete(3)), 4)
        agent, _ = self.run(envs, 200)
        percept = begin(envs, 1).percept
        before = copy.deepcopy(agent.state_dict())
        first, second = (agent.act(percept, None, explore=False).action for _ in range(2))
        assert torch.equal(first, second)
        assert_same(before, agent.state_dict())

    def test_a_portrait_shows_the_gradients_and_changes_nothing(self) -> None:
        envs = worlds.vector(worlds.Match, 4)
        fresh = self.build(worlds.spec_of(envs), 4)
        assert isinstance(fresh, Portrayed)
        assert fresh.portrait() == {}
        agent, _ = self.run(envs, 400)
        assert isinstance(agent, Portrayed)
        before, chance = copy.deepcopy(agent.state_dict()), torch.get_rng_state()
        seen, again = agent.portrait(), agent.portrait()
        assert_same(seen, again)
        assert_same(before, agent.state_dict())
        assert torch.equal(chance, torch.get_rng_state())
        parts = [numbers for name, numbers in seen.items() if name.startswith("gradient/")]
        assert len(parts) > 1
        assert sum(float(part.square().sum()) for part in parts) > 0.0
        assert not any(numbers.requires_grad for numbers in seen.values())
        self.check_portrayed_values(agent, {name: n for name, n in seen.items() if name.startswith("value/")})

    def test_worth_has_gradients_to_the_states_and_changes_nothing(self) -> None:
        envs = worlds.vector(worlds.Match, 4)
        agent, _ = self.run(envs, 400)
        if not isinstance(agent, Valued):
            pytest.skip("the agent holds no value of states by itself")
        before, chance = copy.deepcopy(agent.state_dict()), torch.get_rng_state()
        states = begin(envs, 1).percept.obs.to(torch.float32).requires_grad_()
        worth = agent.worth(states)
        actions = envs.single_action_space
        assert worth.shape in {(4, 1), (4, int(actions.n)) if isinstance(actions, spaces.Discrete) else (4, 1)}
        [slope] = torch.autograd.grad(worth.sum(), [states])
        assert slope.isfinite().all()
        assert slope.abs().sum() > 0
        assert_same(before, agent.state_dict())
        assert torch.equal(chance, torch.get_rng_state())

    def check_portrayed_values(self, agent: Any, values: dict[str, torch.Tensor]) -> None:
        """Of an agent without action values there are none."""
        assert values == {}

    def test_two_agents_of_one_seed_are_equal_to_the_bit(self) -> None:
        states = [self.run(worlds.vector(worlds.Match, 4), 400)[0].state_dict() for _ in range(2)]
        assert_same(states[0], states[1])

    def test_training_leaves_the_global_generators_alone(self) -> None:
        torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
        self.run(worlds.vector(worlds.Match, 4), 200)
        assert torch.equal(torch_before, torch.get_rng_state())
        np.testing.assert_array_equal(numpy_before, np.random.get_state()[1])  # noqa: NPY002

    def test_n_steps_saved_and_n_more_equal_two_n_to_the_bit(self, tmp_path: Path) -> None:
        streams, half = 4, 512
        envs = worlds.vector(lambda: gym.make("CartPole-v1"), streams)
        spec = worlds.spec_of(envs)
        changes = {"anneal_steps": 2 * half, "normalise_observation": True, "normalise_reward": True}
        agent = self.build(spec, streams, **self.known(changes))
        replay, state = self.remember(agent, streams, 0), begin(envs, 0)
        early = list(self.loop(agent, envs, replay, state, half))
        parts = {"agent": agent.state_dict(), "replay": replay.state_dict(), "loop": state.state_dict()}
        checkpoint.save(tmp_path / "half", parts, {})
        other_envs = copy.deepcopy(envs)
        straight = list(self.loop(agent, envs, replay, state, 2 * half))

        loaded, _ = checkpoint.load(tmp_path / "half")
        again = self.build(spec, streams, seed=99, **self.known(changes))
        again.load_state_dict(loaded["agent"])
        other_replay = self.remember(again, streams, 99)
        other_replay.load_state_dict(loaded["replay"])
        other_state = LoopState.from_state_dict(loaded["loop"])
        resumed = list(self.loop(again, other_envs, other_replay, other_state, 2 * half))

        assert early
        assert straight
        assert resumed == straight
        assert_same(agent.state_dict(), again.state_dict())
        assert_same(replay.state_dict(), other_replay.state_dict())
        assert_same(state.state_dict(), other_state.state_dict())

    def known(self, changes: dict[str, Any]) -> dict[str, Any]:
        """Those of the settings that the agent has."""
        return changes

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("world", "observations", "values"),
        [
            pytest.param(worlds.Constant, [[0.0]], [1.0], marks=pytest.mark.gate),
            pytest.param(worlds.Told, [[-1.0], [1.0]], [-1.0, 1.0], marks=pytest.mark.gate),
            (worlds.TwoSteps, [[0.0], [1.0]], [0.5, 1.0]),
            (worlds.Endless, [[0.0]], [2.0]),
            pytest.param(worlds.Lever, [[0.0]], [1.0], marks=pytest.mark.gate),
            (worlds.Match, [[-1.0], [1.0]], [1.0, 1.0]),
        ],
    )
    def test_values_of_probe_worlds(
        self, world: Callable[[], gym.Env[Any, Any]], observations: list[list[float]], values: list[float]
    ) -> None:
        """Reward, observation, discount, truncation, action, and action with observation, each alone."""
        steps = max(self.probe_steps, self.endless_steps if world is worlds.Endless else 0)
        agent, _ = self.run(worlds.vector(world, 8), steps, gamma=0.5)
        torch.testing.assert_close(
            self.value(agent, torch.tensor(observations)), torch.tensor(values), atol=0.1, rtol=0.0
        )

    @pytest.mark.gate
    def test_beats_chance_where_the_best_action_is_known(self) -> None:
        agent, reports = self.run(worlds.vector(worlds.Match, 8), self.probe_steps, gamma=0.5)
        best = agent.act(see([[-1.0], [1.0]]), None, explore=False).action
        assert best.tolist() == [0, 1]
        returns = [report.metrics["episode/return"] for report in reports if "episode/return" in report.metrics]
        assert np.mean(returns[-5:]) > 0.7  # chance earns 0

    def test_forbidden_actions_are_never_chosen(self) -> None:
        agent, _ = self.run(worlds.vector(worlds.Masked, 8), 2_000)  # the world raises at a forbidden action
        allowed = torch.tensor([[True, False, True, False], [False, True, False, False]])
        percept = see([[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0]])._replace(mask=allowed)
        action = agent.act(percept, None, explore=False).action
        assert allowed[torch.arange(2), action].all()


def see(obs: list[list[float]]) -> Percept:
    """The percept of streams that begin with these observations."""
    no = torch.zeros(len(obs), dtype=torch.bool)
    zero = torch.zeros(len(obs))
    return Percept(torch.tensor(obs), zero.long(), zero, zero + 1.0, ~no, no)
