"""Numbers that change as training goes on."""


def linear(start: float, end: float, progress: float) -> float:
    """From `start` at progress 0 to `end` at progress 1, held outside that range."""
    return start + (end - start) * min(max(progress, 0.0), 1.0)


def progress(updates: int, rows_per_update: int, total_rows: int | None) -> float:
    """The share of the planned environment steps that the updates so far have consumed; 0 where none is planned.

    A function of the count of updates alone, so that a resumed run reads the same number.
    """
    return 0.0 if total_rows is None else updates * rows_per_update / total_rows
