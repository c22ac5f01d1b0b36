from typing import Any, ClassVar

import torch

from angle_domains.agents import qrdqn
from angle_domains.transitions import Transitions
from tests.contracts.value_contract import ValueContract, answer


class TestQRDQN(ValueContract):
    module, config = qrdqn, qrdqn.QRDQNConfig
    settings: ClassVar[dict[str, Any]] = {
        "network": {"hidden": (32, 32), "activation": "relu"},
        "quantiles": 8,
        "learning_rate": 5e-3,
        "adam_epsilon": 1e-5,
        "target_every": 20,
        "epsilon_steps": 500,
        "replay": {"capacity": 5_000, "warm_up": 200, "learn_every": 2, "batch": 32},
    }

    def test_loss_of_a_terminated_and_a_truncated_transition_by_hand(self) -> None:
        agent = self.build(self.spec(), 2, quantiles=2)
        answer(agent.core.online, [[0.0, 0.0], [1.0, 2.0]])
        answer(agent.core.target, [[4.0, 6.0], [9.0, -9.0]])  # means 5 and 0: action 0 is bootstrapped from
        batch = Transitions(
            obs=torch.zeros(2, 1),
            mask=None,
            action=torch.tensor([1, 1]),
            reward=torch.tensor([1.0, 1.0]),
            discount=torch.tensor([0.0, 0.5]),  # the task ended; only the record did
            next_obs=torch.zeros(2, 1),
            next_mask=None,
            weight=torch.tensor([1.0, 0.5]),
        )
        torch.testing.assert_close(agent.target(batch), torch.tensor([[1.0, 1.0], [3.0, 4.0]]))
        loss, _, priority = agent.loss(batch)
        ended = 0.0 + 0.25 * 0.5  # quantiles 1 and 2 at 1/4 and 3/4, target 1: errors 0 and -1
        going = 0.25 * (1.5 + 2.5) / 2 + 0.75 * (0.5 + 1.5) / 2  # errors 2 and 3, 1 and 2: all beyond kappa = 1
        torch.testing.assert_close(priority, torch.tensor([ended, going]))
        torch.testing.assert_close(loss.item(), (ended + 0.5 * going) / 2)
