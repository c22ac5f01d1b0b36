import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from angle_domains.tracking.gate import MAX_KEYS, MAX_POINTS, MetricGate


def test_values_that_are_not_finite_are_counted_and_left_out() -> None:
    gate = MetricGate()
    values = {"a": 1.0, "b": float("inf"), "c": float("nan"), "d": float("-inf")}
    assert gate.admit(values, 0) == {"a": 1.0}
    assert gate.dropped["not_finite"] == 3


def test_a_step_that_was_logged_is_passed_over() -> None:
    gate = MetricGate()
    assert [gate.admit({"a": 1.0}, step) for step in (0, 0, 5, 4, 6)] == [{"a": 1.0}, {}, {"a": 1.0}, {}, {"a": 1.0}]
    assert gate.dropped["repeated"] == 2


def test_what_is_revised_after_the_last_step_may_stand_at_it_again() -> None:
    gate = MetricGate(100_000)
    gate.restore([("test/openings", 5), ("test/sharpe", 5)])
    values = {"test/openings": 2.0, "test/sharpe": 1.0}
    assert [gate.admit(values, step) for step in (5, 5, 4)] == [{"test/openings": 2.0}, {"test/openings": 2.0}, {}]


def test_points_of_an_earlier_process_count() -> None:
    gate = MetricGate()
    gate.restore([("a", 10), ("b", 7)])
    assert gate.admit({"a": 1.0, "b": 2.0, "c": 3.0}, 10) == {"b": 2.0, "c": 3.0}


def test_a_key_too_many_is_dropped_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    gate = MetricGate()
    with caplog.at_level(logging.WARNING):
        for step in range(3):
            kept = gate.admit({f"k{index}": 0.0 for index in range(MAX_KEYS + 2)}, step)
    assert set(kept) == {f"k{index}" for index in range(MAX_KEYS)}
    assert gate.dropped["over_the_key_limit"] == 6
    assert len(caplog.records) == 1
    assert f"k{MAX_KEYS}" in caplog.text


def test_letters_that_mlflow_refuses_are_replaced() -> None:
    gate = MetricGate()
    assert gate.admit({"weight/^VIX!": 1.0}, 0) == {"weight/_VIX_": 1.0}


@pytest.mark.parametrize("steps", [None, 1_000_000])
def test_a_key_keeps_at_most_2000_points_and_the_last(steps: int | None) -> None:
    gate, kept = MetricGate(steps), []
    for step in range(0, 1_000_000, 10):
        kept += [step] * len(gate.admit({"a": float(step)}, step))
    left = gate.leftover()
    assert MAX_POINTS / 2 < len(kept) <= MAX_POINTS
    assert {**dict.fromkeys(kept), **left}.popitem()[0] == 999_990
    assert gate.leftover() == {}


def test_a_known_length_spreads_the_points_evenly() -> None:
    gate, kept = MetricGate(10_000), []
    for step in range(10_000):
        kept += [step] * len(gate.admit({"a": 0.0}, step))
    assert kept == list(range(0, 10_000, 5))


def test_rare_points_are_all_kept() -> None:
    gate = MetricGate(1_000_000)
    assert all(gate.admit({"a": 0.0}, step) for step in range(0, 1_000_000, 50_000))


@given(st.lists(st.integers(0, 50), max_size=60), st.sampled_from([None, 10, 100_000]))
def test_steps_of_a_key_only_grow(steps: list[int], planned: int | None) -> None:
    gate, kept = MetricGate(planned), []
    for step in steps:
        kept += [step] * len(gate.admit({"a": 1.0}, step))
    kept += list(gate.leftover())
    assert kept == sorted(set(kept))
    assert not steps or kept[-1] == max(steps)
