import copy
import math
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from gymnasium import spaces

from angle_domains.agents import sac
from angle_domains.transitions import read
from tests.contracts import worlds
from tests.contracts.agent_contract import see
from tests.contracts.continuous_contract import ContinuousContract
from tests.contracts.off_policy_contract import OffPolicyContract
from tests.contracts.trees import assert_same

SETTINGS: dict[str, Any] = {
    "network": {"hidden": (32, 32), "activation": "relu"},
    "learning_rate": 3e-3,
    "temperature": 0.01,
    "tune_temperature": False,
    "start_random": 200,
    "tau": 0.05,
    "replay": {"warm_up": 100, "learn_every": 4, "batch": 64},
}


class TestSAC(ContinuousContract):
    module, config = sac, sac.SACConfig
    settings: ClassVar[dict[str, Any]] = SETTINGS

    def test_the_temperature_brings_the_entropy_to_its_target(self) -> None:
        agent = self.build(self.spec(), 4, tune_temperature=True, temperature=1.0, learning_rate=1e-2)
        window = self.window(agent, self.spec())
        window.percept.reward.zero_()
        entropies = [float(agent.learn(window).metrics["policy/entropy"]) for _ in range(800)]
        assert sum(entropies[-200:]) / 200 == pytest.approx(-1.0, abs=0.3)  # one dimension

    def test_target_by_hand(self) -> None:
        agent = self.build(self.spec(), 4, temperature=0.5)
        batch = read(self.window(agent, self.spec(), ended=True), 0.9, agent.see)
        chance = agent.generator
        torch.testing.assert_close(agent.target(batch, chance), batch.reward)  # the task ended: nothing lies beyond
        batch = read(self.window(agent, self.spec()), 0.9, agent.see)
        state = chance.get_state()
        found = agent.target(batch, chance)
        chance.set_state(state)
        distribution = agent.actor(batch.next_obs)
        raw = distribution.sample(chance)
        both = agent.q.target(batch.next_obs, -1.0 + 2.0 * raw.tanh())
        wanted = torch.minimum(both[0], both[1]) - 0.5 * distribution.log_prob(raw)
        torch.testing.assert_close(found, batch.reward + 0.9 * wanted)

    def test_policy_loss_and_its_gradient_by_hand(self) -> None:
        """Mean u, spread 1: log pi = -e^2 / 2 - log(2 pi) / 2 - log(1 - tanh(u)^2), e the draw, here at mean 0."""
        agent = self.build(self.spec(), 4, temperature=0.5)
        with torch.no_grad():
            for parameter in agent.actor.parameters():
                parameter.zero_()
        batch = read(self.window(agent, self.spec()), 0.9, agent.see)
        # the first critic is the lesser of samples 0 and 2 and climbs with the action, the second of 1 and 3 falls
        above = torch.tensor([0.0, 50.0, 0.0, 50.0])
        agent.q.Q_function = lambda obs, action: torch.stack([3.0 * action[:, 0] + above, 25.0 - 2.0 * action[:, 0]])
        chance = torch.Generator().manual_seed(1)
        loss, _, entropy = agent.loss(batch, chance)
        loss.backward()
        draws = torch.empty(4, 1).normal_(generator=torch.Generator().manual_seed(1)).flatten().tolist()
        losses, slopes, densities = [], [], []
        for place, draw in enumerate(draws):
            squashed = math.tanh(draw)
            action, edge = -1.0 + 2.0 * squashed, 1.0 - squashed**2  # the lever goes from -3 to 1
            lesser, climb = (3.0 * action, 3.0) if place % 2 == 0 else (25.0 - 2.0 * action, -2.0)
            densities.append(-(draw**2) / 2.0 - math.log(2.0 * math.pi) / 2.0 - math.log(edge))
            losses.append(0.5 * densities[-1] - lesser)
            slopes.append(0.5 * 2.0 * squashed - climb * 2.0 * edge)  # d log pi / d mean = 2 tanh(u)
        assert loss.item() == pytest.approx(sum(losses) / 4, rel=1e-5)
        torch.testing.assert_close(entropy, -torch.tensor(densities))
        assert agent.actor.readout.whole.bias.grad[0].item() == pytest.approx(sum(slopes) / 4, rel=1e-4)

    @pytest.mark.parametrize(("given", "log_std"), [(-1e3, -20.0), (-19.0, -19.0), (1.5, 1.5), (1e3, 2.0)])
    def test_the_spread_of_the_policy_stays_within_its_bounds(self, given: float, log_std: float) -> None:
        agent = self.build(self.spec(), 1)
        with torch.no_grad():
            for parameter in agent.actor.parameters():
                parameter.zero_()
            agent.actor.readout.whole.bias.copy_(torch.tensor([0.3, given]))  # mean and log of the spread
        distribution = agent.actor(torch.zeros(1, 1))
        torch.testing.assert_close(distribution.log_std, torch.tensor([[log_std]]))
        raw = distribution.sample(torch.Generator().manual_seed(0))
        assert distribution.log_prob(raw).isfinite().all()

    def test_the_target_of_the_entropy_is_minus_one_for_each_action_unless_said_otherwise(self) -> None:
        spec = worlds.spec_of(worlds.vector(lambda: worlds.Aim(spaces.Box(-2.0, 3.0, (3,), np.float32)), 1))
        assert self.build(spec, 4).side.wanted(None).item() == -3.0
        assert self.build(self.spec(), 4).side.wanted(None).item() == -1.0
        assert self.build(spec, 4, target_entropy=-7.5).side.wanted(None).item() == -7.5

    def test_a_temperature_that_is_not_tuned_stays(self) -> None:
        agent = self.build(self.spec(), 4, tune_temperature=False, temperature=0.2)
        window = self.window(agent, self.spec())
        assert [float(agent.learn(window).metrics["policy/temperature"]) for _ in range(3)] == pytest.approx([0.2] * 3)

    def test_a_loss_changes_nothing(self) -> None:
        agent = self.build(self.spec(), 4)
        batch = read(self.window(agent, self.spec()), 0.9, agent.see)
        before = copy.deepcopy(agent.state_dict())
        losses = [agent.loss(batch, torch.Generator().manual_seed(1)) for _ in range(2)]
        assert losses[0][0].item() == losses[1][0].item()
        assert_same(before, agent.state_dict())


