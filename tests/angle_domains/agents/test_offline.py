"""What only logs show: ends that are no ends, agents made for other loops, and control of a pole from mixed play."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv

from angle_domains import loops
from angle_domains.agents import bc, bcq, cql, iql, sac, td3
from angle_domains.loops import OfflineState, offline
from angle_domains.replay import ReplayBuffer, recorded
from angle_domains.types import Decision, Percept
from feeds.base import FeedSpec, Rows
from tests.contracts import worlds
from tests.contracts.agent_contract import see
from tests.logs import logged, rows_of, whole

NETWORK = {"hidden": (32, 32), "activation": "relu"}


def trained(module: Any, config: Any, rows: Rows, spec: FeedSpec, steps: int, seed: int = 0) -> Any:
    agent = module.build(config, spec, streams=1, seed=seed, device="cpu")
    for report in offline(agent, recorded(rows, agent, seed=seed, device="cpu"), OfflineState(), steps=steps):
        assert all(np.isfinite(value) for value in report.metrics.values())
    return agent


@pytest.mark.slow
def test_the_end_of_a_record_is_no_end() -> None:
    """Every hour earns 1 for ever. Records stop after 3; where they count as deaths the value is another: trap 11."""
    spec = FeedSpec("world", worlds.UNIT, spaces.Discrete(2))
    config = cql.CQLConfig(network=NETWORK, gamma=0.5, alpha=0.0, learning_rate=3e-3, tau=0.1, replay={"batch": 64})
    values = []
    for ended in (False, True):
        chance = np.random.default_rng(0)
        episode = {"obs": np.ones(4), "reward": np.ones(3), "ended": ended}
        rows = rows_of([episode | {"action": chance.integers(2, size=3)} for _ in range(50)])
        agent = trained(cql, config, rows, spec, 300)
        values.append(agent.act(see([[1.0]]), None, explore=False).extras["q"].max().item())
    assert values[0] == pytest.approx(2.0, abs=0.1)
    assert values[1] < 1.8  # a third of the rows end


@pytest.mark.slow
@pytest.mark.parametrize("hours", [1, 4])
def test_an_agent_values_long_rows_as_the_short_ones_they_join(hours: int) -> None:
    """8 hours to a reward of 1 by rows of 1 h, or of 4 h whose reward is told 3 hours before its end: trap 12."""
    gamma, rows_of_it = 0.9, 8 // hours
    reward = np.zeros(rows_of_it)
    reward[-1] = gamma ** (hours - 1)
    episode = {"obs": np.linspace(-1.0, 1.0, rows_of_it + 1), "action": np.zeros(rows_of_it, int), "reward": reward}
    rows = rows_of([episode | {"ended": True, "elapsed": np.full(rows_of_it, float(hours))}])
    config = cql.CQLConfig(network=NETWORK, gamma=gamma, alpha=0.0, learning_rate=3e-3, tau=0.2, replay={"batch": 64})
    agent = trained(cql, config, rows, FeedSpec("world", worlds.UNIT, spaces.Discrete(1)), 400)
    value = agent.act(see([[-1.0]]), None, explore=False).extras["q"].item()
    assert value == pytest.approx(gamma**7, abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("module", [td3, sac])
def test_agents_made_for_other_loops_learn_from_a_log(module: Any) -> None:
    """As controls: what they believe of actions that nobody tried is not held down."""
    envs = worlds.vector(lambda: worlds.Aim(spaces.Box(-1.0, 1.0, (1,), np.float32)), 8)
    settings = {"network": NETWORK, "learning_rate": 3e-3, "tau": 0.05, "gamma": 0.0, "replay": {"batch": 64}}
    extra = {"temperature": 0.01, "tune_temperature": False} if module is sac else {}
    config = (module.SACConfig if module is sac else module.TD3Config)(**settings, **extra)
    agent = trained(module, config, logged(envs, 1_000), worlds.spec_of(envs), 500)
    action = agent.act(see([[-0.6, 0.0, 0.0], [0.6, 0.0, 0.0]]), None, explore=False).action.flatten()
    torch.testing.assert_close(action, torch.tensor([-0.6, 0.6]), atol=0.3, rtol=0.0)  # it aims at what it sees


def pole(streams: int) -> SyncVectorEnv:
    return worlds.vector(lambda: gym.make("CartPole-v1"), streams)


def mixed_play(steps: int) -> Rows:
    """CartPole by a rule that balances well, one that sways, and chance, each for episodes of its own stream."""
    envs = pole(9)
    state, chance = loops.begin(envs, 0), torch.Generator().manual_seed(0)
    replay = ReplayBuffer(2 * steps, 9, torch.Generator())
    random = torch.tensor([0.1] * 3 + [0.6] * 3 + [1.0] * 3)
    while state.step < steps:
        obs = state.percept.obs
        balanced = (obs[:, 2] + 0.5 * obs[:, 3] + 0.05 * obs[:, 0] + 0.1 * obs[:, 1] > 0).long()
        drawn = torch.randint(2, (9,), generator=chance)
        action = torch.where(torch.rand(9, generator=chance) < random, drawn, balanced)
        replay.insert(state.percept, Decision(action))
        loops.advance(envs, state, action, None)
    return whole({name: column.numpy() for name, column in replay.read_rows(0, replay.added).items()})


def mean_return(agent: Any) -> float:
    envs = pole(20)
    percept = loops.begin(envs, 10_000).percept
    total, alive = np.zeros(20), np.ones(20, dtype=bool)
    while alive.any():
        obs, reward, terminated, truncated, _ = envs.step(agent.act(percept, None, explore=False).action.numpy())
        total += reward * alive
        alive &= ~(terminated | truncated)
        percept = Percept(torch.as_tensor(obs), *percept[1:])
    return float(total.mean())


@pytest.mark.gate
@pytest.mark.parametrize("seed", range(3))
def test_better_than_imitation_of_mixed_play(seed: int) -> None:
    """Logged CartPole: CQL, IQL and BCQ each do better than behaviour cloning."""
    rows, spec = mixed_play(30_000), worlds.spec_of(pole(1))
    network = {"hidden": (128, 128), "activation": "relu"}
    cloned = mean_return(trained(bc, bc.BCConfig(network=network), rows, spec, 5_000, seed))
    for module, config in (
        (cql, cql.CQLConfig(network=network, learning_rate=1e-3, alpha=0.5, tau=0.01)),
        (iql, iql.IQLConfig(network=network, expectile=0.9, beta=10.0, learning_rate=1e-3)),
        (bcq, bcq.BCQConfig(network=network, learning_rate=1e-3)),
    ):
        assert mean_return(trained(module, config, rows, spec, 10_000, seed)) > cloned, module.__name__
