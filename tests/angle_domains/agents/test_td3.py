from typing import Any, ClassVar

import pytest
import torch

from angle_domains.agents import td3
from angle_domains.transitions import read
from tests.contracts.agent_contract import see
from tests.contracts.continuous_contract import ContinuousContract
from tests.contracts.trees import assert_same


class TestTD3(ContinuousContract):
    module, config = td3, td3.TD3Config
    settings: ClassVar[dict[str, Any]] = {
        "network": {"hidden": (32, 32), "activation": "relu"},
        "learning_rate": 3e-3,
        "exploration": 0.3,
        "start_random": 200,
        "tau": 0.05,
        "replay": {"warm_up": 100, "learn_every": 4, "batch": 64},
    }

    def test_the_policy_and_all_targets_wait_for_their_turn(self) -> None:
        agent = self.build(self.spec(), 4, policy_delay=3)
        window = self.window(agent, self.spec())
        moved = []
        for _ in range(6):
            before = agent.state_dict()
            parts = {name: {k: v.clone() for k, v in before[name].items()} for name in ("actor", "actor_target")}
            parts["target"] = {k: v.clone() for k, v in before["q"]["target"].items()}
            agent.learn(window)
            after = agent.state_dict()
            now = {"actor": after["actor"], "actor_target": after["actor_target"], "target": after["q"]["target"]}
            moved.append([any(not torch.equal(parts[n][k], now[n][k]) for k in parts[n]) for n in now])
        assert moved == [[False] * 3, [False] * 3, [True] * 3] * 2

    def test_all_targets_go_the_share_tau_of_the_way_after_the_networks_have_moved(self) -> None:
        agent = self.build(self.spec(), 4, tau=0.25, policy_delay=1)
        window = self.window(agent, self.spec())
        pairs = ((agent.actor, agent.actor_target), (agent.q.online, agent.q.target))
        for _ in range(2):  # at first a target is its network, and its own place would not be seen
            old = [[parameter.clone() for parameter in target.parameters()] for _, target in pairs]
            agent.learn(window)
            for start, (network, target) in zip(old, pairs, strict=True):
                for before, now, leads in zip(start, target.parameters(), network.parameters(), strict=True):
                    torch.testing.assert_close(now, 0.75 * before + 0.25 * leads.detach(), atol=1e-7, rtol=1e-6)
                    assert not torch.equal(now, leads)

    def test_exploration_has_the_spread_of_the_settings(self) -> None:
        agent = self.build(self.spec(), 4, exploration=0.1, start_random=0)
        percept = see([[0.3]] * 4000)
        mode = agent.act(percept, None, explore=False).action
        noise = agent.act(percept, None, explore=True).action - mode
        assert noise.std().item() == pytest.approx(0.1 * 2.0, rel=0.05)  # half the lever's way is 2
        assert abs(noise.mean().item()) < 0.02

    def test_the_target_believes_the_lesser_critic_at_the_stirred_action(self) -> None:
        agent = self.build(self.spec(), 4, target_noise_clip=0.5)
        batch = read(self.window(agent, self.spec()), 0.9, agent.see)
        noise = torch.tensor([[0.1], [9.0], [-9.0], [0.0]])
        place = agent.actor_target(batch.next_obs).mode() + torch.tensor([[0.1], [0.5], [-0.5], [0.0]])
        action = -1.0 + 2.0 * place.clamp(-1.0, 1.0)
        both = agent.q.target(batch.next_obs, action)
        wanted = batch.reward + 0.9 * torch.minimum(both[0], both[1])
        torch.testing.assert_close(agent.target(batch, noise), wanted)

    def test_a_loss_changes_nothing(self) -> None:
        agent = self.build(self.spec(), 4)
        batch = read(self.window(agent, self.spec()), 0.9, agent.see)
        before = agent.state_dict()["generator"].clone()
        first, second = agent.loss(batch.obs), agent.loss(batch.obs)
        assert first.item() == second.item()
        assert_same(before, agent.state_dict()["generator"])

    def test_the_policy_climbs_the_first_critic_and_leaves_both_as_they_are(self) -> None:
        agent = self.build(self.spec(), 4)
        batch = read(self.window(agent, self.spec()), 0.9, agent.see)
        critics = [parameter.detach().clone() for parameter in agent.q.parameters]
        before = agent.loss(batch.obs).item()
        for _ in range(5):
            agent._improve(batch.obs)
        assert agent.loss(batch.obs).item() < before
        assert_same(critics, [parameter.detach() for parameter in agent.q.parameters])
        assert all(parameter.requires_grad for parameter in agent.q.parameters)
