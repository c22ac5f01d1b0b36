"""Alarms are rare while nothing changes, and come soon after it does."""

import random

import pytest

from metalearn.drift import Adwin, Miscoverage, PageHinkley


def errors(before: int, after: int, shift: float, seed: int) -> list[float]:
    drawn = random.Random(seed)
    return [abs(drawn.gauss(0, 1)) for _ in range(before)] + [abs(drawn.gauss(0, 1)) + shift for _ in range(after)]


def alarms(detector: PageHinkley | Adwin, series: list[float]) -> list[int]:
    return [place for place, error in enumerate(series) if detector.update(error)]


@pytest.mark.parametrize("kind", [PageHinkley, Adwin])
def test_no_alarm_where_nothing_changes(kind: type[PageHinkley] | type[Adwin]) -> None:
    assert sum(len(alarms(kind(), errors(4_000, 0, 0.0, seed))) for seed in range(5)) <= 1


@pytest.mark.parametrize(
    ("kind", "scale"),
    [(PageHinkley, 1.0), (PageHinkley, 1e-3), (Adwin, 1.0)],  # Adwin's bound holds for errors of about 0 to 1
)
def test_an_alarm_soon_after_a_change(kind: type[PageHinkley] | type[Adwin], scale: float) -> None:
    late = [alarms(kind(), [scale * e for e in errors(1_000, 400, 1.0, seed)]) for seed in range(5)]
    assert all(found and 1_000 <= found[0] <= 1_150 for found in late)


@pytest.mark.parametrize("kind", [PageHinkley, Adwin])
def test_smaller_errors_are_no_alarm(kind: type[PageHinkley] | type[Adwin]) -> None:
    series = [error + 2.0 for error in errors(1_000, 0, 0.0, 1)] + errors(1_000, 0, 0.0, 2)
    assert alarms(kind(), series) == []


def test_page_hinkley_by_hand() -> None:
    detector = PageHinkley(threshold=2.0, tolerance=0.0, warm_up=2)
    assert [detector.update(error) for error in (0.0, 2.0)] == [False, False]  # mean 1, squares 2
    assert detector.update(4.0) is False  # mean 2, squares 8, deviation sqrt(8 / 3): 2 / 1.633
    assert detector.total == pytest.approx(2.0 / (8.0 / 3.0) ** 0.5)
    assert detector.update(6.0) is True  # mean 3, squares 20, deviation sqrt 5: 3 / 2.236 more
    assert (detector.count, detector.total) == (0, 0.0)


def test_a_window_holds_few_buckets_and_the_sums_of_what_it_holds() -> None:
    window = Adwin(check_every=10**9)
    series = errors(1_000, 0, 0.0, 4)
    alarms(window, series)
    assert window.width == 1_000
    assert window.mean == pytest.approx(sum(series) / 1_000)
    assert len(window.buckets) <= 6 * 10
    mean = window.mean
    squares = sum(b.squares + b.size * (b.total / b.size - mean) ** 2 for b in window.buckets)
    assert squares == pytest.approx(sum((error - mean) ** 2 for error in series))


@pytest.mark.parametrize("kind", [PageHinkley, Adwin])
def test_a_saved_detector_goes_on_to_the_bit(kind: type[PageHinkley] | type[Adwin]) -> None:
    series = errors(700, 400, 0.7, 5)
    straight, first, second = kind(), kind(), kind()
    whole = alarms(straight, series)
    begun = alarms(first, series[:500])
    second.load_state_dict(first.state_dict())
    assert begun + [500 + place for place in alarms(second, series[500:])] == whole
    assert second.state_dict() == straight.state_dict()


def test_miscoverage_by_hand() -> None:
    made = Miscoverage(wanted=0.2, window=100)  # three deviations of a binomial: 0.12
    assert not any(made.update(float(i % 5 == 0)) for i in range(100))
    assert not any(made.update(float(i % 5 == 0)) for i in range(100))
    raised = [made.update(1.0) for _ in range(17)]
    assert raised.index(True) == 16, "20 misses and 17 less the four that they push out are 33, beyond 0.32"
    assert made.missed == []
    wide = Miscoverage(wanted=0.2, window=100)
    assert [wide.update(0.0) for _ in range(100)][-1], "intervals that never miss are no good either"


def test_miscoverage_goes_on_to_the_bit() -> None:
    one, other = Miscoverage(), Miscoverage()
    drawn = random.Random(0)
    draws = [drawn.random() < 0.3 for _ in range(700)]
    for miss in draws[:400]:
        one.update(float(miss))
    other.load_state_dict(one.state_dict())
    assert [one.update(float(miss)) for miss in draws[400:]] == [other.update(float(miss)) for miss in draws[400:]]
