import math
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from gymnasium import spaces

from angle_domains.actor_critic import Samples
from angle_domains.agents import ppo
from angle_domains.replay import ReplayBuffer
from tests.contracts import worlds
from tests.contracts.actor_critic_contract import ActorCriticContract
from tests.contracts.agent_contract import see


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

    @pytest.mark.parametrize("clip_value", [True, False])
    @pytest.mark.parametrize("normalise", [True, False])
    def test_loss_of_two_samples_by_hand(self, normalise: bool, clip_value: bool) -> None:
        envs = worlds.vector(worlds.Match, 2)
        changes = {"normalise_advantage": normalise, "clip_value": clip_value, "entropy_weight": 0.1}
        agent = self.build(worlds.spec_of(envs), 2, **changes)
        with torch.no_grad():  # p = (1/2, 1/2), V = 0 everywhere
            for parameter in agent.core.parameters:
                parameter.zero_()
        half = torch.log(torch.tensor(0.5))
        numbers = torch.tensor([[half - 0.5, 2.0, 1.0, 0.0], [half, -1.0, -0.1, 0.3]])
        batch = Samples(torch.zeros(2, 1), torch.tensor([0, 1]), numbers, None)
        loss, parts = agent.loss(batch, 0.2)
        good, bad = (
            (0.5**0.5, -(0.5**0.5)) if normalise else (2.0, -1.0)
        )  # 2 and -1 lie 1.5 from 0.5, deviation 4.5^0.5
        policy = (-1.2 * good - bad) / 2  # ratio e^0.5 is held at 1.2; ratio 1
        second = 0.2 if clip_value else 0.1  # it may move from .3 to .1 only, which is further from its target than 0
        value = (0.5 * 1.0**2 + 0.5 * second**2) / 2
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

    def test_actions_are_stored_unclipped_with_their_densities_and_clipped_for_the_environment(self) -> None:
        """Mean 0, spread 2, in a box from -2 to 3: half the raw actions or more lie beyond -1 and 1, its edges."""
        spec = worlds.spec_of(worlds.vector(lambda: worlds.Aim(spaces.Box(-2.0, 3.0, (2,), np.float32)), 1))
        agent = self.build(spec, 64, horizon=2, log_std=math.log(2.0), epochs=1, minibatches=1)
        with torch.no_grad():
            agent.core.model.readout.whole.weight.zero_()
            agent.core.model.readout.whole.bias.zero_()
        replay, percept = ReplayBuffer.for_agent(agent, 64, seed=0), see([[0.1, 0.2, 0.3]] * 64)
        percept = percept._replace(action=torch.zeros(64, 2))
        decisions = [agent.act(percept, None, explore=True) for _ in range(2)]
        for place, decision in enumerate(decisions):
            replay.insert(percept._replace(first=percept.first & (place == 0)), decision)
        raw = torch.stack([decision.extras["raw"] for decision in decisions])
        assert 0.4 < (raw.abs() > 1.0).float().mean() < 0.8  # 0.617 by the table of the normal
        density = (-0.5 * (raw / 2.0) ** 2 - math.log(2.0) - 0.5 * math.log(2.0 * math.pi)).sum(-1)
        ends = percept._replace(action=decisions[-1].action, first=torch.zeros(64, dtype=torch.bool))
        window = replay.newest(2, ends)
        torch.testing.assert_close(window.action[-1], (0.5 + 2.5 * raw[-1]).clamp(-2.0, 3.0))
        torch.testing.assert_close(decisions[0].action, (0.5 + 2.5 * raw[0]).clamp(-2.0, 3.0))
        samples, taken = agent.core.samples(window)
        assert torch.equal(samples.raw, raw.flatten(0, 1))
        torch.testing.assert_close(samples.log_prob, density.flatten())
        _, parts = agent.loss(samples.take(taken), 0.2)
        assert parts[3].item() == pytest.approx(0.0, abs=1e-6)  # read anew, they are as likely as when drawn

    def test_the_learning_rate_falls_by_updates(self) -> None:
        spec = worlds.market_spec()
        agent = self.build(spec, 3, anneal_steps=16 * 3 * 4, learning_rate=0.1, learning_rate_end=0.02)
        window = self.window(agent, spec, 3)
        told, used = [], []
        for _ in range(6):
            told.append(agent.learn(window).metrics["optimiser/learning_rate"])
            used.append(agent.optimizer.param_groups[0]["lr"])
        assert told == used == pytest.approx([0.1, 0.08, 0.06, 0.04, 0.02, 0.02])

    @pytest.mark.parametrize(("end", "clips"), [(0.1, [0.2, 0.175, 0.15, 0.125, 0.1, 0.1]), (None, [0.2] * 6)])
    def test_the_clip_falls_by_updates_where_it_has_an_end(self, end: float | None, clips: list[float]) -> None:
        spec = worlds.market_spec()
        agent = self.build(spec, 3, anneal_steps=16 * 3 * 4, clip_end=end, epochs=1, minibatches=1)
        window, loss, used = self.window(agent, spec, 3), agent.loss, []
        agent.loss = lambda batch, clip: used.append(clip) or loss(batch, clip)
        for _ in clips:
            agent.learn(window)
        assert used == pytest.approx(clips)

    def test_the_optimiser_and_the_defaults_are_the_published_ones(self) -> None:
        config = ppo.PPOConfig()
        assert (config.horizon, config.epochs, config.minibatches) == (128, 4, 4)
        assert (config.gamma, config.lambda_, config.clip, config.learning_rate) == (0.99, 0.95, 0.2, 2.5e-4)
        assert (config.entropy_weight, config.value_weight, config.max_grad_norm) == (0.01, 0.5, 0.5)
        optimizer = self.build(worlds.market_spec(), 3).optimizer
        assert isinstance(optimizer, torch.optim.Adam)
        assert optimizer.param_groups[0]["eps"] == 1e-5

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
        assert not torch.equal(torch.cat(parts), real)
        assert not torch.equal(torch.cat(parts), torch.cat(list(agent._minibatches(real))))  # each epoch anew
