"""Recorded stays by gymnasium's own names: what is played is what was recorded, and nobody is named."""

import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import polars as pl
import pytest
import torch
import yaml
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import SyncVectorEnv

from angle_domains.loops import advance, begin
from angle_domains.replay.recorded import _percept
from envs.records import RecordsEnv, make_records, make_records_vector
from envs.registration import register_envs
from feeds.base import Rows
from feeds.clinical.config import ClinicalConfig
from feeds.clinical.feed import ClinicalFeed
from feeds.errors import FeedError
from tests.feeds.clinical.tables import ROLES, table

ID = "angle_domains/Records-v0"
SMALL: dict[str, Any] = {"path": "synth-vaso", "patients": 40}
MADE: dict[str, dict[str, Any]] = {
    "survival": SMALL,
    "masked": SMALL | {"actions": {"codec": "stepwise", "persist": ("action_vaso",)}},
    "doses": SMALL | {"actions": {"codec": "box"}, "states": {"last_action": True}},
    "cut": SMALL | {"reward": {"kind": "oviss"}, "ends": {"max_hours": 9.0}},
    "uneven": {"path": "mimic4demo-vaso", "reward": {"kind": "mortality"}, "ends": {"last_action": "taken"}},
}


@pytest.fixture(autouse=True)
def registered() -> None:
    register_envs()


@pytest.fixture(params=MADE)
def settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    return MADE[request.param]


def log(settings: dict[str, Any], split: str = "train") -> Rows:
    return ClinicalFeed(ClinicalConfig.model_validate(settings)).episodes(split)


def test_gymnasium_finds_no_fault(settings: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make(ID, disable_env_checker=True, **settings).unwrapped)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize("acting", ["recorded", "other"])
def test_every_episode_is_that_of_the_log_whatever_is_done(acting: str, split: str, settings: dict[str, Any]) -> None:
    rows = log(settings, split)
    env: Any = gymnasium.make(ID, split=split, **settings)
    env.action_space.seed(0)
    assert env.unwrapped.feed.episodes == len(rows.starts)
    for episode, (start, stop) in enumerate(zip(rows.starts, rows.stops, strict=True)):
        seen, info = env.reset(options={"episode": episode})
        reward, terminated, truncated = 0.0, False, False
        for row in range(start, stop):
            np.testing.assert_array_equal(seen, rows.observation[row])
            assert reward == rows.reward[row]
            assert terminated == rows.terminated[row]
            assert truncated == (rows.last[row] and not rows.terminated[row])
            np.testing.assert_array_equal(info["action"], rows.action[row])
            assert env.action_space.contains(np.asarray(info["action"], rows.action.dtype)[()])
            assert info["discount_time"] == rows.elapsed[row]
            assert ("action_mask" in info) == (rows.mask is not None)
            if rows.mask is not None:
                np.testing.assert_array_equal(info["action_mask"], rows.mask[row])
            assert set(info) <= {"action", "action_mask", "discount_time"}
            if not rows.last[row]:
                action = info["action"] if acting == "recorded" else env.action_space.sample()
                seen, reward, terminated, truncated, info = env.step(action)
        assert terminated or truncated


def test_an_agent_perceives_what_it_would_learn_from(settings: dict[str, Any]) -> None:
    """Rewards, discounts and hours as a replay of the log holds them, through the loop of agents that act."""
    rows = log(settings)
    told = _percept(rows)
    envs = make_records_vector(num_envs=1, **settings)
    state = begin(envs, 3)
    shape = envs.single_action_space.shape or ()
    for _ in range(4):
        [start] = [at for at in rows.starts if np.array_equal(rows.observation[at], state.percept.obs[0].numpy())][:1]
        row = int(start)
        while True:
            for name in ("obs", "reward", "discount", "first", "last", "elapsed", "mask"):
                mine, theirs = getattr(state.percept, name), getattr(told, name)
                assert (mine is None) == (theirs is None)
                assert mine is None or torch.equal(mine[0], theirs[row, 0]), name
            last = bool(state.percept.last[0])
            advance(envs, state, torch.zeros((1, *shape), dtype=torch.float32 if shape else torch.int64), None)
            if last:
                break
            row += 1
        assert rows.last[row]


def test_a_seed_is_an_episode_and_resets_differ() -> None:
    one, other = make_records(**SMALL), make_records(**SMALL)
    starts = [env.reset(seed=seed)[0].tobytes() for env, seed in ((one, 5), (other, 5), (one, 6))]
    assert starts[0] == starts[1] != starts[2]
    one.reset(seed=5)
    later = [[env.reset()[0].tobytes() for _ in range(6)] for env in (one, other)]
    assert later[0] == later[1]
    assert starts[0] != later[0][0]
    assert len(set(later[0])) > 3
    assert len({make_records(**SMALL).reset()[0].tobytes() for _ in range(8)}) > 1


