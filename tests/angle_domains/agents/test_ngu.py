from typing import Any, ClassVar

import pytest
import torch
from gymnasium import spaces

from angle_domains.agents import ngu
from angle_domains.directed import ARM, BEHAVIOUR, NOVELTY
from angle_domains.errors import ConfigError
from angle_domains.replay import ReplayBuffer, experienced_sequences
from angle_domains.types import Percept, Window
from feeds.base import FeedSpec
from tests.contracts import worlds
from tests.contracts.agent_contract import see
from tests.contracts.off_policy_contract import STREAMS, OffPolicyContract

SETTINGS: dict[str, Any] = {
    "network": {"hidden": (32,), "activation": "relu", "recurrent": 16},
    "head_hidden": (32,),
    "burn_in": 2,
    "trace": 6,
    "period": 4,
    "learning_rate": 3e-3,
    "adam_epsilon": 1e-6,
    "target_every": 20,
    "replay": {"capacity": 6_000, "warm_up": 200, "learn_every": 8, "batch": 16},
}


class DirectedContract(OffPolicyContract):
    """What NGU and Agent57 share."""

    action_spaces = ((spaces.Discrete(3, start=-1), False),)

    def remember(self, agent: Any, streams: int, seed: int) -> ReplayBuffer:
        return experienced_sequences(agent, streams=streams, steps=10_000, stack=0, seed=seed, device="cpu")

    def value(self, agent: Any, obs: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return agent.worth(obs).max(-1).values

    def window(self, agent: Any, spec: FeedSpec, *, ended: bool = False) -> Window:
        plain, chance = super().window(agent, spec, ended=ended), torch.Generator().manual_seed(6)
        shape = plain.percept.first.shape
        extras = {
            NOVELTY: torch.rand(shape, generator=chance),
            ARM: torch.randint(agent.config.policies, shape, generator=chance),
            BEHAVIOUR: torch.rand(shape, generator=chance),
        }
        return Window(plain.percept, plain.action, extras, plain.weight)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("world", "observations", "values"),
        [(worlds.Told, [[-1.0], [1.0]], [-1.0, 1.0]), (worlds.Match, [[-1.0], [1.0]], [1.0, 1.0])],
    )
    def test_values_of_probe_worlds(self, world: Any, observations: list[list[float]], values: list[float]) -> None:
        """Where novelty counts nothing."""
        agent, _ = self.run(worlds.vector(world, 8), self.probe_steps, novelty_weight=0.0)
        found = self.value(agent, torch.tensor(observations))
        torch.testing.assert_close(found, torch.tensor(values), atol=0.15, rtol=0.0)

    def test_what_follows_the_end_of_a_task_changes_nothing(self) -> None:
        """Of the rows before it; here those beyond are all of resets, else the next episode would be learned from."""
        told = []
        for noise in (0.0, 5.0):
            agent = self.build(self.spec(), STREAMS, burn_in=0)
            window = self.window(agent, self.spec(), ended=True)
            window.percept.last[1:] = True
            window.percept.obs[1:] += noise
            window.percept.reward[2:] += noise
            window.extras[NOVELTY][2:] += noise
            window.weight.fill_(0.7)
            metrics = agent.learn(window).metrics
            told.append([float(value) for name, value in metrics.items() if name.startswith("loss/q")])
        assert told[0] == pytest.approx(told[1], rel=1e-4)

    def test_a_memory_is_refused(self) -> None:
        """Here it is the want of one."""
        with pytest.raises(ValueError, match=r"network.recurrent is 0"):
            self.build(self.spec(), STREAMS, network={"hidden": (16,)})

    def test_records_are_no_school(self) -> None:
        agent = self.build(self.spec(), STREAMS)
        told = self.window(agent, self.spec())
        with pytest.raises(ConfigError, match="learns from its own decisions alone"):
            agent.learn(Window(told.percept, told.action, {}, told.weight))

    def test_how_likely_a_decision_was_is_kept(self) -> None:
        """Epsilon is shared by the allowed actions, the best one has the rest."""
        agent = self.build(self.spec(), 3)
        agent.epsilons = torch.tensor([0.0, 0.5, 1.0])
        allowed = torch.tensor([[True, True], [True, True], [True, False]])
        best = agent.act(see([[0.3]] * 3), None, explore=True).action[0]
        for _ in range(20):
            decision = agent.act(see([[0.3]] * 3)._replace(mask=allowed), None, explore=True)
            likely = decision.extras[BEHAVIOUR]
            assert likely[0] == 1.0
            assert likely[2] == 1.0
            assert decision.action[2] == 0
            if decision.extras[ARM][0] == decision.extras[ARM][1]:
                assert likely[1] == (0.75 if decision.action[1] == best else 0.25)

    def test_what_is_new_is_told_by_the_episode(self) -> None:
        agent = self.build(self.spec(), 2)
        memory, seen = None, []
        for tick, place in enumerate((0.0, 0.7, 0.7, 0.7, -0.9)):
            percept = see([[place]] * 2)._replace(first=torch.tensor([tick == 0, tick in (0, 3)]))
            decision = agent.act(percept, memory, explore=True)
            memory = decision.memory
            seen.append(decision.extras[NOVELTY])
        novelty = torch.stack(seen)
        assert (novelty[0] == 0.0).all()
        assert novelty[1, 0] > 5.0 * novelty[2, 0]  # seen before
        assert novelty[3, 1] == 0.0  # another episode begins


class TestNGU(DirectedContract):
    module, config = ngu, ngu.NGUConfig
    settings: ClassVar[dict[str, Any]] = {**SETTINGS, "policies": 3, "gamma": 0.5, "shortest_gamma": 0.4}

    def test_streams_follow_policies_in_turn_and_the_first_without_exploration(self) -> None:
        agent = self.build(self.spec(), 5)
        assert agent.act(see([[0.0]] * 5), None, explore=True).extras[ARM].tolist() == [0, 1, 2, 0, 1]
        assert agent.directed.family.beta[0] == 0.0
        assert agent.directed.family.gamma.tolist() == pytest.approx([0.5, 1 - (0.5 * 0.6) ** 0.5, 0.4])

    def test_loss_by_hand(self) -> None:
        """One action each, of two policies, the first of which ends the task and the second the record.

        Rewards 1, novelty 2 at weights 0 and .3; the target network holds 0 of everything, the online 1: errors are
        h(1) - 1 and h(1 + .3 · 2) - 1.
        """
        agent = self.build(self.spec(), 2, policies=2, burn_in=0, trace=1, period=1, eta=0.9)
        for network, number in ((agent.core.online, 1.0), (agent.core.target, 0.0)):
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter.zero_()
                network.value.layers[-1].bias.fill_(number)
        no = torch.zeros(2, 2, dtype=torch.bool)
        last = torch.tensor([[False, False], [True, True]])
        one = torch.ones(2, 2)
        percept = Percept(one.unsqueeze(-1), one.long(), one, torch.tensor([[1.0, 1.0], [0.0, 1.0]]), no, last)
        extras = {NOVELTY: 2.0 * one, ARM: torch.tensor([[0, 1], [0, 1]]), BEHAVIOUR: one}
        window = Window(percept, one[1:].long(), extras, torch.tensor([1.0, 0.5]))
        wanted = torch.tensor([2.0**0.5 - 1 + 1e-3 - 1, 2.6**0.5 - 1 + 1.6e-3 - 1])
        loss, _, priority = agent.loss(window)
        torch.testing.assert_close(priority, wanted.abs())
        torch.testing.assert_close(loss.detach(), (0.5 * wanted.square() * window.weight).mean())
