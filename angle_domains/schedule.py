"""Numbers that change as training goes on."""

from typing import Literal, TypeVar

from pydantic import BaseModel, PositiveInt

Span = PositiveInt | Literal["run"] | None  # environment steps that a schedule takes; "run": all of the run's

Model = TypeVar("Model", bound=BaseModel)


def linear(start: float, end: float, progress: float) -> float:
    """From `start` at progress 0 to `end` at progress 1, held outside that range."""
    return start + (end - start) * min(max(progress, 0.0), 1.0)


def progress(updates: int, rows_per_update: float, total_rows: Span) -> float:
    """The share of the planned environment steps that the updates so far have consumed; 0 where none is planned.

    A function of the count of updates alone, so that a resumed run reads the same number.
    """
    if total_rows == "run":
        raise ValueError("a schedule spans the run, and nobody said how long that is: see schedule.over_run")
    return 0.0 if total_rows is None else updates * rows_per_update / total_rows


def over_run(settings: Model, steps: int) -> Model:
    """The settings with the steps of the run in every span that says "run"."""
    spans = [name for name in type(settings).model_fields if getattr(settings, name) == "run"]
    return settings.model_copy(update=dict.fromkeys(spans, steps))
