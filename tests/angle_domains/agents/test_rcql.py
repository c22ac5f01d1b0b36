import copy
import math
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from gymnasium import spaces

from angle_domains.agents import rcql
from angle_domains.errors import ConfigError
from angle_domains.loops import OfflineState, offline
from angle_domains.replay import ReplayBuffer, recorded_sequences
from angle_domains.types import Percept, Window
from feeds.base import FeedSpec, Rows
from tests.contracts import worlds
from tests.contracts.agent_contract import see
from tests.contracts.offline_contract import STREAMS, OfflineContract
from tests.contracts.trees import assert_same
from tests.logs import logged


class TestRCQL(OfflineContract):
    module, config = rcql, rcql.RCQLConfig
    settings: ClassVar[dict[str, Any]] = {
        "network": {"hidden": (16,), "activation": "relu", "recurrent": 16},
        "sequence": 6,
        "burn_in": 0,
        "stride": 3,
        "learning_rate": 5e-3,
        "max_grad_norm": 100.0,
        "tau": 0.1,
        "replay": {"batch": 32, "prioritised": False},
    }

    def record(self, rows: Rows, agent: Any, seed: int = 0) -> ReplayBuffer:
        return recorded_sequences(rows, agent, seed=seed, device="cpu")

    def value(self, agent: Any, obs: torch.Tensor) -> torch.Tensor:
        return agent.act(see(obs.tolist()), None, explore=False).extras["q"].max(-1).values

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("world", "observations", "values"),
        [
            (worlds.Told, [[-1.0], [1.0]], [-1.0, 1.0]),
            (worlds.TwoSteps, [[0.0]], [0.5]),  # no episode begins with the other observation
            (worlds.Endless, [[0.0]], [2.0]),
            (worlds.Match, [[-1.0], [1.0]], [1.0, 1.0]),
        ],
    )
    def test_values_of_probe_worlds(self, world: Any, observations: list[list[float]], values: list[float]) -> None:
        agent, _ = self.run(worlds.vector(world, 8), self.probe_steps, gamma=0.5)
        found = self.value(agent, torch.tensor(observations))
        torch.testing.assert_close(found, torch.tensor(values), atol=0.1, rtol=0.0)

    def test_a_memory_is_refused(self) -> None:
        """Here it is the want of one."""
        with pytest.raises(ValueError, match=r"network.recurrent is 0"):
            self.build(self.spec(), STREAMS, network={"hidden": (16,)})

    def test_actions_that_no_window_would_learn_from_are_a_mistake_of_the_user(self) -> None:
        with pytest.raises(ValueError, match="some actions would never be learned from"):
            self.build(self.spec(), STREAMS, burn_in=4)

    def test_other_action_spaces_are_a_mistake_of_the_user(self) -> None:
        spec = FeedSpec("world", worlds.UNIT, spaces.Box(-1.0, 1.0, (2,), np.float32))
        with pytest.raises(ConfigError, match="Discrete"):
            self.build(spec, 1)

    @pytest.mark.parametrize("see_action", [True, False])
    @pytest.mark.parametrize("burn_in", [0, 2])
    def test_values_of_a_window_are_those_of_acting_step_by_step(self, see_action: bool, burn_in: int) -> None:
        """Trap 15: online and target network alike, each by a memory of its own."""
        agent = self.build(self.spec(), STREAMS, see_action=see_action, burn_in=burn_in)
        with torch.no_grad():
            for parameter in agent.target_network.parameters():
                parameter.mul_(1.1)
        window = self.window(agent, self.spec())
        window.percept.first[0] = True
        q, held = agent.values(window)
        stepwise = [self.step_by_step(agent, window.percept)]
        agent.online = agent.target_network
        stepwise.append(self.step_by_step(agent, window.percept))
        torch.testing.assert_close(q.detach(), stepwise[0], atol=1e-6, rtol=0.0)
        torch.testing.assert_close(held, stepwise[1], atol=1e-6, rtol=0.0)
        assert (stepwise[0] - stepwise[1]).abs().max() > 1e-3

    def step_by_step(self, agent: Any, percept: Percept) -> torch.Tensor:
        memory, found = None, []
        for row in range(len(percept.obs)):
            at = Percept(*(None if column is None else column[row] for column in percept))
            decision = agent.act(at, memory, explore=False)
            memory = decision.memory
            found.append(decision.extras["q"])
        return torch.stack(found)

    def test_a_memory_is_blank_where_an_episode_begins(self) -> None:
        agent = self.build(self.spec(), STREAMS)
        begun = see([[0.3]] * STREAMS)
        blank = agent.act(begun, None, explore=False)
        dirty = agent.act(begun, torch.ones_like(blank.memory), explore=False)
        assert torch.equal(blank.extras["q"], dirty.extras["q"])
        later = begun._replace(first=torch.zeros(STREAMS, dtype=torch.bool))
        assert not torch.equal(blank.extras["q"], agent.act(later, dirty.memory, explore=False).extras["q"])

    def test_padding_changes_nothing(self) -> None:
        """What another episode holds beyond the end of a window's own."""
        told = []
        for noise in (0.0, 9.0):
            agent = self.build(self.spec(), STREAMS)
            window = self.window(agent, self.spec())
            window.percept.last[2] = True  # truncated there
            window.percept.first[3] = True
            window.percept.obs[3:] += noise
            window.percept.reward[3:] += noise
            agent.learn(window)
            told.append(copy.deepcopy(agent.state_dict()))
        assert_same(told[0], told[1])

    def test_burn_in_is_for_windows_in_the_middle_of_an_episode(self) -> None:
        agent = self.build(self.spec(), STREAMS, burn_in=2)
        window = self.window(agent, self.spec())
        window.percept.first[0, 0] = True
        window.percept.last[4, 1] = True
        wanted = torch.ones(6, STREAMS)
        wanted[:2, 1:] = 0.0
        wanted[4:, 1] = 0.0
        assert torch.equal(agent.trained(window), wanted)

    def test_no_gradient_comes_from_the_burn_in(self) -> None:
        agent = self.build(self.spec(), STREAMS, burn_in=3)
        window = self.window(agent, self.spec())
        window.percept.obs.requires_grad_()
        agent.loss(window)[0].backward()
        grad = window.percept.obs.grad
        assert grad is not None
        assert grad[:3].abs().max() == 0.0
        assert grad[3:6].abs().min() > 0.0

    def test_target_and_loss_by_hand(self) -> None:
        """Values log 1 and log 3 everywhere, 4 and -8 by the target network, rewards 1; the third action is the last.

        Errors of action 1: 1 + .5 (-8) - log 3 twice, then 1 - log 3 at the end of the task; gaps log 4/3.
        """
        agent = self.build(self.spec(), STREAMS, gamma=0.5, alpha=0.5, eta=0.5)
        with torch.no_grad():
            for network, numbers in ((agent.online, [0.0, math.log(3.0)]), (agent.target_network, [4.0, -8.0])):
                for parameter in network.parameters():
                    parameter.zero_()
                network.advantage.layers[-1].bias.copy_(torch.tensor(numbers))
        window = self.window(agent, self.spec())
        window.percept.reward[:] = 1.0
        window.percept.last[3], window.percept.discount[3] = True, 0.0
        ones = Window(window.percept, torch.ones_like(window.action), {}, window.weight)
        loss, _, priority = agent.loss(ones)
        errors = torch.tensor([-3.0, -3.0, 1.0]) - math.log(3.0)
        wanted = 0.5 * errors.square().mean() + 0.5 * math.log(4.0 / 3.0)
        torch.testing.assert_close(loss.detach(), wanted)
        size = errors.abs()
        torch.testing.assert_close(priority, (0.5 * size.max() + 0.5 * size.mean()).expand(STREAMS))

    @pytest.mark.slow
    def test_remembers_what_was_seen_once(self) -> None:
        """A sign is shown first; the action that matches it earns 1 three steps later."""
        envs = worlds.vector(worlds.Recall, 8)
        agent = self.build(worlds.spec_of(envs), 8, alpha=0.0, gamma=1.0, see_action=False)
        replay = self.record(logged(envs, 4_000), agent)
        list(offline(agent, replay, OfflineState(), steps=800))
        memory = None
        for tick in range(4):
            obs = [[-1.0, 0.0], [1.0, 0.0]] if tick == 0 else [[0.0, float(tick == 3)]] * 2
            percept = see(obs)._replace(first=torch.tensor([tick == 0] * 2))
            decision = agent.act(percept, memory, explore=False)
            memory = decision.memory
        assert decision.action.tolist() == [0, 1]
