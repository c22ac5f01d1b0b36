import copy
from typing import Any, ClassVar

import pytest
import torch

from angle_domains.agents import dqn
from angle_domains.transitions import Transitions
from tests.contracts import worlds
from tests.contracts.trees import assert_same
from tests.contracts.value_contract import ValueContract, answer, with_forbidden


class TestDQN(ValueContract):
    module, config = dqn, dqn.DQNConfig
    settings: ClassVar[dict[str, Any]] = {
        "network": {"hidden": (32, 32), "activation": "relu"},
        "learning_rate": 2e-3,
        "target_every": 40,
        "epsilon_steps": 500,
        "replay": {"capacity": 5_000, "warm_up": 200, "learn_every": 2, "batch": 32},
    }

    @pytest.mark.parametrize(
        ("double", "loss", "targets", "losses"),
        [
            (False, "squared", [1.0, 1.0 + 0.5 * 4.0], [0.5, 0.5]),
            (True, "squared", [1.0, 1.0 + 0.5 * -8.0], [0.5, 0.5 * 25.0]),
            (True, "huber", [1.0, 1.0 + 0.5 * -8.0], [0.5, 5.0 - 0.5]),
        ],
    )
    def test_loss_of_a_terminated_and_a_truncated_transition_by_hand(
        self, double: bool, loss: str, targets: list[float], losses: list[float]
    ) -> None:
        agent = self.build(self.spec(), 2, double=double, loss=loss)
        answer(agent.core.online, [[0.0], [2.0]])  # chooses action 1
        answer(agent.core.target, [[4.0], [-8.0]])  # holds action 0 the better
        batch = Transitions(
            obs=torch.zeros(2, 1),
            mask=None,
            action=torch.tensor([1, 1]),
            reward=torch.ones(2),
            discount=torch.tensor([0.0, 0.5]),  # the task ended; only the record did
            next_obs=torch.zeros(2, 1),
            next_mask=None,
            weight=torch.tensor([1.0, 0.5]),
        )
        torch.testing.assert_close(agent.target(batch), torch.tensor(targets))
        got, _, priority = agent.loss(batch)
        torch.testing.assert_close(got.item(), (losses[0] + 0.5 * losses[1]) / 2)
        torch.testing.assert_close(priority, (torch.tensor(targets) - 2.0).abs())

    @pytest.mark.parametrize(("double", "values"), [(False, [4.0, -8.0, 4.0]), (True, [4.0, -8.0, -8.0])])
    def test_a_forbidden_action_is_not_bootstrapped_from(self, double: bool, values: list[float]) -> None:
        agent = self.build(self.spec(), 3, double=double)
        answer(agent.core.online, [[0.0], [2.0]])  # would choose action 1
        answer(agent.core.target, [[4.0], [-8.0]])  # would choose action 0
        torch.testing.assert_close(agent.target(with_forbidden()), 1.0 + 0.5 * torch.tensor(values))

    def test_epsilon_is_held_while_the_replay_warms_up_and_then_falls(self) -> None:
        envs = worlds.vector(worlds.Match, 4)
        agent = self.build(worlds.spec_of(envs), 4, epsilon=1.0, epsilon_end=0.2, epsilon_steps=100)
        seen = []
        for _ in range(100):
            seen.append(agent.core.epsilon)
            agent.act(self.blank(4), None, explore=True)
        assert seen[:51] == [1.0] * 51  # 200 rows
        assert seen[51] == pytest.approx(1.0 - 0.8 * 4 / 100)
        assert seen[75:] == pytest.approx([0.2] * 25)
        agent.act(self.blank(4), None, explore=False)
        assert agent.core.acted == 400

    def test_the_target_is_a_copy_as_old_as_the_settings_say(self) -> None:
        agent = self.build(self.spec(), 4, replay={"learn_every": 2})  # 40 steps
        window, start = self.window(agent, self.spec()), {}
        for update in range(1, 41):
            if update in (1, 21):
                start = {name: value.clone() for name, value in agent.core.online.state_dict().items()}
            agent.learn(window)
            fresh = update in (20, 40)
            assert torch.equal(
                agent.core.target.advantage.layers[0].weight,
                agent.core.online.advantage.layers[0].weight if fresh else start["advantage.layers.0.weight"],
            )

    def test_a_loss_changes_nothing(self) -> None:
        agent = self.build(self.spec(), 4, double=True)
        batch = agent.core.transitions(self.window(agent, self.spec()))
        before = copy.deepcopy(agent.state_dict())
        first, second = (agent.loss(batch)[0] for _ in range(2))
        assert first.item() == second.item()
        assert_same(before, agent.state_dict())

    def test_random_actions_are_spread_over_the_allowed_ones(self) -> None:
        agent = self.build(worlds.spec_of(worlds.vector(worlds.Masked, 1)), 1)
        mask = torch.tensor([[True, False, True, True]]).expand(3_000, -1)
        percept = self.blank(3_000)._replace(mask=mask)
        counts = torch.bincount(agent.act(percept, None, explore=True).action, minlength=4)
        assert counts[1] == 0
        assert (counts[[0, 2, 3]] - 1_000).abs().max() < 110  # four standard deviations


class TestDQNWithItsSwitches(ValueContract):
    module, config = dqn, dqn.DQNConfig
    settings: ClassVar[dict[str, Any]] = TestDQN.settings | {
        "head_hidden": (16,),
        "double": True,
        "dueling": True,
        "n_step": 3,
        "loss": "huber",
    }

    @pytest.mark.parametrize(
        ("world", "observations", "values"),
        [
            pytest.param(worlds.TwoSteps, [[0.0], [1.0]], [0.5, 1.0], marks=pytest.mark.gate),
            (worlds.Match, [[-1.0], [1.0]], [1.0, 1.0]),
        ],
    )
    def test_values_of_probe_worlds(self, world: Any, observations: list[list[float]], values: list[float]) -> None:
        """Discount and action with observation; of the rest its sister class tells."""
        super().test_values_of_probe_worlds(world, observations, values)


class TestDQNWithLastingRandomActions(ValueContract):
    module, config = dqn, dqn.DQNConfig
    test_values_of_probe_worlds: ClassVar[None] = None  # it learns as its sister class does
    settings: ClassVar[dict[str, Any]] = TestDQN.settings | {"zeta": 2.0}
