from typing import Any, ClassVar

import pytest
import torch

from angle_domains.agents import qrdqn
from angle_domains.transitions import Transitions
from tests.contracts.value_contract import ValueContract, answer, with_forbidden


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

    @pytest.mark.parametrize(
        ("double", "chosen"),
        [(False, [[4.0, 6.0], [9.0, -9.0], [4.0, 6.0]]), (True, [[4.0, 6.0], [9.0, -9.0], [9.0, -9.0]])],
    )
    def test_a_forbidden_action_is_not_bootstrapped_from(self, double: bool, chosen: list[list[float]]) -> None:
        agent = self.build(self.spec(), 3, quantiles=2, double=double)
        answer(agent.core.online, [[0.0, 0.0], [1.0, 2.0]])  # would choose action 1
        answer(agent.core.target, [[4.0, 6.0], [9.0, -9.0]])  # means 5 and 0: would choose action 0
        torch.testing.assert_close(agent.target(with_forbidden()), 1.0 + 0.5 * torch.tensor(chosen))

    def test_a_dueling_network_adds_quantiles_of_value_to_those_of_advantage_less_their_mean(self) -> None:
        assert self.build(self.spec(), 1).core.online.value is None
        agent = self.build(self.spec(), 1, quantiles=2, dueling=True, head_hidden=(4,))
        network = agent.core.online
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.zero_()
            network.advantage.layers[-1].bias.copy_(torch.tensor([1.0, 2.0, 3.0, 8.0]))  # an action a row
            network.value.layers[-1].bias.copy_(torch.tensor([10.0, 20.0]))
            found = network(torch.zeros(1, 1))
        # quantile by quantile: means 2 and 5 over the actions
        torch.testing.assert_close(found, torch.tensor([[[10.0 - 1.0, 20.0 - 3.0], [10.0 + 1.0, 20.0 + 3.0]]]))

    def test_rewards_of_n_steps_are_summed_before_it_bootstraps(self) -> None:
        for steps, earned in ((1, 1.0), (3, 1.0 + 0.5 * 2.0 + 0.25 * 4.0)):
            agent = self.build(self.spec(), 4, quantiles=2, n_step=steps, gamma=0.5)
            assert agent.length == steps
            answer(agent.core.target, [[4.0, 6.0], [0.0, 0.0]])
            window = self.window(agent, self.spec())
            window.percept.reward[1:] = torch.tensor([1.0, 2.0, 4.0])[:steps].unsqueeze(-1)
            batch = agent.core.transitions(window)
            assert torch.equal(batch.next_obs, window.obs[steps])
            wanted = earned + 0.5**steps * torch.tensor([4.0, 6.0])
            torch.testing.assert_close(agent.target(batch), wanted.expand(4, -1))

    def test_priorities_are_the_losses_of_the_samples_where_the_replay_is_prioritised(self) -> None:
        for prioritised in (True, False):
            agent = self.build(self.spec(), 4, replay={"prioritised": prioritised})
            window = self.window(agent, self.spec())
            _, _, wanted = agent.loss(agent.core.transitions(window))
            priority = agent.learn(window).priority
            assert (priority is not None) == prioritised
            assert priority is None or (torch.equal(priority, wanted) and wanted.shape == (4,) and wanted.min() > 0.0)


class TestQRDQNWithItsSwitches(ValueContract):
    module, config = qrdqn, qrdqn.QRDQNConfig
    test_values_of_probe_worlds: ClassVar[None] = None  # it learns as its sister class does
    settings: ClassVar[dict[str, Any]] = TestQRDQN.settings | {
        "head_hidden": (16,),
        "double": True,
        "dueling": True,
        "n_step": 3,
        "replay": TestQRDQN.settings["replay"] | {"prioritised": True},
    }
