import math
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from gymnasium import spaces

from angle_domains.agents import cql
from angle_domains.errors import ConfigError
from angle_domains.loops import OfflineState, offline
from angle_domains.replay import recorded
from angle_domains.transitions import Transitions, read
from feeds.base import FeedSpec
from tests.contracts import worlds
from tests.contracts.agent_contract import see
from tests.contracts.offline_contract import OfflineBoxContract, OfflineContract, critics_portrayed, spec_of_choices
from tests.contracts.trees import assert_same
from tests.contracts.value_contract import ValueContract, answer
from tests.logs import lucky, rows_of


class TestChoiceCQL(OfflineContract):
    module, config = cql, cql.CQLConfig
    settings: ClassVar[dict[str, Any]] = {
        "network": {"hidden": (32, 32), "activation": "relu"},
        "learning_rate": 3e-3,
        "alpha": 0.01,
        "target_every": 20,
        "replay": {"batch": 64},
    }
    value, check_portrayed_values = ValueContract.value, ValueContract.check_portrayed_values

    @pytest.mark.parametrize(("alpha", "double"), [(0.0, True), (0.5, True), (0.5, False)])
    def test_loss_by_hand(self, alpha: float, double: bool) -> None:
        """Values log 1 and log 3 of the online network, 4 and -8 of the target network.

        The gap of action 1 is log 4 - log 3. The first task ended: target 1. The record of the second did: 1 + .5 v.
        """
        agent = self.build(self.spec(), 2, alpha=alpha, double=double)
        answer(agent.core.online, [[0.0], [math.log(3.0)]])
        answer(agent.core.target, [[4.0], [-8.0]])
        batch = Transitions(
            obs=torch.zeros(2, 1),
            mask=None,
            action=torch.tensor([1, 1]),
            reward=torch.ones(2),
            discount=torch.tensor([0.0, 0.5]),
            next_obs=torch.zeros(2, 1),
            next_mask=None,
            weight=torch.tensor([1.0, 0.5]),
        )
        targets = [1.0, 1.0 + 0.5 * (-8.0 if double else 4.0)]
        torch.testing.assert_close(agent.target(batch), torch.tensor(targets))
        loss, _, priority = agent.loss(batch)
        errors, gap = [target - math.log(3.0) for target in targets], math.log(4.0 / 3.0)
        each = [0.5 * error**2 + alpha * gap for error in errors]
        assert loss.item() == pytest.approx((each[0] + 0.5 * each[1]) / 2, rel=1e-5)
        torch.testing.assert_close(priority, torch.tensor(errors).abs())

    @pytest.mark.parametrize("critics", [1, 2])
    def test_bounds_hold_what_the_gap_adds_up(self, critics: int) -> None:
        """A row of five steps at whose end 1 is earned, the same action at nine of ten: with an alpha of 1 it is lifted
        at every step, and the sum goes beyond what can be earned by more than one lift unless targets have bounds."""
        episodes = [
            {
                "obs": np.eye(6)[:, :5],
                "action": [int(n % 10 == k) for k in range(5)],
                "reward": [0.0] * 4 + [1.0],
                "ended": True,
            }
            for n in range(50)
        ]
        rows, believed = rows_of(episodes), []
        spec = FeedSpec("row", spaces.Box(-1.0, 1.0, (5,), np.float32), spaces.Discrete(2))
        for bounds in (None, (0.0, 1.0)):
            agent = self.build(
                spec,
                1,
                alpha=1.0,
                bounds=bounds,
                critics=critics,
                gamma=1.0,
                tau=0.2,
                learning_rate=1e-2,
                replay={"batch": 128},
            )
            list(offline(agent, recorded(rows, agent, seed=0, device="cpu"), OfflineState(), steps=200))
            decision = agent.act(see([[1.0, 0.0, 0.0, 0.0, 0.0]]), None, explore=False)
            believed.append(decision.extras["q"].max().item())
        assert believed[0] > 1.4
        assert 0.9 < believed[1] < 1.3

    def test_bounds_rise(self) -> None:
        with pytest.raises(ValueError, match="bounds are the lowest return and the highest, not 1 and 0"):
            cql.CQLConfig(bounds=(1.0, 0.0))

    def test_a_tau_lets_the_target_follow_at_every_update(self) -> None:
        agent = self.build(self.spec(), 4, tau=0.25)
        before = [p.clone() for p in agent.core.target.parameters()]
        agent.learn(self.window(agent, self.spec()))
        for old, held, now in zip(before, agent.core.target.parameters(), agent.core.parameters, strict=True):
            torch.testing.assert_close(held, old + 0.25 * (now.detach() - old))

    def test_forbidden_actions_are_not_bootstrapped_from(self) -> None:
        agent = self.build(self.spec(), 4, gamma=0.5)
        answer(agent.core.online, [[0.0], [9.0]])
        answer(agent.core.target, [[1.0], [9.0]])
        batch = agent.core.transitions(self.window(agent, self.spec()))
        batch = batch._replace(next_mask=torch.tensor([[True, False]] * 4))
        torch.testing.assert_close(agent.target(batch), batch.reward + 0.5 * 1.0)

    def test_rare_luck_is_not_believed(self) -> None:
        """Forty actions taken once each and by luck good, one taken often that earns a half: trap 9.

        Without the gap the agent believes in 1 and gets 0; with it, it does what is known.
        """
        rows = lucky()
        believed, chosen = [], []
        for alpha in (0.0, 1.0):
            agent = self.build(spec_of_choices(41), 1, alpha=alpha, replay={"batch": 240})
            list(offline(agent, recorded(rows, agent, seed=0, device="cpu"), OfflineState(), steps=500))
            decision = agent.act(see([[0.0]]), None, explore=False)
            believed.append(decision.extras["q"].max().item())
            chosen.append(int(decision.action))
        assert believed[0] > 0.75
        assert chosen[0] < 40
        assert chosen[1] == 40


