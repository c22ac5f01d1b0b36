from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from gymnasium import spaces

from angle_domains.agents import bc
from angle_domains.errors import TrainingError
from angle_domains.loops import OfflineState, offline
from angle_domains.replay import recorded
from angle_domains.transitions import read
from feeds.base import FeedSpec
from tests.contracts import worlds
from tests.contracts.agent_contract import AgentContract, see
from tests.contracts.offline_contract import STREAMS, OfflineContract, spec_of_choices
from tests.logs import rows_of


class TestBC(OfflineContract):
    module, config = bc, bc.BCConfig
    action_spaces = AgentContract.action_spaces
    settings: ClassVar[dict[str, Any]] = {
        "network": {"hidden": (32, 32), "activation": "relu"},
        "learning_rate": 3e-3,
        "replay": {"batch": 64},
    }

    def check_matched(self, action: torch.Tensor) -> None:
        assert action.tolist() == [1, 0]  # what was done most often: this is the control

    @pytest.mark.skip(reason="it has no values")
    def test_values_of_probe_worlds(self) -> None: ...  # type: ignore[override]

    def test_a_number_that_is_not_finite_stops_training(self) -> None:
        agent = self.build(self.spec(), STREAMS)
        window = self.window(agent, self.spec())
        window.percept.obs[0, 0] = float("nan")
        with pytest.raises(TrainingError, match="not finite"):
            agent.learn(window)

    def test_probabilities_are_those_of_the_log(self) -> None:
        """Of three choices, taken 6, 3 and 1 times in 10."""
        action = [0] * 6 + [1] * 3 + [2]
        mask = np.array([[True, True, True, False]] * 2)
        episode = {"obs": [1, 1], "reward": [0], "ended": True, "mask": mask}
        rows, spec = rows_of([episode | {"action": [a]} for a in action], actions=4), spec_of_choices(4)
        agent = self.build(spec, 1, learning_rate=1e-3, replay={"batch": 256})
        list(offline(agent, recorded(rows, agent, seed=0, device="cpu"), OfflineState(), steps=200))
        percept = see([[1.0]])._replace(mask=torch.tensor([[True, True, True, False]]))
        found = agent.act(percept, None, explore=False).extras["log_probs"].exp()
        torch.testing.assert_close(found, torch.tensor([[0.6, 0.3, 0.1, 0.0]]), atol=0.05, rtol=0.0)

    def test_a_forbidden_action_in_the_log_is_imitated_within_reason(self) -> None:
        spec = spec_of_choices(3)
        agent = self.build(spec, STREAMS)
        batch = read(self.window(agent, spec), 1.0, agent.see)
        forbidden = torch.nn.functional.one_hot(batch.action, 3) == 0
        assert agent.loss(batch._replace(mask=forbidden)).max().item() < 5.0

    @pytest.mark.parametrize("head", ["gaussian", "squashed"])
    def test_continuous_actions_by_their_likelihood(self, head: str) -> None:
        chance = np.random.default_rng(0)
        obs = chance.uniform(-1, 1, 400)
        action = (1.0 + 2.0 * obs + chance.normal(0, 0.2, 400)).astype(np.float32)  # of a box from -2 to 4
        rows = rows_of(
            [
                {"obs": [o, o], "action": np.array([[a]]), "reward": [0], "ended": True}
                for o, a in zip(obs, action, strict=True)
            ]
        )
        spec = FeedSpec("world", worlds.UNIT, spaces.Box(-2.0, 4.0, (1,), np.float32))
        agent = self.build(spec, 1, head=head)
        list(offline(agent, recorded(rows, agent, seed=0, device="cpu"), OfflineState(), steps=400))
        found = agent.act(see([[-0.5], [0.0], [0.5]]), None, explore=False).action.flatten()
        torch.testing.assert_close(found, torch.tensor([0.0, 1.0, 2.0]), atol=0.2, rtol=0.0)
