"""The errors a user can cause: one sentence that says what was wanted, what came and what is nearest."""

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches
from itertools import takewhile

_LISTED = 40  # names in a sentence


class AngleError(Exception):
    """A mistake outside the code: the command line prints its sentence and leaves with `exit_code`."""

    exit_code = 2


class FeedError(AngleError):
    """Data that cannot be used; the sentence names file, symbol or patient, row and rule."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A clause that names the closest known name; where none is close all of them, as far as a line holds them."""
    known = sorted(known)
    close = get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        alike = [SequenceMatcher(None, found, name).ratio() for found in close]
        tied = [found for found, ratio in zip(close, alike, strict=True) if ratio > max(alike) - 1e-9]
        return f"did you mean '{max(tied, key=lambda found: _shared(found, name))}'?"
    if not known:
        return "none is known"
    rest = f", … ({len(known)} in all)" if len(known) > _LISTED else ""
    return f"known are: {', '.join(known[:_LISTED])}{rest}"


def _shared(one: str, other: str) -> int:
    """Letters that two names begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