class TestChoiceCQLOfSeveralSteps(OfflineContract):
    module, config = cql, cql.CQLConfig
    test_values_of_probe_worlds: ClassVar[None] = None  # those of its sister class say it
    settings: ClassVar[dict[str, Any]] = TestChoiceCQL.settings | {"n_step": 3, "tau": 0.05, "dueling": True}
    value, check_portrayed_values = ValueContract.value, ValueContract.check_portrayed_values


class TestTwinCQL(OfflineContract):
    module, config = cql, cql.CQLConfig
    test_values_of_probe_worlds: ClassVar[None] = None  # those of one critic say it
    settings: ClassVar[dict[str, Any]] = TestChoiceCQL.settings | {"critics": 2, "tau": 0.05}

    def value(self, agent: Any, obs: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return agent.q.Q_function(agent.see(obs)).amin(0).max(-1).values

    def check_portrayed_values(self, agent: Any, values: dict[str, torch.Tensor]) -> None:
        with torch.no_grad():
            q = agent.q.Q_function(agent.learned.obs, agent.first + agent.learned.action)
        assert_same(values, {"value/q1": q[0], "value/q2": q[1]})

    @pytest.mark.parametrize("double", [True, False])
    def test_loss_by_hand(self, double: bool) -> None:
        """Critics hold 0 and log 3, and 0 and 0; their targets 4 and -8, and 2 and 5.

        The lesser targets are 2 and -8, the lesser online values 0 and 0: double takes the first action, and so does
        the best of the lesser targets. The first task ended: target 1, the second's is 1 + .5 * 2.
        """
        agent = self.build(self.spec(), 2, alpha=0.5, double=double)
        for critics, biases in (
            (agent.q.online, [[0.0, math.log(3.0)], [0.0, 0.0]]),
            (agent.q.target, [[4, -8], [2, 5]]),
        ):
            with torch.no_grad():
                for parameter in critics.parameters():
                    parameter.zero_()
                critics.layers.biases[-1].copy_(torch.tensor(biases, dtype=torch.float32).unsqueeze(1))
        batch = Transitions(
            obs=torch.zeros(2, 1),
            mask=None,
            action=torch.tensor([1, 1]),
            reward=torch.ones(2),
            discount=torch.tensor([0.0, 0.5]),
            next_obs=torch.zeros(2, 1),
            next_mask=None,
            weight=torch.tensor([1.0, 0.5]),
        )
        torch.testing.assert_close(agent.target(batch), torch.tensor([1.0, 2.0]))
        torch.testing.assert_close(agent.worth(torch.zeros(1, 1)), torch.tensor([[2.0, -8.0]]))
        gaps = math.log(4.0 / 3.0) + math.log(2.0)
        each = [0.5 * (t - math.log(3.0)) ** 2 + 0.5 * t**2 + 0.5 * gaps for t in (1.0, 2.0)]
        loss, _, priority = agent.loss(batch)
        assert loss.item() == pytest.approx((each[0] + 0.5 * each[1]) / 2, rel=1e-5)
        torch.testing.assert_close(priority, torch.tensor([(abs(1 - math.log(3)) + 1) / 2, (2 - math.log(3) + 2) / 2]))

    def test_what_only_one_critic_has_is_refused(self) -> None:
        with pytest.raises(ValueError, match="dueling is for one critic"):
            cql.CQLConfig(critics=2, dueling=True)

    def test_other_action_spaces_are_a_mistake_of_the_user(self) -> None:
        spec = FeedSpec("world", worlds.UNIT, spaces.MultiDiscrete([2, 2]))
        with pytest.raises(ConfigError, match="Discrete"):
            self.build(spec, 1)


class TestBoxCQL(OfflineBoxContract):
    module, config = cql, cql.CQLConfig
    settings: ClassVar[dict[str, Any]] = {
        "network": {"hidden": (32, 32), "activation": "relu"},
        "learning_rate": 3e-3,
        "alpha": 0.01,
        "tau": 0.05,
        "policy_learning_rate": 3e-3,
        "temperature": 0.01,
        "tune_temperature": False,
        "samples": 3,
        "replay": {"batch": 64},
    }

    def check_portrayed_values(self, agent: Any, values: dict[str, torch.Tensor]) -> None:
        critics_portrayed(agent, values)

    def test_bounds_hold_targets(self) -> None:
        for bounds, held in (((5.0, 6.0), 5.0), ((-6.0, -5.0), -5.0)):
            agent = self.build(self.spec(), 4, bounds=bounds)
            batch = read(self.window(agent, self.spec()), 0.9, agent.see)
            assert (agent.target(batch, agent.generator) == held).all()

    def test_the_gap_is_that_of_even_actions_and_of_the_policys(self) -> None:
        """Where both critics hold every action alike, the sum over actions of one over their density is left."""
        agent = self.build(self.spec(), 4)
        with torch.no_grad():
            for parameter in agent.q.parameters:
                parameter.zero_()
        batch = read(self.window(agent, self.spec()), 0.9, agent.see)
        state = agent.generator.get_state()
        gap = agent.gap(batch, agent.generator)
        agent.generator.set_state(state)
        agent.scale.uniform(3 * 4, agent.generator)
        here = agent._sample(batch.obs.repeat(3, 1), agent.generator)[1].unflatten(0, (3, 4))
        there = agent._sample(batch.next_obs.repeat(3, 1), agent.generator)[1].unflatten(0, (3, 4))
        total = 3 * 2.0 + (-here).exp().sum(0) + (-there).exp().sum(0)  # an even density over [-1, 1] is a half
        torch.testing.assert_close(gap, 2.0 * total.log())

    def test_alpha_rises_where_the_gap_is_too_wide_and_falls_where_it_is_not(self) -> None:
        for gap, rises in ((-100.0, True), (100.0, False)):
            agent = self.build(self.spec(), 4, gap=gap, alpha=1.0)
            window = self.window(agent, self.spec())
            told = [float(agent.learn(window).metrics["policy/alpha"]) for _ in range(5)]
            assert told[0] == 1.0
            assert (told[-1] > 1.0) == rises

    def test_even_over_the_log_its_values_are_lower_than_without_the_gap(self) -> None:
        rows, spec = self.biased(), self.spec()
        found = []
        for alpha in (0.0, 5.0):
            agent = self.build(spec, 4, alpha=alpha)
            list(offline(agent, self.record(rows, agent), OfflineState(), steps=150))
            lever = torch.linspace(-3.0, 1.0, 41).unsqueeze(-1)
            with torch.no_grad():
                found.append(agent.q.Q_function(torch.ones(41, 1), lever).mean().item())
        assert found[1] < found[0]


def test_the_space_decides_which_it_is() -> None:
    for space, kind in ((spaces.Discrete(3), cql.ChoiceCQL), (spaces.Box(-1.0, 1.0, (2,), np.float32), cql.BoxCQL)):
        spec = FeedSpec("world", worlds.UNIT, space)
        assert isinstance(cql.build(cql.CQLConfig(), spec, streams=1, seed=0, device="cpu"), kind)
