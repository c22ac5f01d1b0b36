"""What only logs show: ends that are no ends, agents made for other loops, and control of a pole from mixed play."""

from typing import Any

import gymnasium as gym
import numpy as np
import polars as pl
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv

from angle_domains import loops
from angle_domains.agents import bc, bcq, cql, dqn, iql, rcql, sac, td3
from angle_domains.loops import OfflineState, offline
from angle_domains.ope.episodes import from_rows
from angle_domains.ope.policies import greedy
from angle_domains.replay import ReplayBuffer, recorded
from angle_domains.transitions import read
from angle_domains.types import Decision, Percept
from feeds.base import FeedSpec, Rows
from tests.contracts import worlds
from tests.contracts.agent_contract import see
from tests.contracts.value_contract import answer
from tests.feeds.clinical.tables import feed, table
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
    """8 hours to a reward of 1 by rows of 1 h, or of 4 h: trap 12."""
    gamma, rows_of_it = 0.9, 8 // hours
    reward = np.zeros(rows_of_it)
    reward[-1] = 1.0
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
    """CartPole by a rule that balances, and more often by its opposite, each stream in a share of its own.

    Where chance alone is mixed in, the likeliest action is the rule's, and who imitates plays as well as can be.
    """
    envs = pole(9)
    state, chance = loops.begin(envs, 0), torch.Generator().manual_seed(0)
    replay = ReplayBuffer(2 * steps, 9, torch.Generator())
    opposite = torch.tensor([0.05] * 3 + [0.6] * 3 + [0.95] * 3)
    while state.step < steps:
        obs = state.percept.obs
        balanced = (obs[:, 2] + 0.5 * obs[:, 3] + 0.05 * obs[:, 0] + 0.1 * obs[:, 1] > 0).long()
        action = torch.where(torch.rand(9, generator=chance) < opposite, 1 - balanced, balanced)
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


def cut_stays() -> tuple[Rows, FeedSpec, np.ndarray, int]:
    """Stays that are cut after 3 hours, without norepinephrine: its dose cannot be lowered. What is barred [N, A].

    And a row in which a stay is cut.
    """
    frame = table().with_columns(norepinephrine=pl.lit(0.0))
    made = feed(frame, actions={"codec": "stepwise"}, ends={"max_hours": 3.0})
    rows = made.episodes("train")
    allowed = made.codec.mask(made.doses(made.part("train")).before)
    assert allowed is not None
    return rows, made.spec, ~allowed, int(np.flatnonzero(rows.last & ~rows.terminated)[0])


@pytest.mark.parametrize("module", [cql, bcq, dqn])
def test_a_cut_record_goes_on_by_what_is_allowed_there(module: Any) -> None:
    rows, spec, barred, cut = cut_stays()
    config = next(getattr(module, name) for name in ("CQLConfig", "BCQConfig", "DQNConfig") if hasattr(module, name))
    agent = module.build(config(network=NETWORK), spec, streams=1, seed=0, device="cpu")
    replay = recorded(rows, agent, seed=0, device="cpu")
    batch = read(replay.newest(replay.size - cut), 0.9, agent.core.see)
    assert batch.discount.item() > 0.0
    targets = []
    for lure in (0.0, 100.0):
        for network in (agent.core.online, agent.core.target):
            numbers = np.arange(spec.action_space.n) / 10 + lure * barred[cut]
            width = network.advantage.layers[-1].bias.numel() // len(numbers)
            answer(network, np.repeat(numbers[:, None], width, 1).tolist())
        targets.append(agent.target(batch).item())
    assert targets[0] == targets[1]


def test_an_agent_with_a_memory_goes_on_by_what_is_allowed_too() -> None:
    rows, spec, barred, cut = cut_stays()
    config = rcql.RCQLConfig(network=NETWORK | {"recurrent": 8})
    agent = rcql.build(config, spec, streams=1, seed=0, device="cpu")
    window = recorded(rows, agent, seed=0, device="cpu").newest(len(rows) - cut)
    held = torch.rand((len(window.action) + 1, 1, barred.shape[1]), generator=torch.Generator().manual_seed(0))
    lured = held + 100.0 * torch.from_numpy(barred[cut - 1 :]).unsqueeze(1)
    assert torch.equal(agent.target(window, held, held)[0], agent.target(window, lured, lured)[0])


def test_values_behind_a_cut_record_are_of_what_is_allowed_there() -> None:
    """Those that fitted-Q evaluation and the doubly robust estimators add."""
    rows, _, barred, _ = cut_stays()
    q = np.random.default_rng(0).random(barred.shape)
    final = [
        from_rows(rows, policy, behaviour=np.ones(len(rows)), q=values).final
        for values in (q, q + 100.0 * barred)
        for policy in (greedy(values, rows.mask, epsilon=0.2),)
    ]
    np.testing.assert_array_equal(*final)
