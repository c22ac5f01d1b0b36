"""The same records in rows of one hour and of four: values of what is paid at the end of a stay are the same."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest

from angle_domains.agents import vi
from angle_domains.loops import OfflineState, offline
from angle_domains.networks.config import NetworkConfig
from angle_domains.ope import fqe
from angle_domains.ope.episodes import from_rows, returns
from angle_domains.replay import recorded
from feeds.base import Rows
from feeds.clinical.config import ClinicalConfig
from feeds.clinical.feed import ClinicalFeed
from feeds.clinical.process import clinician
from feeds.clinical.truth import true_value
from tests.contracts.agent_contract import see
from tests.feeds.clinical.tables import ROLES, feed

GAMMA = 0.95
HOURS = (1, 4)
STATE = {"masks": False, "since": False, "elapsed": False, "scale": "none", "max_age": None}


def records() -> pl.DataFrame:
    """Stays of 4 and of 8 hours; one in three ends by death."""
    frames = []
    for patient in range(60):
        length = 5 if patient % 2 else 9
        died = patient % 3 == 0
        frames.append(
            pl.DataFrame(
                {
                    "subject_id": [patient] * length,
                    "stay_id": [patient] * length,
                    "time_hour": np.arange(length, dtype=float),
                    "course": np.arange(length) / 8.0,  # how far the stay is
                    "action_vaso": [0] * length,
                    "death": [int(died)] * length,
                    "traj_end_reason": ["death" if died else "discharge"] * length,
                }
            )
        )
    return pl.concat(frames)


@cache
def binned(hours: int, kind: str) -> ClinicalFeed:
    """Every `hours`-th row of the records."""
    roles: dict[str, Any] = ROLES | {
        "state": {"course": {}},
        "static": [],
        "action": {"action_vaso": {"kind": "binary"}},
    }
    frame = records().filter(pl.col("time_hour") % hours == 0)
    return feed(frame, roles=roles, states=STATE, reward={"kind": kind})


def rows_of(hours: int, kind: str) -> Rows:
    return binned(hours, kind).episodes("train")


def recorded_returns(hours: int, kind: str) -> np.ndarray:
    rows = rows_of(hours, kind)
    ones = np.ones(len(rows))
    return returns(from_rows(rows, ones, behaviour=ones), GAMMA)


@pytest.mark.parametrize("kind", ["survival", "mortality", "mortality_only", "oviss_mortality"])
def test_returns_are_the_same(kind: str) -> None:
    fine, rough = (recorded_returns(hours, kind) for hours in HOURS)
    assert np.abs(fine).max() > 0.1
    np.testing.assert_allclose(fine, rough, rtol=1e-12)


def test_what_is_summed_over_a_row_is_paid_at_its_end() -> None:
    """A limit: 1 an hour is 4 at the end of four hours, and counts less than hour by hour."""
    fine, rough = (recorded_returns(hours, "oviss_base") for hours in HOURS)
    for found, hours in ((fine, 1), (rough, 4)):
        by_hand = [sum(hours * GAMMA ** (end - 1) for end in range(hours, stay + 1, hours)) for stay in (4, 8)]
        assert np.unique(found.round(9)) == pytest.approx(np.round(by_hand, 9))
    assert (rough < fine).all()


@pytest.mark.parametrize("kind", ["survival", "mortality"])
def test_value_iteration_finds_the_same(kind: str) -> None:
    found = []
    for hours in HOURS:
        made = binned(hours, kind)
        rows = made.episodes("train")
        agent = vi.build(vi.VIConfig(gamma=GAMMA, least=1, prior=0.0), made.spec, streams=1, seed=0, device="cpu")
        list(offline(agent, recorded(rows, agent, seed=0, device="cpu"), OfflineState(), steps=20))
        decision = agent.act(see([[0.0]]), None, explore=False)
        found.append(decision.extras["q"][0, 0].item())
        assert found[-1] == pytest.approx(recorded_returns(hours, kind).mean(), rel=1e-5)
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_fitted_q_evaluation_finds_the_same() -> None:
    config = fqe.FqeConfig(
        network=NetworkConfig(hidden=(32,), activation="relu"),
        updates=3_000,
        batch=64,
        learning_rate=2e-3,
        copy_every=20,
        check_every=100,
        tolerance=0.1,
    )
    found = []
    for hours in HOURS:
        rows = rows_of(hours, "survival")
        rows = replace(rows, observation=np.eye(9)[(8 * rows.observation[:, 0]).round().astype(int)])
        fitted = fqe.fit(rows, np.tile([1.0, 0.0], (len(rows), 1)), GAMMA, config)
        assert fitted.value is not None
        found.append(fitted.value)
        data = fqe._data(rows, np.tile([1.0, 0.0], (len(rows), 1)), GAMMA, "cpu")
        assert (data.reward * data.scale).max().item() == pytest.approx(GAMMA ** (hours - 1))
    wanted = recorded_returns(1, "survival").mean()
    assert found == pytest.approx([wanted, wanted], abs=0.04)


@pytest.mark.parametrize("gamma", [1.0, 0.99])
def test_the_log_of_a_known_process_earns_what_the_process_is_worth(gamma: float) -> None:
    """By rows of four hours: what estimators count and what is solved for are the same number."""
    made = ClinicalFeed(ClinicalConfig(path="icu-sepsis-log"))
    parts = [made.episodes(split) for split in ("train", "validation", "test")]
    earned = np.concatenate([returns(from_rows(rows, np.ones(len(rows))), gamma) for rows in parts])
    assert earned.mean() == pytest.approx(true_value(clinician(), gamma), abs=3.0 * earned.std() / len(earned) ** 0.5)
