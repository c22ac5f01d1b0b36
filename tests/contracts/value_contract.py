"""What the agents that act by action values share beyond the contract of off-policy agents."""

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from angle_domains.errors import ConfigError
from angle_domains.networks.q import QNetwork
from angle_domains.transitions import Transitions
from angle_domains.types import Percept, Window
from feeds.base import FeedSpec
from tests.contracts import worlds
from tests.contracts.agent_contract import see
from tests.contracts.off_policy_contract import STREAMS, OffPolicyContract


def answer(network: QNetwork, numbers: list[list[float]]) -> None:
    """Makes a network give these numbers, an action a row, for every observation."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.advantage.layers[-1].bias.copy_(torch.tensor(numbers).flatten())
        if network.value is not None:  # the mean over actions, which a dueling network takes off
            network.value.layers[-1].bias.copy_(torch.tensor(numbers).mean(0))


def with_forbidden() -> Transitions:
    """Three steps with a reward of 1 and a discount of 1/2: next 0 alone is allowed, then 1 alone, then both."""
    return Transitions(
        obs=torch.zeros(3, 1),
        mask=torch.tensor([[False, True]]).expand(3, -1),  # of where the action was taken: of no account
        action=torch.ones(3, dtype=torch.int64),
        reward=torch.ones(3),
        discount=torch.full((3,), 0.5),
        next_obs=torch.zeros(3, 1),
        next_mask=torch.tensor([[True, False], [False, True], [True, True]]),
        weight=torch.ones(3),
    )


IMAGES = FeedSpec("images", spaces.Box(0, 255, (2, 10, 10), np.uint8), spaces.Discrete(3), stack=2)


def drawn(agent: Any) -> Window:
    """A window of random images in which nothing is earned."""
    shape = (agent.length + 1, STREAMS)
    chance = torch.Generator().manual_seed(5)
    size = (*shape, *(IMAGES.observation_space.shape or ()))
    obs = torch.randint(256, size, generator=chance, dtype=torch.uint8)
    no, zero = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape)
    percept = Percept(obs, zero.long(), zero, zero + 1.0, no, no)
    return Window(percept, zero[1:].long(), {}, torch.ones(STREAMS))


class ValueContract(OffPolicyContract):
    action_spaces = ((spaces.Discrete(3, start=-1), False),)

    def value(self, agent: Any, obs: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return agent.core.expectation(agent.core.online(agent.core.see(obs))).max(-1).values

    def blank(self, streams: int) -> Percept:
        return see([[0.0]] * streams)

    def test_other_action_spaces_are_a_mistake_of_the_user(self) -> None:
        envs = worlds.vector(lambda: worlds.Aim(spaces.MultiDiscrete([2, 2])), 1)
        with pytest.raises(ConfigError, match="Discrete"):
            self.build(worlds.spec_of(envs), 1)

    def check_portrayed_values(self, agent: Any, values: dict[str, torch.Tensor]) -> None:
        assert values["value/q"].shape == (agent.replay.batch, 2)
        with torch.no_grad():
            q = agent.core.expectation(agent.core.online(agent.core.learned))
        torch.testing.assert_close(values, {"value/q": q})

    def test_images_reach_the_network_as_bytes(self) -> None:
        agent = self.build(IMAGES, STREAMS, network={"kind": "minatar", "hidden": (8,)})
        window = drawn(agent)
        agent.learn(window)
        batch = agent.core.transitions(window)
        assert (batch.obs.dtype, batch.obs.shape) == (torch.uint8, (STREAMS, *IMAGES.observation_space.shape))
        assert torch.equal(batch.next_obs, window.obs[-1])
        blank = self.blank(STREAMS)._replace(obs=window.obs[0])
        assert agent.act(blank, None, explore=False).action.shape == (STREAMS,)

    def test_the_learning_rate_falls_to_nothing(self) -> None:
        replay = {"learn_every": 2.0}
        given = {"network": {"kind": "minatar", "hidden": (8,)}, "learning_rate": 0.1, "replay": replay}
        agent, steady = (self.build(IMAGES, STREAMS, **given, **more) for more in ({"anneal_steps": 8}, {}))
        rates = []
        for _ in range(6):
            agent.learn(drawn(agent))
            steady.learn(drawn(steady))
            rates.append(agent.optimizer.param_groups[0]["lr"])
        assert rates == pytest.approx([0.1, 0.075, 0.05, 0.025, 0.0, 0.0])
        assert steady.optimizer.param_groups[0]["lr"] == 0.1

    def test_the_gradient_is_held_at_its_norm(self) -> None:
        agent = self.build(self.spec(), STREAMS, max_grad_norm=1e-3)
        window = self.window(agent, self.spec())
        window.percept.reward[1:] += 1_000.0
        [group] = agent.optimizer.param_groups
        before = [parameter.detach().clone() for parameter in group["params"]]
        told = float(agent.learn(window).metrics["optimiser/gradient_norm"])
        assert told > 0.01  # as it was
        gradient = torch.cat([parameter.grad.flatten() for parameter in group["params"]])
        assert gradient.norm().item() == pytest.approx(1e-3, rel=1e-2)
        assert any(not torch.equal(old, new) for old, new in zip(before, group["params"], strict=True))

    def test_bounded_entries_are_scaled_and_others_are_left_alone(self) -> None:
        low, high = np.array([-1.2, -np.inf, 0.0], np.float32), np.array([0.6, np.inf, 4.0], np.float32)
        spec = FeedSpec("bounds", spaces.Box(low, high, dtype=np.float32), spaces.Discrete(2))
        agent = self.build(spec, 1, scale_observation=True)
        seen = agent.core.see(torch.tensor([[0.6, 7.0, 1.0], [-0.3, -7.0, 2.0]]))
        torch.testing.assert_close(seen, torch.tensor([[1.0, 7.0, -0.5], [0.0, -7.0, 0.0]]))
