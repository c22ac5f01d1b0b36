import copy
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import DictInfoToList, RecordEpisodeStatistics

from envs.feed_env import FeedEnv
from envs.vector import FeedVectorEnv
from feeds.backend import to_numpy
from feeds.errors import FeedError
from feeds.synthetic.probes import probe
from tests.universe import market, random_closes

STREAMS = 5
KINDS: dict[str, dict[str, Any]] = {
    "weights": {},
    "long-short": {
        "actions": {"long_only": False, "gross_cap": 1.5, "net_cap": 1.0},
        "costs": {"borrow_rate": 0.03, "loan_rate": 0.05, "cash_rate": 0.02, "minimum_fee": 3.0},
    },
    "ruin": {"ruin": 0.97},
    "tranches": {"holding": 3, "rebalance_every": 2, "costs": {"cash_rate": 0.05}, "ruin": 0.97},
    "moments": {
        "reward": {"kind": "differential_sharpe", "drawdown_penalty": 0.1, "turnover_penalty": 0.1},
        "ruin": 0.97,
    },
}
MODES = list(AutoresetMode)


def feed_of(kind: str = "weights", **settings: Any) -> Any:
    return market(random_closes(volatility=0.03), episode_bars=12, **KINDS[kind], **settings)


def actions(env: Any, seed: int) -> np.ndarray:
    env.single_action_space.seed(seed)
    return np.stack([env.single_action_space.sample() for _ in range(env.num_envs)])


def assert_same(ours: Any, theirs: Any) -> None:
    """Observations, rewards, masks and infos, those of gymnasium's own vector form among them."""
    assert type(ours) is type(theirs) or np.isscalar(ours)
    if isinstance(theirs, dict):
        assert set(ours) == set(theirs)
        for name in theirs:
            assert_same(ours[name], theirs[name])
    elif isinstance(theirs, np.ndarray) and theirs.dtype == object:
        for one, other in zip(ours, theirs, strict=True):
            assert (one is None) == (other is None)
            assert one is None or np.array_equal(one, other)
    else:
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_what_gymnasium_makes_of_single_environments(kind: str, mode: AutoresetMode) -> None:
    """Stream i is a FeedEnv seeded s + i, through many episodes, in every mode of autoreset."""
    feed = feed_of(kind)
    ours = FeedVectorEnv(feed, STREAMS, autoreset_mode=mode)
    theirs = SyncVectorEnv([lambda: FeedEnv(feed)] * STREAMS, autoreset_mode=mode)
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert ours.metadata["autoreset_mode"] == theirs.metadata["autoreset_mode"]
    for one, other in zip(ours.reset(seed=11), theirs.reset(seed=11), strict=True):
        assert_same(one, other)
    ended = 0
    for seed in range(40):
        action = actions(ours, seed)
        one, other = ours.step(action), theirs.step(action)
        for mine, reference in zip(one, other, strict=True):
            assert_same(mine, reference)
        over = one[2] | one[3]
        ended += int(over.sum())
        if mode is AutoresetMode.DISABLED and over.any():
            options = {"reset_mask": over}
            for mine, reference in zip(
                ours.reset(options=dict(options)), theirs.reset(options=dict(options)), strict=True
            ):
                assert_same(mine, reference)
    assert ended >= 2 * STREAMS


