from typing import Any, ClassVar

import torch

from angle_domains import loops
from angle_domains.agents import agent57
from angle_domains.directed import ARM
from tests.angle_domains.agents.test_ngu import SETTINGS, DirectedContract, answer, by_hand, ending, squashed
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

    def cores(self, agent: Any) -> list[Any]:
        return agent.cores

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
        agent.bandit.record(torch.tensor([7, 4]), torch.tensor([3.0, 1.0], dtype=torch.float64), over)
        assert agent.act(see([[0.0]]), None, explore=False).memory.arm.tolist() == [7]

    def test_losses_by_hand(self) -> None:
        """Four rows of two streams: in one the task ends at the second action, in the other nothing ends."""
        agent = self.build(
            self.spec(), 2, burn_in=0, trace=3, period=3, novelty_gamma=0.6, novelty_weight=0.3, lambda_=0.9
        )
        held, ours = ([0.5, -0.25], [0.25, 1.5]), ([1.0, 2.0], [0.5, 3.0])
        for core, theirs, mine in zip(agent.cores, held, ours, strict=True):
            answer(core.target, theirs)
            answer(core.online, mine)
        beta, gamma = agent.explorer.family
        window = ending(beta)
        earning = squashed(by_hand(window, held[0], torch.zeros_like(beta), gamma, 0.9, weight=1.0))
        one = torch.ones_like(beta)
        novelty = squashed(by_hand(window, held[1], one, 0.6 * one, 0.9, weight=0.0))
        counts = torch.tensor([[1.0, 1.0], [1.0, 1.0], [0.0, 1.0]])
        errors = [(w - torch.tensor(m)[window.action]) * counts for w, m in zip((earning, novelty), ours, strict=True)]
        losses, _, priority = agent.loss(window)
        wanted = [((0.5 * error.square()).sum(0) * window.weight).mean() for error in errors]
        torch.testing.assert_close(torch.stack(losses).detach(), torch.stack(wanted))
        size = errors[0].abs() + beta[window.extras[ARM][:-1]] * errors[1].abs()
        torch.testing.assert_close(priority, 0.9 * size.amax(0) + 0.1 * size.sum(0) / counts.sum(0))

    def test_either_loss_moves_its_own_network_alone(self) -> None:
        agent = self.build(self.spec(), 4)
        losses, _, _ = agent.loss(self.window(agent, self.spec()))
        losses[1].backward()
        assert all(parameter.grad is None for parameter in agent.earning.parameters)
        assert any(parameter.grad is not None for parameter in agent.novelty.parameters)
        assert all(parameter.grad is None for parameter in agent.explorer.parameters)
