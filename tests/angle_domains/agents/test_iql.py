import math
from typing import Any, ClassVar

import pytest
import torch

from angle_domains.agents import iql
from angle_domains.transitions import read
from tests.contracts.offline_contract import OfflineBoxContract, OfflineContract, critics_portrayed


class TestIQL(OfflineContract):
    module, config = iql, iql.IQLConfig
    settings: ClassVar[dict[str, Any]] = {
        "network": {"hidden": (32, 32), "activation": "relu"},
        "learning_rate": 3e-3,
        "expectile": 0.9,
        "tau": 0.05,
        "replay": {"batch": 64},
    }

    def check_portrayed_values(self, agent: Any, values: dict[str, torch.Tensor]) -> None:
        critics_portrayed(agent, values)

    def value(self, agent: Any, obs: torch.Tensor) -> torch.Tensor:
        """Of what was done best: the critics' greatest value."""
        with torch.no_grad():
            return agent.q.Q_function(obs).mean(0).max(-1).values

    def test_losses_by_hand(self) -> None:
        """Targets 2 and 3 of the critics, V = 1, two choices alike: error 1, weight e^(3 · 1), surprise log 2."""
        agent = self.build(self.spec(), 4, expectile=0.7, beta=3.0)
        with torch.no_grad():
            for parameter in (*agent.q.target.parameters(), *agent.model.parameters()):
                parameter.zero_()
            agent.q.target.layers.biases[-1].copy_(torch.tensor([2.0, 3.0]).reshape(2, 1, 1).expand(2, 1, 2))
            agent.model.value_out.bias.fill_(1.0)
        batch = read(self.window(agent, self.spec()), 0.5, agent.see)
        value, policy = agent.loss(batch)
        torch.testing.assert_close(value, torch.full((4,), 0.7))
        torch.testing.assert_close(policy, torch.full((4,), math.exp(3.0) * math.log(2.0)))
        torch.testing.assert_close(agent.target(batch), batch.reward + 0.5 * 1.0)

    def test_a_weight_has_a_bound(self) -> None:
        agent = self.build(self.spec(), 4, beta=1000.0, most_weight=7.0)
        with torch.no_grad():
            agent.q.target.layers.biases[-1].fill_(50.0)
            for parameter in agent.model.parameters():
                parameter.zero_()
        _, policy = agent.loss(read(self.window(agent, self.spec()), 0.5, agent.see))
        torch.testing.assert_close(policy, torch.full((4,), 7.0 * math.log(2.0)))


class TestBoxIQL(OfflineBoxContract):
    module, config = iql, iql.IQLConfig
    settings: ClassVar[dict[str, Any]] = TestIQL.settings

    def check_portrayed_values(self, agent: Any, values: dict[str, torch.Tensor]) -> None:
        critics_portrayed(agent, values)


@pytest.mark.slow
class TestSquashedBoxIQL(TestBoxIQL):
    test_values_of_probe_worlds: ClassVar[None] = None  # those of its sister class say it
    settings: ClassVar[dict[str, Any]] = TestIQL.settings | {"head": "squashed"}