GPU = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here"))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("device", ["torch", GPU])
def test_torch_streams_are_the_same(device: str, mode: AutoresetMode) -> None:
    feed = feed_of()
    numpy_env, torch_env = (FeedVectorEnv(feed, STREAMS, autoreset_mode=mode, device=d) for d in ("cpu", device))
    first, _ = numpy_env.reset(seed=2)
    second, _ = torch_env.reset(seed=2)
    assert isinstance(second, torch.Tensor)
    assert second.device.type == ("cuda" if device == "cuda" else "cpu")
    np.testing.assert_allclose(first, to_numpy(second), atol=1e-6)
    for seed in range(30):
        action = actions(numpy_env, seed)
        one, other = numpy_env.step(action), torch_env.step(torch.from_numpy(action).to(second.device))
        np.testing.assert_allclose(one[0], to_numpy(other[0]), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(one[1], to_numpy(other[1]), atol=1e-12)
        for mine, reference in zip(one[2:4], other[2:4], strict=True):
            np.testing.assert_array_equal(mine, to_numpy(reference))
        assert set(one[4]) == set(other[4])
        if mode is AutoresetMode.DISABLED and (one[2] | one[3]).any():
            mask = one[2] | one[3]
            again = [env.reset(options={"reset_mask": mask})[0] for env in (numpy_env, torch_env)]
            np.testing.assert_allclose(again[0], to_numpy(again[1]), rtol=1e-6, atol=1e-6)


def test_next_step_gives_one_row_for_the_reset_and_ignores_its_action() -> None:
    env = FeedVectorEnv(feed_of(), STREAMS)
    env.reset(seed=0)
    for _ in range(12):
        _, _, terminated, truncated, info = env.step(np.full((STREAMS, 4), 0.25))
    assert truncated.all()
    assert not terminated.any()
    observation, reward, terminated, truncated, info = env.step(np.full((STREAMS, 4), np.nan))
    assert reward.tolist() == [0.0] * STREAMS
    assert not (terminated | truncated).any()
    assert info["wealth"].tolist() == [1e6] * STREAMS
    assert (observation[:, -2:] == [1.0, 0.0]).all()


def test_only_streams_that_are_over_are_reset() -> None:
    """Ruin ends some streams early: the others go on untouched."""
    env = FeedVectorEnv(feed_of("ruin"), STREAMS)
    env.reset(seed=1)
    over, partial = np.zeros(STREAMS, bool), 0
    for seed in range(60):
        before = env.state_dict()["state"]
        _, _, terminated, truncated, info = env.step(actions(env, seed))
        partial += int(over.any() and not over.all())
        assert (info["bar"][~over] == before["bar"][~over] + 1).all()
        assert info["wealth"][over].tolist() == [1e6] * int(over.sum())
        over = terminated | truncated
    assert partial > 5


def test_what_a_step_returned_is_not_written_by_the_next() -> None:
    env = FeedVectorEnv(feed_of("ruin"), STREAMS)
    env.reset(seed=1)
    kept, copies = [], []
    for seed in range(30):
        outcome = env.step(actions(env, seed))
        kept.append(outcome)
        copies.append(copy.deepcopy(outcome))
    for one, other in zip(kept, copies, strict=True):
        for mine, reference in zip(one, other, strict=True):
            assert_same(mine, reference)


def test_the_state_saves_and_forks() -> None:
    env = FeedVectorEnv(feed_of("ruin"), STREAMS)
    env.reset(seed=4)
    for seed in range(17):
        env.step(actions(env, seed))
    saved = copy.deepcopy(env.state_dict())
    expected = [env.step(actions(env, seed)) for seed in range(40)]
    fork = FeedVectorEnv(feed_of("ruin"), STREAMS)
    fork.load_state_dict(saved)
    for one, seed in zip(expected, range(40), strict=True):
        for mine, reference in zip(one, fork.step(actions(fork, seed)), strict=True):
            np.testing.assert_equal(mine, reference)


def test_a_state_moves_between_devices() -> None:
    env = FeedVectorEnv(feed_of(), STREAMS)
    env.reset(seed=4)
    env.step(actions(env, 0))
    other = FeedVectorEnv(feed_of(), STREAMS, device="torch")
    other.load_state_dict(env.state_dict())
    for seed in range(30):
        one, two = env.step(actions(env, seed)), other.step(torch.from_numpy(actions(env, seed)))
        np.testing.assert_allclose(one[1], two[1].numpy(), atol=1e-12)


def test_a_state_of_other_streams_is_refused() -> None:
    env = FeedVectorEnv(feed_of(), 3)
    env.reset(seed=0)
    with pytest.raises(FeedError, match="3 streams, this environment 5"):
        FeedVectorEnv(feed_of(), STREAMS).load_state_dict(env.state_dict())


def test_an_environment_that_was_never_reset_saves_too() -> None:
    fresh = FeedVectorEnv(feed_of(), STREAMS)
    other = FeedVectorEnv(feed_of(), STREAMS)
    other.load_state_dict(fresh.state_dict())
    np.testing.assert_array_equal(fresh.reset(seed=1)[0], other.reset(seed=1)[0])


def test_resetting_without_a_seed_goes_on_with_the_episodes() -> None:
    one, other = (FeedVectorEnv(feed_of(), STREAMS) for _ in range(2))
    bars = [env.reset(seed=5)[1]["bar"].tolist() + env.reset()[1]["bar"].tolist() for env in (one, other)]
    assert bars[0] == bars[1]
    assert bars[0][:STREAMS] != bars[0][STREAMS:]


def test_seeds_can_be_given_one_by_one() -> None:
    env = FeedVectorEnv(feed_of(), 3)
    together = env.reset(seed=[4, 9, 5])[1]["bar"]
    alone = [FeedEnv(feed_of()).reset(seed=seed)[1]["bar"] for seed in (4, 9, 5)]
    assert together.tolist() == alone
    with pytest.raises(ValueError, match="2 seeds were given for 3 streams"):
        env.reset(seed=[1, 2])


@pytest.mark.parametrize("mask", [np.zeros(3, bool), np.ones(2, bool), np.ones(3, int)])
def test_a_reset_mask_is_checked(mask: np.ndarray) -> None:
    env = FeedVectorEnv(feed_of(), 3, autoreset_mode=AutoresetMode.DISABLED)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="reset_mask"):
        env.reset(options={"reset_mask": mask})


