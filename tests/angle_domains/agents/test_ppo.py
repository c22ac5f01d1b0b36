from typing import Any, ClassVar

import pytest
import torch

from angle_domains.actor_critic import Samples
from angle_domains.agents import ppo
from tests.contracts import worlds
from tests.contracts.actor_critic_contract import ActorCriticContract


class TestPPO(ActorCriticContract):
    module, config = ppo, ppo.PPOConfig
    settings: ClassVar[dict[str, Any]] = {
        "horizon": 16,
        "epochs": 4,
        "minibatches": 2,
        "learning_rate": 1e-2,
        "clip_value": False,
        "entropy_weight": 0.0,
        "network": {"hidden": (16, 16)},
    }

    def loss_arguments(self) -> tuple[float]:
        return (0.2,)

    def test_loss_of_two_samples_by_hand(self) -> None:
        envs = worlds.vector(worlds.Match, 2)
        agent = self.build(worlds.spec_of(envs), 2, normalise_advantage=False, clip_value=True, entropy_weight=0.1)
        with torch.no_grad():  # p = (1/2, 1/2), V = 0 everywhere
            for parameter in agent.core.parameters:
                parameter.zero_()
        half = torch.log(torch.tensor(0.5))
        numbers = torch.tensor([[half - 0.5, 2.0, 1.0, 0.0], [half, -1.0, 0.4, 0.3]])
        batch = Samples(torch.zeros(2, 1), torch.tensor([0, 1]), numbers, None)
        loss, parts = agent.loss(batch, 0.2)
        policy = (-1.2 * 2.0 + 1.0) / 2  # ratio e^0.5 is held at 1.2; ratio 1
        value = (0.5 * 1.0**2 + 0.5 * 0.4**2) / 2  # the second may move from .3 to .1 only, which is nearer than 0
        entropy = 0.6931472
        torch.testing.assert_close(parts[0].item(), policy)
        torch.testing.assert_close(parts[1].item(), value)
        torch.testing.assert_close(parts[2].item(), entropy)
        torch.testing.assert_close(parts[3].item(), (0.6487213 - 0.5) / 2)
        assert parts[4].item() == 0.5
        torch.testing.assert_close(loss.item(), policy + 0.5 * value - 0.1 * entropy)

    def test_the_ratio_is_one_in_the_first_minibatch(self) -> None:
        """Also after the observation moments have moved: stored log-probabilities belong to the frozen ones."""
        spec = worlds.market_spec()
        agent = self.build(spec, 3, epochs=1, minibatches=1, normalise_observation=True)
        for _ in range(3):
            metrics = agent.learn(self.window(agent, spec, 3)).metrics
            assert metrics["policy/approximate_kl"] == pytest.approx(0.0, abs=1e-6)
            assert metrics["policy/clipped"] == 0.0

    def test_learning_rate_and_clip_fall_by_updates(self) -> None:
        spec = worlds.market_spec()
        agent = self.build(spec, 3, anneal_steps=16 * 3 * 4, learning_rate=0.1, learning_rate_end=0.02)
        window = self.window(agent, spec, 3)
        rates = [agent.learn(window).metrics["optimiser/learning_rate"] for _ in range(6)]
        assert rates == pytest.approx([0.1, 0.08, 0.06, 0.04, 0.02, 0.02])

    def test_a_large_divergence_ends_the_epochs(self) -> None:
        spec = worlds.market_spec()
        steps = []
        for target in (None, 1e-9):
            agent = self.build(spec, 3, target_kl=target)
            agent.learn(self.window(agent, spec, 3))
            steps.append(int(agent.optimizer.state_dict()["state"][0]["step"]))
        assert steps == [4 * 2, 1 * 2]

    def test_minibatches_part_the_taken_actions(self) -> None:
        agent = self.build(worlds.market_spec(), 3, minibatches=4)
        real = torch.arange(0, 60, 2)
        parts = list(agent._minibatches(real))
        assert [len(part) for part in parts] == [8, 8, 7, 7]
        assert torch.equal(torch.cat(parts).sort().values, real)
