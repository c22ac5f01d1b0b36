"""PPO and A2C with a memory: the contract of all agents, states rebuilt, and a world that feed-forward cannot solve."""

from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from angle_domains.agents import a2c, ppo
from angle_domains.loops import begin
from angle_domains.networks import NetworkConfig, Past
from angle_domains.replay import ReplayBuffer
from tests.contracts import worlds
from tests.contracts.actor_critic_contract import ActorCriticContract

NETWORK = {"hidden": (16,), "recurrent": 16}


class RecurrentContract(ActorCriticContract):
    # Observations stand for nothing by themselves once there is a memory: the world of recall is the probe here.
    test_values_of_probe_worlds = None
    test_samples_by_hand = None  # its values do not come from the network when a window is read, but from acting

    def value(self, agent: Any, obs: torch.Tensor) -> torch.Tensor:
        begins = Past(torch.ones(1, len(obs), dtype=torch.bool), agent.core.model.recurrence.blank(len(obs)))
        with torch.no_grad():
            return agent.core.model.step(agent.core.see(obs), None, begins)[1]

    def acted(self, agent: Any, ticks: int) -> tuple[Any, list[torch.Tensor]]:
        """A window over several episodes, and the memories that the agent had before each row."""
        envs = worlds.vector(worlds.Recall, 3)
        replay, state = ReplayBuffer(3 * (ticks + 1), 3, torch.Generator()), begin(envs, 0)
        memories = []
        for _ in range(ticks):
            decision = agent.act(state.percept, state.memory, explore=True)
            memories.append(decision.extras["memory"])
            replay.insert(state.percept, decision)
            obs, reward, terminated, truncated, _ = envs.step(decision.action.numpy())
            ended = torch.as_tensor(terminated | truncated)
            reward = torch.as_tensor(reward, dtype=torch.float32)
            state.memory = decision.memory
            state.percept = state.percept._replace(
                obs=torch.as_tensor(obs), reward=reward, first=state.percept.last, last=ended
            )
        return replay.newest(ticks, state.percept), memories

    def test_what_is_rebuilt_from_the_first_memory_is_what_the_agent_had(self) -> None:
        agent = self.build(worlds.spec_of(worlds.vector(worlds.Recall, 3)), 3)
        window, memories = self.acted(agent, 13)
        assert window.percept.first[1:].any()  # an episode begins within
        samples, streams = agent.core.samples(window)
        assert streams.tolist() == [0, 1, 2]
        whole = samples.take(streams)
        with torch.no_grad():
            distribution, value = agent.core.model.evaluate(whole.obs, None, whole.past)
        torch.testing.assert_close(value, whole.value, atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(distribution.log_prob(whole.raw), whole.log_prob, atol=1e-6, rtol=1e-6)
        for tick in range(1, 13):
            part = Past(window.percept.first[:tick], memories[0])
            with torch.no_grad():
                after = agent.core.model.recurrence(agent.core.model.policy_torso(window.obs[:tick]).whole, part)[1]
            torch.testing.assert_close(after, memories[tick], atol=1e-6, rtol=1e-6)

    def test_the_last_value_is_read_with_the_memory_that_stands_there(self) -> None:
        agent = self.build(worlds.spec_of(worlds.vector(worlds.Recall, 3)), 3)
        window, memories = self.acted(agent, 12)
        with torch.no_grad():
            values = agent.core._values(window, window.obs)
            whole = agent.core.model.evaluate(window.obs, None, Past(window.percept.first, memories[0]))[1]
        torch.testing.assert_close(values, whole.unflatten(0, (13, 3)), atol=1e-6, rtol=1e-6)

    def test_an_episode_knows_nothing_of_the_one_before(self) -> None:
        agent = self.build(worlds.spec_of(worlds.vector(worlds.Recall, 3)), 3)
        percept = begin(worlds.vector(worlds.Recall, 3), 0).percept
        marked = torch.full((3, 2, 16), 7.0)
        with torch.no_grad():
            fresh, stale = (agent.core._read(percept, memory, keep=True)[0].mode() for memory in (None, marked))
            kept = agent.core._read(percept._replace(first=torch.zeros(3, dtype=torch.bool)), marked, keep=True)
            blank = agent.core._read(percept, None, keep=True)
        assert torch.equal(fresh, stale)
        assert not torch.equal(kept[1]["value"], blank[1]["value"])

    def test_minibatches_are_whole_streams(self) -> None:
        agent = self.build(worlds.spec_of(worlds.vector(worlds.Recall, 3)), 3)
        window, _ = self.acted(agent, 12)
        samples, _ = agent.core.samples(window)
        batch = samples.take(torch.tensor([2, 0]))
        assert batch.obs.shape == (12, 2, 2)
        real = window.real[:, [2, 0]] > 0
        assert torch.equal(batch.raw, window.extras["raw"][:-1][:, [2, 0]][real])
        assert torch.equal(batch.past.rows, real.flatten().nonzero().squeeze(-1))

    @pytest.mark.gate
    def test_a_sign_that_was_shown_is_recalled_and_without_a_memory_it_is_not(self) -> None:
        scores = []
        for size in (16, 0):
            network = {"hidden": (16,), "recurrent": size}
            _, reports = self.run(worlds.vector(worlds.Recall, 16), self.recall_steps, network=network, gamma=0.9)
            returns = [report.metrics["episode/return"] for report in reports if "episode/return" in report.metrics]
            scores.append(np.mean(returns[-10:]))
        assert scores[0] > 0.9
        assert abs(scores[1]) < 0.3

    recall_steps = 24_000


class TestRecurrentPPO(RecurrentContract):
    module, config = ppo, ppo.PPOConfig
    settings: ClassVar[dict[str, Any]] = {
        "horizon": 16,
        "epochs": 4,
        "minibatches": 2,
        "learning_rate": 1e-2,
        "clip_value": False,
        "entropy_weight": 0.0,
        "network": NETWORK,
    }

    def loss_arguments(self) -> tuple[float]:
        return (0.2,)

    def test_the_ratio_is_one_in_the_first_minibatch(self) -> None:
        spec = worlds.market_spec()
        agent = self.build(spec, 3, epochs=1, minibatches=1)
        metrics = agent.learn(self.window(agent, spec, 3)).metrics
        assert metrics["policy/approximate_kl"] == pytest.approx(0.0, abs=1e-6)


class TestRecurrentA2C(RecurrentContract):
    module, config = a2c, a2c.A2CConfig
    settings: ClassVar[dict[str, Any]] = {
        "horizon": 8,
        "learning_rate": 2e-2,
        "entropy_weight": 0.0,
        "network": NETWORK,
    }
    recall_steps = 100_000
    test_beats_chance_where_the_best_action_is_known = None  # one step of RMSprop a window is slow there


@pytest.mark.parametrize(
    ("settings", "clause"),
    [
        ({"recurrent": 8, "shared": False}, "one memory"),
        ({"recurrent": 8, "kind": "set"}, "asset by asset"),
    ],
)
def test_what_does_not_fit_a_memory_is_a_mistake_of_the_user(settings: dict[str, Any], clause: str) -> None:
    with pytest.raises(ValueError, match=clause):
        NetworkConfig(**settings)


def test_a_memory_is_shared_unless_said_otherwise() -> None:
    assert NetworkConfig(recurrent=8).shared
    assert not NetworkConfig(recurrent=0).shared
