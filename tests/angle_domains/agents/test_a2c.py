from typing import Any, ClassVar

import torch

from angle_domains.actor_critic import Samples
from angle_domains.agents import a2c
from tests.contracts import worlds
from tests.contracts.actor_critic_contract import ActorCriticContract


class TestA2C(ActorCriticContract):
    module, config = a2c, a2c.A2CConfig
    settings: ClassVar[dict[str, Any]] = {"learning_rate": 2e-2, "entropy_weight": 0.0, "network": {"hidden": (16, 16)}}
    probe_steps = 10_000

    def test_loss_of_two_samples_by_hand(self) -> None:
        envs = worlds.vector(worlds.Match, 2)
        agent = self.build(worlds.spec_of(envs), 2, entropy_weight=0.1)
        with torch.no_grad():  # p = (1/2, 1/2), V = 0 everywhere
            for parameter in agent.core.parameters:
                parameter.zero_()
        numbers = torch.tensor([[-9.0, 2.0, 1.0, 0.0], [-9.0, -1.0, 0.4, 0.3]])
        loss, parts = agent.loss(Samples(torch.zeros(2, 1), torch.tensor([0, 1]), numbers, None))
        policy = 0.6931472 * (2.0 - 1.0) / 2
        value = (0.5 * 1.0**2 + 0.5 * 0.4**2) / 2
        torch.testing.assert_close(parts[0].item(), policy)
        torch.testing.assert_close(parts[1].item(), value)
        torch.testing.assert_close(loss.item(), policy + 0.5 * value - 0.1 * 0.6931472)

    def test_the_learning_rate_falls_by_updates(self) -> None:
        spec = worlds.market_spec()
        agent = self.build(spec, 3, anneal_steps=5 * 3 * 2, learning_rate=0.1)
        window = self.window(agent, spec, 3)
        rates = [agent.learn(window).metrics["optimiser/learning_rate"] for _ in range(3)]
        torch.testing.assert_close(rates, [0.1, 0.05, 0.0])