def test_without_autoreset_a_stream_that_is_over_must_be_reset() -> None:
    env = FeedVectorEnv(feed_of(), 3, autoreset_mode=AutoresetMode.DISABLED)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(np.zeros((3, 4)))
    env.reset(seed=0)
    for _ in range(12):
        env.step(np.zeros((3, 4)))
    with pytest.raises(gymnasium.error.ResetNeeded, match=r"streams \[0, 1, 2\] are over"):
        env.step(np.zeros((3, 4)))


def test_the_wrappers_of_gymnasium_fit() -> None:
    env = RecordEpisodeStatistics(FeedVectorEnv(feed_of(), STREAMS))
    env.reset(seed=0)
    total, episodes = np.zeros(STREAMS), []
    for seed in range(13):
        _, reward, _, truncated, info = env.step(actions(env, seed))
        total += reward
        if truncated.all():
            episodes.append(info["episode"])
            np.testing.assert_allclose(info["episode"]["r"], total)
            assert info["episode"]["l"].tolist() == [12] * STREAMS
    assert len(episodes) == 1
    listed = DictInfoToList(FeedVectorEnv(feed_of(), STREAMS))
    listed.reset(seed=0)
    infos = listed.step(actions(listed, 0))[-1]
    assert len(infos) == STREAMS
    assert set(infos[0]) >= {"wealth", "weights", "bar"}


def test_masks_of_a_probe_pass_through() -> None:
    env = FeedVectorEnv(probe("catch"), STREAMS)
    _, info = env.reset(seed=0)
    for _ in range(25):
        assert info["action_mask"].shape == (STREAMS, 3)
        assert info["_action_mask"].all()
        *_, info = env.step(np.zeros(STREAMS, np.int64))


def test_no_streams_is_a_mistake() -> None:
    with pytest.raises(FeedError, match="at least one stream"):
        FeedVectorEnv(feed_of(), 0)
