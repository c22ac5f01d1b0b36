"""Labels, calibration and measures by hand, and the promises of thresholds by simulation."""

import math

import pytest
import torch

from metalearn.risk.calibration import AdaptiveLevel, Isotonic, Temperature, controlled_threshold
from metalearn.risk.labels import event_within
from metalearn.risk.measures import (
    auprc,
    auroc,
    calibration_error,
    lead_times,
    measure,
    net_benefit,
    threshold_at_recall,
)


def flags(*rows: int, of: int) -> torch.Tensor:
    made = torch.zeros(of, dtype=torch.bool)
    made[list(rows)] = True
    return made


def test_rows_before_an_event_and_what_a_record_cut_short_leaves_open() -> None:
    # an episode of 5 rows with an event at its row 3; one of 4 rows cut short; one of 2 rows that ended
    first, ended = flags(0, 5, 9, of=11), flags(10, of=11)
    label, known, event = event_within(flags(3, of=11), first, ended, horizon=2)
    assert label.tolist() == [0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    assert known.tolist() == [1, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1]
    assert event.tolist() == [-1, 3, 3, -1, -1, -1, -1, -1, -1, -1, -1]
    # row 4: the record stops after the event; rows 7, 8: less than two rows are left, and nobody knows


def test_an_event_of_the_next_episode_is_nobodys() -> None:
    label, _, _ = event_within(flags(2, of=4), flags(0, 2, of=4), flags(1, 3, of=4), horizon=3)
    assert label.tolist() == [0, 0, 0, 0]


def test_a_temperature_by_its_equations() -> None:
    drawn = torch.Generator().manual_seed(0)
    logit = torch.randn(40_000, generator=drawn)
    label = (torch.rand(40_000, generator=drawn) < torch.sigmoid(0.5 * logit - 1.0)).float()
    line = Temperature.fitted(logit, label)
    assert (line.slope, line.shift) == (pytest.approx(0.5, abs=0.04), pytest.approx(-1.0, abs=0.04))
    assert line(logit).mean() == pytest.approx(label.mean().item(), abs=1e-3)  # the slope of the shift is 0


def test_a_temperature_stays_finite_where_labels_can_be_told_apart() -> None:
    line = Temperature.fitted(torch.tensor([-40.0, -30.0, 30.0, 40.0]), torch.tensor([0.0, 0.0, 1.0, 1.0]))
    assert 0 < line.slope < 10
    turned = Temperature.fitted(torch.tensor([-2.0, -1.0, 1.0, 2.0]), torch.tensor([1.0, 1.0, 0.0, 0.0]), prior=1e-3)
    assert turned.slope > 0.0
    everyone = Temperature.fitted(torch.zeros(50), torch.ones(50))
    assert 0.9 < everyone(torch.zeros(())) < 1.0


def test_steps_that_only_rise() -> None:
    score = torch.tensor([0.1, 0.2, 0.3, 0.4])
    steps = Isotonic.fitted(score, torch.tensor([0.0, 1.0, 0.0, 1.0]))
    assert steps(score).tolist() == pytest.approx([0.0, 0.5, 0.5, 1.0])
    assert steps(torch.tensor([-1.0, 0.15, 9.0])).tolist() == pytest.approx([0.0, 0.25, 1.0])
    assert Isotonic.fitted(score, torch.ones(4))(torch.tensor([0.25])).tolist() == [1.0]


def test_a_controlled_threshold_by_hand() -> None:
    chance = torch.arange(1.0, 20.0) / 20.0  # 19 events
    label = torch.ones(19)
    # of 20: the share (k + 1) / 20 may be missed; .1 allows one to be missed, the threshold is the second
    assert controlled_threshold(chance, label, 0.1) == pytest.approx(2.0 / 20.0)
    assert controlled_threshold(chance, label, 0.05) == pytest.approx(1.0 / 20.0)
    assert controlled_threshold(chance, label, 0.04) == 0.0  # 19 events cannot promise that
    assert controlled_threshold(chance, torch.zeros(19), 0.5) == 0.0


def test_a_controlled_threshold_keeps_its_promise_on_average() -> None:
    drawn = torch.Generator().manual_seed(1)
    missed = []
    for _ in range(400):
        events = torch.rand(31, generator=drawn)  # 30 to set it by, one to come
        missed.append(float(events[30] < controlled_threshold(events[:30], torch.ones(30), 0.2)))
    assert sum(missed) / 400 <= 0.2 + 2.0 * math.sqrt(0.16 / 400)
    assert sum(missed) / 400 > 0.1  # and is not idle


def test_a_level_follows_what_was_missed() -> None:
    level = AdaptiveLevel(0.1, rate=0.05)
    assert level.update(missed=True) == pytest.approx(0.1 + 0.05 * (0.1 - 1.0))
    assert level.update(missed=False) == pytest.approx(0.055 + 0.05 * 0.1)
    drawn, missed = torch.Generator().manual_seed(2), 0
    level = AdaptiveLevel(0.1, rate=0.02)
    for step in range(4_000):  # errors grow: a fixed level would miss ever more
        error = (1.0 + step / 1_000) * abs(float(torch.randn((), generator=drawn)))
        share = min(max(level.now, 0.0), 1.0)
        bound = math.inf if share == 0.0 else math.sqrt(2.0) * float(torch.erfinv(torch.tensor(1.0 - share)))
        missed += error > bound
        level.update(missed=error > bound)
    assert missed / 4_000 == pytest.approx(0.1, abs=0.03)


CHANCE, LABEL = torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0.0, 0.0, 1.0, 1.0])


