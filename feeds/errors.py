"""The errors a user can cause: one sentence that says what was wanted, what came and what is nearest."""

from collections.abc import Iterable
from difflib import get_close_matches


class AngleError(Exception):
    """A mistake outside the code: the command line prints its sentence and leaves with `exit_code`."""

    exit_code = 2


class FeedError(AngleError):
    """Data that cannot be used; the sentence names file, symbol or patient, row and rule."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A clause that names the closest known name, or all of them where none is close."""
    known = sorted(known)
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known are: {', '.join(known)}" if known else "none is known"
