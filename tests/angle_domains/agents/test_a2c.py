from typing import Any, ClassVar

import pytest
import torch

from angle_domains.actor_critic import Samples
from angle_domains.agents import a2c
from angle_domains.optim import RMSpropTF
from tests.contracts import worlds
from tests.contracts.actor_critic_contract import ActorCriticContract


class TestA2C(ActorCriticContract):
    module, config = a2c, a2c.A2CConfig
    settings: ClassVar[dict[str, Any]] = {"learning_rate": 2e-2, "entropy_weight": 0.0, "network": {"hidden": (16, 16)}}
    probe_steps = 10_000

    @pytest.mark.parametrize("normalise", [True, False])
    def test_loss_of_two_samples_by_hand(self, normalise: bool) -> None:
        envs = worlds.vector(worlds.Match, 2)
        agent = self.build(worlds.spec_of(envs), 2, normalise_advantage=normalise, entropy_weight=0.1)
        with torch.no_grad():  # p = (1/2, 1/2), V = 0 everywhere
            for parameter in agent.core.parameters:
                parameter.zero_()
        numbers = torch.tensor([[-9.0, 2.0, 1.0, 0.0], [-9.0, -1.0, 0.4, 0.3]])
        loss, parts = agent.loss(Samples(torch.zeros(2, 1), torch.tensor([0, 1]), numbers, None))
        policy = 0.0 if normalise else 0.6931472 * (2.0 - 1.0) / 2  # normalised, 2 and -1 are opposite
        value = (0.5 * 1.0**2 + 0.5 * 0.4**2) / 2
        torch.testing.assert_close(parts[0].item(), policy, atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(parts[1].item(), value)
        torch.testing.assert_close(loss.item(), policy + 0.5 * value - 0.1 * 0.6931472, atol=1e-6, rtol=1e-6)

    def test_the_learning_rate_falls_by_updates(self) -> None:
        spec = worlds.market_spec()
        agent = self.build(spec, 3, anneal_steps=5 * 3 * 2, learning_rate=0.1)
        window = self.window(agent, spec, 3)
        told, used = [], []
        for _ in range(3):
            told.append(agent.learn(window).metrics["optimiser/learning_rate"])
            used.append(agent.optimizer.param_groups[0]["lr"])
        assert told == used == pytest.approx([0.1, 0.05, 0.0])

    def test_the_optimiser_and_the_defaults_are_the_published_ones(self) -> None:
        config = a2c.A2CConfig()
        assert (config.horizon, config.gamma, config.lambda_, config.learning_rate) == (5, 0.99, 1.0, 7e-4)
        assert (config.entropy_weight, config.value_weight, config.max_grad_norm) == (0.01, 0.5, 0.5)
        assert not config.normalise_advantage
        optimizer = self.build(worlds.market_spec(), 3).optimizer
        assert isinstance(optimizer, RMSpropTF)
        assert (optimizer.param_groups[0]["alpha"], optimizer.param_groups[0]["eps"]) == (0.99, 1e-5)