class TestDiscreteSAC(OffPolicyContract):
    module, config = sac, sac.SACConfig
    settings: ClassVar[dict[str, Any]] = SETTINGS
    action_spaces = ((spaces.Discrete(3, start=-1), False),)

    def check_portrayed_values(self, agent: Any, values: dict[str, torch.Tensor]) -> None:
        with torch.no_grad():
            first, second = agent.q.Q_function(agent.learned.obs, agent.learned.action)
        assert first.shape == (agent.replay.batch,)
        assert_same(values, {"value/q1": first, "value/q2": second})

    def value(self, agent: Any, obs: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return agent.q.Q_function(obs).mean(0).max(-1).values

    def test_the_temperature_brings_the_entropy_to_its_target(self) -> None:
        agent = self.build(self.spec(), 4, tune_temperature=True, temperature=0.01, target_entropy_scale=0.5)
        window = self.window(agent, self.spec())
        entropies = [float(agent.learn(window).metrics["policy/entropy"]) for _ in range(2000)]
        assert sum(entropies[-300:]) / 300 == pytest.approx(0.5 * math.log(2.0), abs=0.1)

    def test_the_target_of_the_entropy_is_that_of_the_actions_allowed(self) -> None:
        agent = self.build(worlds.spec_of(worlds.vector(worlds.Masked, 1)), 4, target_entropy_scale=0.5)
        mask = torch.tensor([[True, True, False, False], [True] * 4, [False, True, False, False]])
        wanted = torch.tensor([0.5 * math.log(2.0), 0.5 * math.log(4.0), 0.0])
        torch.testing.assert_close(agent.side.wanted(mask), wanted)
        assert agent.side.wanted(None).item() == pytest.approx(0.5 * math.log(4.0))

    def test_random_actions_are_allowed_ones(self) -> None:
        agent = self.build(worlds.spec_of(worlds.vector(worlds.Masked, 1)), 500, start_random=1000)
        mask = torch.tensor([[True, False, False, True]] * 500)
        action = agent.act(see([[0.0] * 4] * 500)._replace(mask=mask), None, explore=True).action
        assert set(action.tolist()) == {0, 3}
        assert 200 < (action == 0).sum().item() < 300

    def test_forbidden_actions_count_for_nothing_in_the_target(self) -> None:
        spec = worlds.spec_of(worlds.vector(worlds.Masked, 1))
        agent = self.build(spec, 4)
        batch = read(self.window(agent, spec), 0.9, agent.see)
        batch = batch._replace(next_mask=torch.tensor([[True, False, False, False]] * 4))
        q = agent.q.Q_future_function(batch.next_obs)[:, 0]  # the one action left has no entropy
        torch.testing.assert_close(agent.target(batch, agent.generator), batch.reward + 0.9 * q)

    def test_actions_are_counted_from_the_start_of_their_space(self) -> None:
        envs = worlds.vector(lambda: worlds.Aim(spaces.Discrete(3, start=-1)), 1)
        agent = self.build(worlds.spec_of(envs), 4)
        obs = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
        every = agent.q.Q_function(obs)
        chosen = agent.q.Q_function(obs, torch.tensor([-1, 0, 1, -1]))
        torch.testing.assert_close(chosen, every[:, torch.arange(4), torch.tensor([0, 1, 2, 0])])
