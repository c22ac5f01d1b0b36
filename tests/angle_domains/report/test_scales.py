"""Where values lie and which of them get a label."""

import numpy as np
import pytest

from angle_domains.report.scales import linear, logarithmic, round_step, step_axis, time_axis, time_ticks


@pytest.mark.parametrize(
    ("step", "rounded"),
    [(0.07, 0.1), (0.021, 0.025), (0.025, 0.025), (1.0, 1.0), (1.2, 2.0), (3.0, 5.0), (60.0, 100.0)],
)
def test_steps_are_round(step: float, rounded: float) -> None:
    assert round_step(step) == pytest.approx(rounded)


def test_a_linear_scale_holds_its_values_and_ends_on_ticks() -> None:
    scale = linear(np.array([-0.31, np.nan, 0.12]), zero=True)
    assert (scale.low, scale.high) == (-0.4, 0.2)
    assert 0.0 in scale.ticks
    assert float(scale.at(scale.low)) == 0.0
    assert float(scale.at(scale.high)) == 1.0
    np.testing.assert_allclose(scale.at(np.array([-0.1])), [0.5])


@pytest.mark.parametrize("values", [[0.0, 0.0], [5.0, 5.0], [-2.0], [np.nan]])
@pytest.mark.parametrize("zero", [True, False])
def test_a_scale_of_nothing_has_width(values: list[float], zero: bool) -> None:
    scale = linear(np.array(values), zero=zero)
    assert scale.low < scale.high
    assert len(scale.ticks) >= 2
    finite = [value for value in values if np.isfinite(value)]
    assert all(scale.low <= value <= scale.high for value in finite)


def test_ticks_are_written_with_the_digits_they_need() -> None:
    assert linear(np.array([0.0, 10.0])).digits == 0
    assert linear(np.array([0.05, 0.15]), count=4).digits == 3  # steps of 0.025
    assert linear(np.array([0.0, 0.8])).digits == 1


@pytest.mark.parametrize(("low", "high"), [(0.9, 1.1), (0.5, 4.0), (1.0, 1.0), (0.01, 300.0), (0.2, 1.9)])
def test_a_log_scale_holds_its_values(low: float, high: float) -> None:
    scale = logarithmic(np.array([low, high]))
    assert scale.log
    assert 0.0 <= float(scale.at(low)) <= float(scale.at(high)) <= 1.0
    assert all(0.0 <= float(scale.at(tick)) <= 1.0 for tick in scale.ticks)
    assert len(scale.ticks) >= 2
    assert all(tick > 0.0 for tick in scale.ticks)


def test_equal_ratios_are_equal_distances() -> None:
    scale = logarithmic(np.array([0.01, 100.0]))
    steps = np.diff(scale.at(np.array([0.1, 1.0, 10.0])))
    assert steps[0] == pytest.approx(steps[1])


@pytest.mark.parametrize(
    ("begin", "end", "labels"),
    [
        ("2016-02-03", "2022-12-28", ["2017", "2018", "2019", "2020", "2021", "2022"]),
        ("2016-02-03", "2018-09-10", ["2016-07", "2017-01", "2017-07"]),
        ("2020-01-15", "2020-05-10", ["2020-02", "2020-03", "2020-04", "2020-05"]),
        ("2020-01-15", "2020-01-18", ["2020-01-15", "2020-01-16", "2020-01-17", "2020-01-18"]),
        ("1961-01-01", "2004-06-01", ["1965", "1970"]),
        ("2020-01-15T09:30", "2020-01-15T12:00", ["2020-01-15 10:00", "2020-01-15 11:00", "2020-01-15 12:00"]),
    ],
)
def test_dates_are_round(begin: str, end: str, labels: list[str]) -> None:
    found = time_ticks(np.datetime64(begin, "us"), np.datetime64(end, "us"))
    assert 1 <= len(found) * len(labels[0]) <= 50  # letters that fit
    assert [label for _, label in found][: len(labels)] == labels
    assert all(0.0 <= at <= 1.0 for at, _ in found)


@pytest.mark.parametrize("days", [0.005, 0.02, 0.1, 1, 3, 20, 100, 400, 1000, 4000, 15_000, 500_000])
def test_round_dates_fit_however_long_the_time(days: float) -> None:
    begin = np.datetime64("1890-03-05", "us")
    found = time_ticks(begin, begin + np.timedelta64(round(days * 1440), "m"))
    assert len(found) >= 2
    assert sum(len(label) for _, label in found) <= 50


def test_time_runs_by_the_clock_and_not_by_the_bar() -> None:
    stamps = np.array(["2020-01-01", "2020-01-02", "2020-01-11"], "datetime64[us]")
    axis = time_axis(stamps)
    np.testing.assert_allclose(axis.position, [0.0, 0.1, 1.0])
    assert axis.name.tolist() == ["2020-01-01", "2020-01-02", "2020-01-11"]
    hourly = time_axis(stamps[0] + np.arange(3) * np.timedelta64(1, "h"))
    assert hourly.name[1] == "2020-01-01 01:00"
    assert time_axis(stamps[:1]).position.tolist() == [0.0]


def test_steps_run_from_zero() -> None:
    axis = step_axis(np.array([10_000, 20_000, 40_000]))
    np.testing.assert_allclose(axis.position, [0.25, 0.5, 1.0])
    assert axis.ticks[0] == (0.0, "0")
    assert axis.ticks[-1] == (1.0, "40,000")
    assert axis.name[0] == "step 10,000"
