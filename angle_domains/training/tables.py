"""The tables of a run's report in LaTeX."""

from collections.abc import Iterator
from pathlib import Path

from angle_domains.config import AgentConfig
from angle_domains.errors import ConfigError
from angle_domains.runs import find_run
from angle_domains.tables import FEEDS, feed_entry, resolve
from angle_domains.training.launch import evaluate
from angle_domains.training.verdicts import page_of


def write_tables(run: str, split: str, folder: Path, root: Path = Path("runs")) -> Iterator[str]:
    """Writes them, and tells what was done; a report that was written already is enough: its part stays closed.

    ConfigError where reports of the run's feed have no such tables.
    """
    found = find_run(run, root)
    config = AgentConfig.from_dict(found.read_config())
    entry = feed_entry(config.feed_name)
    if entry.latex is None:
        able = ", ".join(sorted(name for name, each in FEEDS.items() if each.latex))
        raise ConfigError(
            f"--latex: reports of the feed '{config.feed_name}' have no tables in LaTeX, those of {able} do"
        )
    report = page_of(found, split).with_suffix(".json")
    if not report.is_file():
        for result in evaluate(run, split=split, root=root):
            yield from result.lines
    for path in resolve(entry.latex)(report, folder):
        yield f"table: {path}"
