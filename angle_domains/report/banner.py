"""What every page says that tells of patients."""

from collections.abc import Iterable
from html import escape

from angle_domains.errors import ConfigError
from angle_domains.evaluation.words import BANNER
from angle_domains.tables import feed_entry


def banner(feeds: Iterable[str]) -> str:
    """That it is research, ready for HTML, where one of the feeds is about patients; else nothing."""
    return f"<b>{escape(BANNER)}</b>" if any(_of_patients(name) for name in set(feeds)) else ""


def _of_patients(name: str) -> bool:
    """Runs outlive the packages that their feeds came from: of a feed that is gone nothing is known."""
    try:
        return feed_entry(name).health
    except (ConfigError, ImportError):
        return False
