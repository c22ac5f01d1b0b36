from typing import Any, ClassVar

import torch

from angle_domains import loops
from angle_domains.agents import agent57
from angle_domains.directed import ARM, BEHAVIOUR, NOVELTY
from angle_domains.types import Percept, Window
from tests.angle_domains.agents.test_ngu import SETTINGS, DirectedContract
from tests.contracts import worlds
from tests.contracts.agent_contract import see


class TestAgent57(DirectedContract):
    module, config = agent57, agent57.Agent57Config
    settings: ClassVar[dict[str, Any]] = {
        **SETTINGS,
        "policies": 10,
        "gamma": 0.5,
        "middle_gamma": 0.45,
        "shortest_gamma": 0.4,
        "bandit": {"window": 20},
    }

    def test_a_policy_is_chosen_for_each_episode_and_told_what_it_earned(self) -> None:
        envs = worlds.vector(worlds.Recall, 2)
        agent = self.build(worlds.spec_of(envs), 2)
        state, arms, returns = loops.begin(envs, 0), [], []
        for _ in range(15):  # five rows an episode: four actions, and that of the reset
            decision = agent.act(state.percept, state.memory, explore=True)
            arms.append(decision.extras[ARM])
            returns.append(state.percept.reward)
            loops.advance(envs, state, decision.action, decision.memory)
        agent.bandit.check_valid()
        assert torch.stack(arms)[::5].tolist() == [[0, 0], [1, 1], [2, 2]]  # each is tried in turn
        assert all((torch.stack(arms)[5 * e : 5 * e + 5] == e).all() for e in range(3))
        assert agent.bandit.count.tolist() == [3, 3]
        earned = torch.stack(returns).unflatten(0, (3, 5)).sum(1).T
        assert torch.equal(agent.bandit.value[:, :3], earned.to(torch.float64))

    def test_without_exploration_the_favourite_acts(self) -> None:
        agent = self.build(self.spec(), 2)
        over, arm = torch.tensor([True, True]), torch.tensor([4, 7])
        agent.bandit.record(arm, torch.tensor([1.0, 3.0], dtype=torch.float64), over)
        assert agent.act(see([[0.0]]), None, explore=False).memory.arm.tolist() == [7]

    def test_losses_by_hand(self) -> None:
        """One action that ends the record, of the last policy: 1 is earned, the novelty is 2.

        Earning: the target network holds 3 rescaled, the online one 1; novelty: 0 and 2.
        """
        agent = self.build(self.spec(), 1, burn_in=0, trace=1, period=1, novelty_gamma=0.5, novelty_weight=0.3)
        for core, ours, held in ((agent.earning, 1.0, 3.0), (agent.novelty, 2.0, 0.0)):
            for network, number in ((core.online, ours), (core.target, held)):
                with torch.no_grad():
                    for parameter in network.parameters():
                        parameter.zero_()
                    network.value.layers[-1].bias.fill_(number)
        no, one = torch.zeros(2, 1, dtype=torch.bool), torch.ones(2, 1)
        percept = Percept(one.unsqueeze(-1), one.long(), one, one, no, torch.tensor([[False], [True]]))
        extras = {NOVELTY: 2.0 * one, ARM: torch.full((2, 1), 9), BEHAVIOUR: one}
        window = Window(percept, one[1:].long(), extras, torch.ones(1))

        def squashed(x: float) -> float:
            return (x + 1.0) ** 0.5 - 1.0 + 1e-3 * x

        low, high = 0.0, 100.0  # by bisection: what is 3 when it is rescaled
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if squashed(middle) < 3.0 else (low, middle)
        earning, novelty = squashed(1.0 + 0.4 * low) - 1.0, squashed(2.0) - 2.0  # the last policy's gamma is .4
        losses, _, priority = agent.losses(window)
        torch.testing.assert_close(torch.stack(losses).detach(), torch.tensor([earning**2 / 2, novelty**2 / 2]))
        torch.testing.assert_close(priority, torch.tensor([abs(earning) + 0.3 * abs(novelty)]))

    def test_either_loss_moves_its_own_network_alone(self) -> None:
        agent = self.build(self.spec(), 4)
        losses, _, _ = agent.losses(self.window(agent, self.spec()))
        losses[1].backward()
        assert all(parameter.grad is None for parameter in agent.earning.parameters)
        assert any(parameter.grad is not None for parameter in agent.novelty.parameters)
        assert all(parameter.grad is None for parameter in agent.directed.parameters)