def test_a_stay_that_is_picked_stands_in_for_the_one_that_would_be_drawn() -> None:
    one, other = make_records(**SMALL), make_records(**SMALL)
    one.reset(seed=1, options={"episode": np.int64(2)})
    other.reset(seed=1)
    np.testing.assert_array_equal(one.reset()[0], other.reset()[0])
    for wrong, said in (
        (28, "numbered 0 to 27"),
        (-1, "numbered 0 to 27"),
        ("2", "no whole number"),
        (True, "no whole"),
    ):
        with pytest.raises(FeedError, match=said):
            one.reset(options={"episode": wrong})
    with pytest.raises(FeedError, match="gymnasium.make"):
        make_records_vector(num_envs=2, **SMALL).reset(options={"episode": [0, 1]})


def test_a_stay_that_is_over_goes_no_further() -> None:
    env = make_records(**SMALL)
    env.reset(seed=0)
    over = False
    while not over:
        *_, terminated, truncated, _ = env.step(0)
        over = terminated or truncated
    with pytest.raises(gymnasium.error.ResetNeeded, match="this stay is over"):
        env.step(0)
    env.reset()
    env.step(0)


@pytest.mark.parametrize("device", ["cpu", "torch"])
def test_streams_equal_single_environments(device: str) -> None:
    settings = MADE["masked"]
    ours: Any = gymnasium.make_vec(ID, num_envs=4, device=device, **settings)
    theirs = SyncVectorEnv([lambda: RecordsEnv(ours.unwrapped.feed) for _ in range(4)])
    (seen, info), (expected, told) = ours.reset(seed=3), theirs.reset(seed=3)
    ended = 0
    for _ in range(150):
        np.testing.assert_array_equal(np.asarray(seen), expected)
        for name in ("action", "discount_time"):
            np.testing.assert_array_equal(np.asarray(info[name]), told[name])
        seen, *outcome, info = ours.step(np.asarray(info["action"]))
        expected, *others, told = theirs.step(told["action"])
        for mine, reference in zip(outcome, others, strict=True):
            np.testing.assert_array_equal(np.asarray(mine), reference)
        ended += int((outcome[1] | outcome[2]).sum())
    assert ended > 2


def test_the_test_part_is_played_for_who_names_it_alone() -> None:
    """No other word leads there, and its stays are none of the training part's."""
    train, test = log(SMALL), log(SMALL, "test")
    assert make_records(**SMALL).split == "train"
    seen = {make_records(**SMALL).reset(options={"episode": at})[0].tobytes() for at in range(len(train.starts))}
    assert not seen & {test.observation[at].tobytes() for at in test.starts}
    assert make_records(split="test", **SMALL).reset(seed=0)[0].tobytes() not in seen
    for wrong in ("all", "tset", "", None):
        with pytest.raises(FeedError, match="no split"):
            make_records(split=wrong, **SMALL)  # type: ignore[arg-type]
        with pytest.raises(FeedError, match="no split"):
            make_records_vector(split=wrong, **SMALL)  # type: ignore[arg-type]


def test_a_setting_that_is_unknown_is_named_with_the_nearest() -> None:
    with pytest.raises(FeedError, match="records does not take pathh=.*did you mean 'path'"):
        gymnasium.make(ID, pathh="synth-vaso")


CANARIES = ("CANARYPAT", "CANARYSTAY", "2031", "canary hospital")


def test_no_patient_no_stay_and_no_date_is_told(tmp_path: Path) -> None:
    frame = table(40).with_columns(
        subject_id=pl.col("subject_id").str.replace("MRN", "CANARYPAT"),
        stay_id=pl.format("CANARYSTAY{}", "stay_id"),
        time_hour=pl.datetime(2031, 5, 17) + pl.duration(hours=pl.col("time_hour").cast(pl.Int64)),
        site=pl.lit("canary hospital"),
    )
    frame.write_csv(tmp_path / "table.csv")
    (tmp_path / "schema.yaml").write_text(yaml.safe_dump(ROLES | {"site": "site"}, sort_keys=False))
    env = make_records(path=str(tmp_path / "table.csv"))
    shown: list[str] = [repr(env), str(env), str(env.feed.spec), repr(env.feed), str(env.feed.describe()["schema"])]
    for episode in range(env.feed.episodes):
        _, info = env.reset(options={"episode": episode})
        over = False
        while not over:
            assert set(info) == {"action", "discount_time"}
            assert isinstance(info["action"], int)
            assert 0.0 <= info["discount_time"] <= 1.0
            shown.append(str(info))
            *_, terminated, truncated, info = env.step(info["action"])
            over = terminated or truncated
        shown.append(str(info))
    envs = make_records_vector(path=str(tmp_path / "table.csv"), num_envs=3)
    shown += [str(envs.reset(seed=0)[1]), str(envs.state_dict()), str(env.state_dict())]
    with pytest.raises(FeedError) as wrong:
        env.reset(options={"episode": 10_000})
    shown.append(str(wrong.value))
    assert len(shown) > 200
    assert not [canary for canary in CANARIES for text in shown if canary in text]
