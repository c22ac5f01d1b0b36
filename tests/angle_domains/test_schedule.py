import pytest

from angle_domains.schedule import linear, progress


@pytest.mark.parametrize(("at", "value"), [(-1.0, 3.0), (0.0, 3.0), (0.25, 2.5), (1.0, 1.0), (2.0, 1.0)])
def test_linear(at: float, value: float) -> None:
    assert linear(3.0, 1.0, at) == value


def test_progress_counts_updates() -> None:
    assert progress(3, 100, 1_000) == pytest.approx(0.3)
    assert progress(3, 100, None) == 0.0