def test_measures_by_hand() -> None:
    assert auroc(CHANCE, LABEL) == 0.75
    assert auprc(CHANCE, LABEL) == pytest.approx(0.5 * 1.0 + 0.5 * 2.0 / 3.0)
    assert math.isnan(auroc(CHANCE, torch.zeros(4)))
    assert math.isnan(auprc(CHANCE, torch.zeros(4)))
    assert calibration_error(CHANCE, LABEL, bins=2) == pytest.approx(0.5 * abs(0.225 - 0.5) + 0.5 * abs(0.6 - 0.5))
    # at a threshold of .2: alarms for the last three, one of them false at odds of a quarter
    assert net_benefit(CHANCE, LABEL, 0.2) == pytest.approx((2.0 - 0.25) / 4.0)
    assert threshold_at_recall(CHANCE, LABEL, 0.5) == pytest.approx(0.8)
    assert threshold_at_recall(CHANCE, LABEL, 0.8) == pytest.approx(0.35)
    alike, half = torch.full((10,), 0.5), torch.cat([torch.zeros(5), torch.ones(5)])
    assert calibration_error(alike, half, bins=2) == 0.0  # whatever the order of rows that are told alike
    found = measure(CHANCE, LABEL)
    assert (found.rows, found.prevalence) == (4, 0.5)
    brier = (0.01 + 0.16 + 0.65**2 + 0.04) / 4.0
    assert (found.brier, found.brier_skill) == (pytest.approx(brier), pytest.approx(1.0 - brier / 0.25))


def test_the_calibration_line_of_chances_that_hold() -> None:
    drawn = torch.Generator().manual_seed(3)
    chance = 0.05 + 0.9 * torch.rand(30_000, generator=drawn)
    found = measure(chance, (torch.rand(30_000, generator=drawn) < chance).float())
    assert (found.slope, found.intercept) == (pytest.approx(1.0, abs=0.05), pytest.approx(0.0, abs=0.05))
    assert found.ece < 0.02


def test_lead_times_run_from_the_first_alarm_to_the_first_event() -> None:
    episode = torch.tensor([0, 0, 0, 0, 1, 1, 1])
    alarm = torch.tensor([0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0])
    event = torch.tensor([0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0])
    hours = torch.tensor([0.0, 2.0, 4.0, 6.0, 0.0, 1.0, 2.0])
    assert lead_times(alarm, episode, event, hours).tolist() == [4.0]  # the second came unannounced
