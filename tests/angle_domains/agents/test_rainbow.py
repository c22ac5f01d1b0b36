import math
from typing import Any, ClassVar

import pytest
import torch
from pydantic import ValidationError

from angle_domains.agents import rainbow
from angle_domains.agents.rainbow import Noises
from angle_domains.transitions import Transitions
from tests.contracts import worlds
from tests.contracts.value_contract import ValueContract, answer


def transitions(discount: list[float], **changes: Any) -> Transitions:
    streams = len(discount)
    batch = Transitions(
        obs=torch.zeros(streams, 1),
        mask=None,
        action=torch.ones(streams, dtype=torch.int64),
        reward=torch.ones(streams),
        discount=torch.tensor(discount),
        next_obs=torch.zeros(streams, 1),
        next_mask=None,
        weight=torch.ones(streams),
    )
    return batch._replace(**changes)


class TestRainbow(ValueContract):
    module, config = rainbow, rainbow.RainbowConfig
    settings: ClassVar[dict[str, Any]] = {
        "network": {"hidden": (32,), "activation": "relu"},
        "head_hidden": (32,),
        "atoms": 31,
        "lowest": -3.0,
        "highest": 3.0,
        "learning_rate": 2e-3,
        "adam_epsilon": 1e-5,
        "target_every": 40,
        "replay": {"capacity": 5_000, "warm_up": 200, "learn_every": 4, "batch": 32},
    }

    def small(self, **changes: Any) -> Any:
        """Three atoms at -1, 0 and 1, no noise."""
        return self.build(self.spec(), 2, **{"atoms": 3, "lowest": -1.0, "highest": 1.0, "noisy": False} | changes)

    def test_loss_and_priority_of_a_terminated_and_a_truncated_transition_by_hand(self) -> None:
        agent = self.small()
        even, sure = [0.0, 0.0, 0.0], [-50.0, 50.0, -50.0]  # logits: a third each; all mass on 0
        answer(agent.core.online, [sure, even])
        answer(agent.core.target, [[-50.0, -50.0, 50.0], sure])
        # the online network holds both actions worth 0 and the first of equals is taken: the target's mass on 1
        batch = transitions([0.0, 0.5], reward=torch.tensor([0.25, -0.25]), weight=torch.tensor([1.0, 0.5]))
        target = torch.tensor([[0.0, 0.75, 0.25], [0.0, 0.75, 0.25]])  # ended: r = .25; going on: -.25 + .5 · 1
        torch.testing.assert_close(agent.target(batch, Noises()), target)
        loss, _, priority = agent.loss(batch, Noises())
        entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
        torch.testing.assert_close(loss.item(), (1.0 + 0.5) / 2 * math.log(3.0))  # cross-entropy with a third each
        torch.testing.assert_close(priority, torch.full((2,), math.log(3.0) - entropy))

    def test_the_online_network_chooses_and_the_target_network_judges(self) -> None:
        for double, expected in ((True, -1.0), (False, 1.0)):
            agent = self.small(distributional=False, double=double)
            answer(agent.core.online, [[1.0], [2.0]])
            answer(agent.core.target, [[2.0], [-2.0]])
            batch = transitions([0.5], reward=torch.zeros(1))
            torch.testing.assert_close(agent.target(batch, Noises()), torch.tensor([expected]))

    def test_a_forbidden_action_is_not_bootstrapped_from(self) -> None:
        agent = self.small(distributional=False)
        answer(agent.core.online, [[1.0], [2.0]])
        answer(agent.core.target, [[2.0], [-2.0]])
        batch = transitions([0.5], reward=torch.zeros(1), next_mask=torch.tensor([[True, False]]))
        torch.testing.assert_close(agent.target(batch, Noises()), torch.tensor([1.0]))

    def test_without_a_distribution_the_loss_is_half_the_squared_error(self) -> None:
        agent = self.small(distributional=False)
        answer(agent.core.online, [[0.0], [3.0]])
        answer(agent.core.target, [[0.0], [4.0]])
        loss, _, priority = agent.loss(transitions([0.0, 0.5]), Noises())
        torch.testing.assert_close(
            priority, torch.tensor([2.0, 0.0])
        )  # targets 1 and 1 + .5 · 4, both for a value of 3
        torch.testing.assert_close(loss.item(), 0.5 * 2.0**2 / 2)

    def test_each_part_of_an_update_has_noise_of_its_own(self) -> None:
        agent = self.build(self.spec(), 4)
        drawn: list[Noises] = []
        plain = agent.loss
        agent.loss = lambda batch, noises: drawn.append(noises) or plain(batch, noises)
        for _ in range(2):
            agent.learn(self.window(agent, self.spec()))
        first = [noise[0] for noises in drawn for noise in noises]
        assert all(not torch.equal(one, other) for i, one in enumerate(first) for other in first[:i])

    def test_streams_explore_by_noise_of_their_own(self) -> None:
        envs = worlds.vector(worlds.Match, 64)
        agent = self.build(worlds.spec_of(envs), 64, sigma=5.0)
        percept = self.blank(64)
        chosen = [agent.act(percept, None, explore=True).action for _ in range(2)]
        assert set(chosen[0].tolist()) == {0, 1}
        assert not torch.equal(*chosen)
        assert len(set(agent.act(percept, None, explore=False).action.tolist())) == 1

    def test_the_noise_is_learned(self) -> None:
        agent = self.build(self.spec(), 4)
        before = agent.core.online.advantage.layers[0].weight_sigma.clone()
        agent.learn(self.window(agent, self.spec()))
        assert not torch.equal(before, agent.core.online.advantage.layers[0].weight_sigma)

    def test_priorities_are_given_where_the_replay_is_prioritised(self) -> None:
        for prioritised in (True, False):
            agent = self.build(self.spec(), 4, replay={"prioritised": prioritised})
            priority = agent.learn(self.window(agent, self.spec())).priority
            assert (priority is not None) == prioritised
            assert priority is None or (priority.shape == (4,) and (priority >= 0).all())

    def test_a_support_that_is_upside_down_is_refused(self) -> None:
        with pytest.raises(ValidationError, match="lowest=1 must lie below highest=0"):
            rainbow.RainbowConfig(lowest=1.0, highest=0.0)

    def test_what_a_user_leaves_out_of_the_replay_is_the_papers(self) -> None:
        replay = rainbow.RainbowConfig.model_validate({"replay": {"batch": 8}}).replay
        assert (replay.batch, replay.prioritised, replay.alpha, replay.warm_up) == (8, True, 0.5, 20_000)


class TestRainbowWithoutItsParts(ValueContract):
    module, config = rainbow, rainbow.RainbowConfig
    probe_steps = 10_000  # returns of one step travel slower
    test_values_of_probe_worlds: ClassVar[None] = None  # without its parts it is DQN, whose test says it
    settings: ClassVar[dict[str, Any]] = TestRainbow.settings | {
        "noisy": False,
        "distributional": False,
        "dueling": False,
        "double": False,
        "n_step": 1,
        "epsilon_steps": 500,
    }
