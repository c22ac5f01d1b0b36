"""What the agents that learn on policy share beyond the contract of all agents."""

import copy
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
import torch
from gymnasium.vector import SyncVectorEnv
from pydantic import BaseModel

from angle_domains import loops
from angle_domains.errors import CheckpointError, ConfigError, TrainingError
from angle_domains.replay import ReplayBuffer
from angle_domains.types import Report
from tests.contracts import worlds
from tests.contracts.agent_contract import AgentContract, see
from tests.contracts.trees import assert_same


class ActorCriticContract(AgentContract):
    settings: ClassVar[dict[str, Any]]
    config: type[BaseModel]
    module: Any

    def build(self, spec: Any, streams: int, seed: int = 0, **changes: Any) -> Any:
        config = self.config(**self.settings | changes)
        return self.module.build(config, spec, streams=streams, seed=seed, device="cpu")

    def loop(
        self, agent: Any, envs: SyncVectorEnv, replay: ReplayBuffer, state: loops.LoopState, steps: int
    ) -> Iterator[Report]:
        return loops.on_policy(agent, envs, replay, state, steps=steps)

    def value(self, agent: Any, obs: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return agent.core.model.value(agent.core.see(obs))

    def window(self, agent: Any, spec: Any, streams: int) -> Any:
        """A window of random rows, one of them truncated."""
        chance = torch.Generator().manual_seed(5)
        size = spec.observation_space.shape[0]
        replay = ReplayBuffer.for_agent(agent, streams, seed=0)
        for tick in range(agent.horizon + 1):
            percept = see(torch.randn(streams, size, generator=chance).tolist())._replace(
                action=torch.zeros(streams, *spec.action_space.shape),
                reward=torch.randn(streams, generator=chance),
                first=torch.tensor([tick in (0, 3)] * streams),
                last=torch.tensor([tick == 2] * streams),
            )
            if tick == agent.horizon:
                return replay.newest(agent.horizon, percept)
            replay.insert(percept, agent.act(percept, None, explore=True))
        raise AssertionError

    def test_what_stands_in_rows_of_resets_and_in_extras_of_the_last_row_changes_nothing(self) -> None:
        spec = worlds.market_spec()
        states = []
        for noise in (0.0, 50.0):
            agent = self.build(spec, 3)
            window = self.window(agent, spec, 3)
            window.extras["log_prob"][2] += noise  # the row of the reset
            window.extras["raw"][2] += noise
            window.extras["raw"][-1] += noise  # the last percept has no decision yet
            agent.learn(window)
            states.append(agent.state_dict())
        assert_same(states[0], states[1])

    def test_a_window_in_which_all_streams_reset_teaches_nothing(self) -> None:
        spec = worlds.market_spec()
        agent = self.build(spec, 3, normalise_observation=True, normalise_reward=True)
        window = self.window(agent, spec, 3)
        agent.learn(window)
        before = copy.deepcopy(agent.state_dict())
        window.percept.last[:] = True
        assert agent.learn(window).metrics == {}
        after = agent.state_dict()
        assert after["updates"] == before["updates"] + 1
        assert_same(before["core"]["model"], after["core"]["model"])
        assert_same(before["optimizer"]["state"], after["optimizer"]["state"])

    def test_a_loop_of_windows_of_one_row_passes_over_resets(self) -> None:
        envs = worlds.vector(worlds.Constant, 1)  # every other row is a reset
        _, reports = self.run(envs, 8, horizon=1)
        assert [report.step for report in reports] == list(range(1, 9))
        assert ["loss/policy" in report.metrics for report in reports] == [True, False] * 4

    def test_the_scale_of_rewards_is_that_of_actions_taken(self) -> None:
        spec = worlds.market_spec()
        agent = self.build(spec, 3, normalise_reward=True)
        window = self.window(agent, spec, 3)
        agent.learn(window)
        assert agent.core.scaler.moments.count == int(window.real.sum()) < window.real.numel()

    @pytest.mark.parametrize(
        ("ended", "scaled", "advantage"),
        [(False, False, [0.5, 2.0]), (True, False, [0.25, 1.0]), (False, True, [-0.375, 0.5])],
    )
    def test_samples_by_hand(self, ended: bool, scaled: bool, advantage: list[float]) -> None:
        """V = 2 everywhere, gamma and lambda 1/2, rewards 1 and 3, then an end and the row of the reset.

        Truncated: d1 = 3 + 1 - 2 = 2, d0 = 1 + 1 - 2 = 0. Terminated: d1 = 3 - 2. Rewards that deviate by 2 are halved:
        d1 = 1.5 + 1 - 2, d0 = 0.5 + 1 - 2. The first advantage is d0 + d1 / 4.
        """
        spec = worlds.market_spec()
        agent = self.build(spec, 1, horizon=3, gamma=0.5, lambda_=0.5, normalise_reward=scaled)
        with torch.no_grad():
            agent.core.model.value_out.weight.zero_()
            agent.core.model.value_out.bias.fill_(2.0)
        if scaled:
            yes = torch.ones(2, 1, dtype=torch.bool)
            agent.core.scaler.update(torch.tensor([[2.0], [-2.0]]), yes, torch.ones(2, 1))
        window = self.window(agent, spec, 1)
        window.percept.reward[1:3, 0] = torch.tensor([1.0, 3.0])
        window.percept.discount[2] = 0.0 if ended else 1.0
        samples, taken = agent.core.samples(window)
        assert taken.tolist() == [0, 1]
        torch.testing.assert_close(samples.advantage[taken], torch.tensor(advantage))
        torch.testing.assert_close(samples.target[taken], torch.tensor(advantage) + 2.0)
        assert samples.value[taken].tolist() == [2.0, 2.0]

    def test_the_gradient_is_held_at_its_norm(self) -> None:
        spec = worlds.market_spec()
        agent = self.build(spec, 3, max_grad_norm=1e-3)
        assert agent.learn(self.window(agent, spec, 3)).metrics["optimiser/gradient_norm"] > 0.01
        gradient = torch.cat([parameter.grad.flatten() for parameter in agent.core.parameters])
        assert gradient.norm().item() == pytest.approx(1e-3, rel=1e-2)

    def test_observations_are_taken_into_their_moments(self) -> None:
        spec = worlds.market_spec()
        agent = self.build(spec, 3, normalise_observation=True)
        window = self.window(agent, spec, 3)
        agent.learn(window)
        assert agent.core.moments.count == agent.horizon * 3
        torch.testing.assert_close(agent.core.moments.mean.float(), window.obs[:-1].flatten(0, 1).mean(0))

    def test_moments_tell_assets_apart_unless_the_network_must_not(self) -> None:
        spec = worlds.market_spec(3)
        block = spec.block("assets")
        for kind, equal in (("set", True), ("mlp", False)):
            agent = self.build(spec, 3, normalise_observation=True, network={"kind": kind, "hidden": (16, 16)})
            agent.learn(self.window(agent, spec, 3))
            seen = agent.core.see(torch.ones(1, *spec.observation_space.shape))
            rows = seen[0, block.start : block.stop].reshape(block.shape)
            assert torch.equal(rows, rows[:1].expand_as(rows)) == equal

    def test_a_loss_changes_nothing(self) -> None:
        spec = worlds.market_spec()
        agent = self.build(spec, 3)
        samples, real = agent.core.samples(self.window(agent, spec, 3))
        before = copy.deepcopy(agent.state_dict())
        first, second = (agent.loss(samples.take(real), *self.loss_arguments())[0] for _ in range(2))
        assert first.item() == second.item()
        assert_same(before, agent.state_dict())

    def loss_arguments(self) -> tuple[Any, ...]:
        return ()

    @pytest.mark.parametrize("poison", [float("nan"), float("inf")])
    def test_numbers_that_are_not_finite_stop_training_before_the_parameters_are_touched(self, poison: float) -> None:
        spec = worlds.market_spec()
        agent = self.build(spec, 3)
        window = self.window(agent, spec, 3)
        window.percept.reward[1, 0] = poison
        before = {name: value.clone() for name, value in agent.core.model.state_dict().items()}
        with pytest.raises(TrainingError, match="not finite"):
            agent.learn(window)
        assert_same(before, dict(agent.core.model.state_dict()))

    @pytest.mark.parametrize("kind", ["mlp", "window", "set"])
    @pytest.mark.parametrize("head", ["gaussian", "dirichlet", "logistic_normal"])
    def test_every_network_learns_with_every_head(self, kind: str, head: str) -> None:
        spec = worlds.market_spec()
        agent = self.build(spec, 3, network={"kind": kind, "hidden": (16, 16)}, head=head)
        window = self.window(agent, spec, 3)
        before = [parameter.detach().clone() for parameter in agent.core.parameters]
        agent.learn(window)
        for old, new in zip(before, agent.core.parameters, strict=True):
            assert torch.isfinite(new).all()
            assert not torch.equal(old, new)

    def test_a_head_that_does_not_fit_is_a_mistake_of_the_user(self) -> None:
        with pytest.raises(ConfigError, match="gaussian"):
            self.build(worlds.market_spec(simplex=False), 3, head="dirichlet")

    def test_a_checkpoint_of_another_network_is_refused(self) -> None:
        state = self.build(worlds.market_spec(4), 3).state_dict()
        with pytest.raises(CheckpointError, match="another network"):
            self.build(worlds.market_spec(5), 3).load_state_dict(state)
        with pytest.raises(CheckpointError, match="scaler"):
            self.build(worlds.market_spec(4), 3, normalise_reward=True).load_state_dict(state)
