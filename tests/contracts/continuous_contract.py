"""The contract of off-policy agents for those that act in boxes: the worlds are the same, their actions a lever."""

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from angle_domains.errors import ConfigError
from feeds.base import FeedSpec
from tests.contracts import boxes, worlds
from tests.contracts.agent_contract import see
from tests.contracts.off_policy_contract import OffPolicyContract
from tests.contracts.trees import assert_same


class ContinuousContract(OffPolicyContract):
    action_spaces = (
        (spaces.Box(-2.0, 3.0, (2,), np.float32), False),
        (spaces.Box(np.array([-1.0, 0.0, 10.0], np.float32), np.array([1.0, 0.5, 30.0], np.float32)), False),
        (spaces.Box(0.0, 1.0, (3,), np.float32), True),
    )

    @pytest.fixture(autouse=True)
    def _levers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(worlds, "vector", boxes.vector)

    def test_beats_chance_where_the_best_action_is_known(self) -> None:
        agent, reports = self.run(worlds.vector(worlds.Match, 8), self.probe_steps, gamma=0.5)
        best = agent.act(see([[-1.0], [1.0]]), None, explore=False).action
        assert (best.flatten() > -1.0).tolist() == [False, True]
        returns = [report.metrics["episode/return"] for report in reports if "episode/return" in report.metrics]
        assert np.mean(returns[-5:]) > 0.7  # chance earns 0

    def test_forbidden_actions_are_never_chosen(self) -> None:
        pytest.skip("an action in a box is never forbidden")

    def check_portrayed_values(self, agent: Any, values: dict[str, torch.Tensor]) -> None:
        with torch.no_grad():
            first, second = agent.q.online(agent.learned.obs, agent.learned.action)
        assert not torch.equal(first, second)
        assert_same(values, {"value/q1": first, "value/q2": second})

    def test_a_box_without_bounds_is_a_mistake_of_the_user(self) -> None:
        space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
        with pytest.raises(ConfigError, match="no bounds"):
            self.build(FeedSpec("world", boxes.LEVER, space), 4)

    def test_the_first_actions_are_even_over_the_box_and_do_not_ask_the_network(self) -> None:
        spec = self.spec()
        percept = see([[0.5]] * 1000)
        agents = [self.build(spec, 1000, start_random=1000, network={"hidden": (hidden,)}) for hidden in (4, 8)]
        first, same = (agent.act(percept, None, explore=True).action for agent in agents)
        assert torch.equal(first, same)
        counts = torch.histc(first, 4, -3.0, 1.0)
        assert ((counts > 200) & (counts < 300)).all()
        second = agents[0].act(percept, None, explore=True).action  # the network's, about the middle of the box
        assert not torch.equal(second, agents[1].act(percept, None, explore=True).action)

    def value_of(self, agent: Any, obs: torch.Tensor) -> torch.Tensor:
        """What the critics hold of what the policy would do."""
        with torch.no_grad():
            return agent.q.Q_function(obs, agent.act(see(obs.tolist()), None, explore=False).action).mean(0)

    def value(self, agent: Any, obs: torch.Tensor) -> torch.Tensor:
        return self.value_of(agent, obs)
