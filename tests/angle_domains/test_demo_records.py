"""The whole table of real patients through every codec, as episodes, and through the agent with a memory."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from angle_domains.agents import rcql
from angle_domains.evaluation.cohort import intended
from angle_domains.loops import OfflineState, offline
from angle_domains.replay import recorded_sequences
from feeds.base import Rows
from feeds.clinical.config import ClinicalConfig
from feeds.clinical.episodes import deaths
from feeds.clinical.feed import ClinicalFeed
from feeds.clinical.records import DISCHARGE
from feeds.clinical.split import SPLITS
from feeds.data import mimic4demo_vaso

VASO = {"columns": ["action_vaso"]}
EDGES = {"norepinephrine": [0, 0.05, 0.1, 0.2, 0.5, 2.0]}
STEPS = {"codec": "stepwise", "cap": 2.0}
CODECS: dict[str, dict[str, Any]] = {
    "binary": {"codec": "binary", **VASO},
    "binary, persistent": {"codec": "binary", **VASO, "persist": ["action_vaso"]},
    "block": {"codec": "block", "bins": 10},
    "block of edges": {"codec": "block", "edges": EDGES, "persist": ["action_vaso"]},
    "block, public": {"codec": "block", "zero": False, "bins": 5},
    "stepwise": {**STEPS, "floor": 0.0, "max_step": 2.0},
    "stepwise, limited": {**STEPS, "max_step": 0.2, "persist": ["action_vaso"]},
    "stepwise, public": {"codec": "stepwise", "max_step": 0.2},
    "discrete": {"codec": "discrete", "columns": ["level"]},
    "mixed": {"codec": "box"},
    "mixed, persistent": {"codec": "box", "persist": ["action_vaso"]},
}
DISCRETE = [name for name, actions in CODECS.items() if actions["codec"] != "box"]


def table() -> pl.DataFrame:
    """All of it, a coded column beside it, and a stay of one row, which holds one decision."""
    whole = mimic4demo_vaso.load()
    level = (pl.col("norepinephrine").fill_null(0.0) * 10).ceil().clip(0, 5).cast(pl.Int64)
    short = whole.filter(pl.col("stay_id") == pl.col("stay_id").first()).head(1)
    numbers = {name: pl.lit(whole[name].max()).add(1).cast(whole[name].dtype) for name in ("subject_id", "stay_id")}
    short = short.with_columns(**numbers)
    return pl.concat([whole, short]).with_columns(level=level)


@cache
def made(name: str) -> ClinicalFeed:
    roles = ClinicalFeed(ClinicalConfig(path="mimic4demo-vaso")).records.schema.model_dump()
    if CODECS[name]["codec"] == "discrete":
        roles["action"] = {"level": {"kind": "categorical", "high": 5}}
    config = {"path": "mimic4demo-vaso", "roles": roles, "actions": CODECS[name], "ends": {"last_action": "taken"}}
    return ClinicalFeed(ClinicalConfig.model_validate(config), frame=table())


def everyone(name: str) -> Rows:
    return made(name).rows_of(made(name).records)


@pytest.mark.parametrize("name", CODECS)
def test_every_decision_is_an_action_that_is_allowed_and_means_the_dose(name: str) -> None:
    feed, rows = made(name), everyone(name)
    doses, decided = feed.doses(feed.records), ~rows.last
    action = feed.codec.encode(doses.decided, doses.before)
    np.testing.assert_array_equal(action[decided], rows.action[decided])
    assert all(feed.spec.action_space.contains(each) for each in action)
    meant = feed.codec.decode(action, doses.before)
    np.testing.assert_array_equal(feed.codec.encode(meant, doses.before), action)
    if rows.mask is not None:
        assert rows.mask.any(1).all()
        assert np.take_along_axis(rows.mask, action[:, None], 1)[decided].all()
    clipped = feed.codec.clipped(doses.decided, doses.before)
    near = 0.75 if "edges" in CODECS[name] else 0.2 if feed.codec.columns[-1] == "norepinephrine" else 0.5
    assert np.abs(meant - doses.decided)[decided & ~clipped].max() <= near + 1e-9
    told = feed.describe()["profile"]["actions"]
    assert (told["decisions"], told["clipped"]) == (int(decided.sum()), int((clipped & decided).sum()))


@pytest.mark.parametrize("name", CODECS)
def test_all_stays_become_episodes(name: str) -> None:
    feed, rows = made(name), everyone(name)
    frame = table()
    assert (len(rows.starts), int((~rows.last).sum())) == (frame["stay_id"].n_unique(), len(frame)) == (34, len(frame))
    assert np.isfinite(rows.observation).all()
    assert np.isfinite(rows.reward).all()
    assert sum(len(feed.episodes(split)) for split in SPLITS) == len(rows)
    assert deaths(rows, feed.records) == (6, 6)  # in six stays more the death came after the record, and is none of it
    assert rows.terminated.sum() == 6 + (feed.records.reason == DISCHARGE).sum()


@pytest.mark.parametrize("name", DISCRETE)
def test_the_agent_with_a_memory_learns_from_every_decision_the_last_of_every_stay_among_them(name: str) -> None:
    """Trap 14: all decisions are in a window that is drawn, those of stays of one step too."""
    rows = everyone(name)
    named = replace(rows, observation=np.arange(len(rows), dtype=np.float32)[:, None])
    agent = rcql.build(rcql.RCQLConfig(), made(name).spec, streams=1, seed=0, device="cpu")
    replay, seen = recorded_sequences(named, agent, seed=0, device="cpu"), np.zeros(len(rows), bool)
    for _ in range(150):
        window = replay.get_batch(64, agent.length)
        seen[window.obs[:-1, :, 0][agent.trained(window) > 0].long().numpy()] = True
    np.testing.assert_array_equal(seen, ~rows.last)


@pytest.mark.parametrize("name", DISCRETE)
def test_it_learns_and_decides_for_everyone(name: str) -> None:
    rows, spec = everyone(name), made(name).spec
    config = rcql.RCQLConfig(network={"hidden": (8,), "activation": "relu", "recurrent": 8})  # type: ignore[arg-type]
    agent = rcql.build(config, spec, streams=1, seed=0, device="cpu")
    replay = recorded_sequences(rows, agent, seed=0, device="cpu")
    before = [parameter.clone() for parameter in agent.parameters]
    (report,) = offline(agent, replay, OfflineState(), steps=3)
    assert all(np.isfinite(value) for value in report.metrics.values())
    assert not all(torch.equal(old, new) for old, new in zip(before, agent.parameters, strict=True))
    held = intended(agent, rows, spec)
    assert held.q is not None
    assert np.isfinite(held.q).all()
    if rows.mask is not None:
        assert np.take_along_axis(rows.mask, held.action[:, None].astype(np.int64), 1)[~rows.last].all()
