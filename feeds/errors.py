"""The errors a user can cause: one sentence that says what was wanted, what came and what is nearest."""

from collections.abc import Iterable
from difflib import get_close_matches

_LISTED = 40  # names in a sentence


class AngleError(Exception):
    """A mistake outside the code: the command line prints its sentence and leaves with `exit_code`."""

    exit_code = 2


class FeedError(AngleError):
    """Data that cannot be used; the sentence names file, symbol or patient, row and rule."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A clause that names the closest known name; where none is close all of them, as far as a line holds them."""
    known = sorted(known)
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{close[0]}'?"
    if not known:
        return "none is known"
    rest = f", … ({len(known)} in all)" if len(known) > _LISTED else ""
    return f"known are: {', '.join(known[:_LISTED])}{rest}"
