import pytest
from pydantic import BaseModel, ValidationError

from angle_domains.schedule import Span, linear, over_run, progress


@pytest.mark.parametrize(("at", "value"), [(-1.0, 3.0), (0.0, 3.0), (0.25, 2.5), (1.0, 1.0), (2.0, 1.0)])
def test_linear(at: float, value: float) -> None:
    assert linear(3.0, 1.0, at) == value


def test_progress_counts_updates() -> None:
    assert progress(3, 100, 1_000) == pytest.approx(0.3)
    assert progress(3, 100, None) == 0.0


class Settings(BaseModel):
    anneal_steps: Span = None
    kind: str = "any"


def test_a_span_that_says_run_takes_the_steps_of_the_run() -> None:
    assert over_run(Settings(anneal_steps="run"), 500) == Settings(anneal_steps=500)
    assert over_run(Settings(anneal_steps=20), 500) == Settings(anneal_steps=20)
    assert over_run(Settings(), 500) == Settings()
    with pytest.raises(ValueError, match="nobody said how long"):
        progress(3, 100, "run")
    with pytest.raises(ValidationError):
        Settings(anneal_steps="walk")
