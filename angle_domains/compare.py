"""Several runs side by side: one table for the terminal, one page, and the way to MLflow's own comparison."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from angle_domains.addresses import mask
from angle_domains.errors import AngleError, ConfigError
from angle_domains.run_table import FACTS, NOTE, SPEED, RunTable, Wanted, find_rows
from angle_domains.tracking.recover import recover
from angle_domains.tracking.store import Store, connect, load_mlflow, resolve_store

if TYPE_CHECKING:
    from rich.table import Table

_FEW = 6  # runs that stand as columns beside each other


def compare(
    runs: Sequence[str] = (),
    *,
    last: int | None = None,
    filter: str | None = None,
    experiment: str | None = None,
    uri: str | None = None,
    root: Path = Path("runs"),
) -> Iterator[str]:
    """Lines for a terminal: the table, the page that was written below `root`, the link to MLflow's comparison.

    Runs are named by name, folder or id, and a sweep stands for all of its runs; else the `last` newest are taken, of
    an experiment and an MLflow filter where given. Raises ConfigError for a run, an experiment or a filter that finds
    nothing, AngleError for a store that is away.
    """
    from rich.console import Console

    from angle_domains.compare_page import write_page  # here: it loads NumPy

    store = resolve_store(uri, root)
    if store.database is not None and not store.database.exists():
        raise ConfigError(f"{store.database} does not exist: no run has been tracked there yet")
    runs = [name for run in runs for name in sweep_runs(run, root) or [run]]
    table = _table(store, runs, Wanted(last, filter, experiment), root)
    console = Console()
    with console.capture() as capture:
        console.print(terminal_table(table))
    yield from capture.get().rstrip("\n").split("\n")
    page = write_page(table, root / f"compare-{time.strftime('%Y%m%d-%H%M%S')}.html")
    yield f"page: {page.absolute()}"
    when = "" if store.database is None else " (while `angle-domains ui` runs)"
    yield f"MLflow's comparison{when}: {table.link}"


def sweep_runs(name: str, root: Path) -> list[str]:
    """The names of the runs of a group that differ in more than their seeds; none of anything else."""
    from angle_domains.runs import find_group, group_children, group_variants  # they bring torch along

    group = find_group(name, root)
    variants = [] if group is None else group_variants(group)
    if group is None or all(set(settings) == {"seed"} for _, settings in variants):
        return []
    return [child.name for child in group_children(group)]


def _table(store: Store, runs: Sequence[str], wanted: Wanted, root: Path) -> RunTable:
    """The rows as the store has them, after what earlier runs could not send has been sent."""
    try:
        client = connect(store)
        recover(store, root)
        return RunTable(store, tuple(find_rows(client, runs, wanted, root)))
    except load_mlflow().MlflowException as error:
        raise AngleError(f"{store.shown} does not answer: {mask(str(error).splitlines()[0])[:300]}") from error


def terminal_table(table: RunTable) -> "Table":
    """A few runs stand as columns beside each other, more of them as lines with the metrics of the final verdict."""
    from rich.table import Table
    from rich.text import Text

    few = len(table.rows) <= _FEW
    keys = table.keys if few else [key for key in table.keys if key.startswith(table.part) or key == SPEED]
    lines = [[key, *(str(getattr(row, key)) for row in table.rows)] for key in FACTS]
    lines += [[key, *(row.cell(key) for row in table.rows)] for key in keys]
    head = ["run", *(row.name for row in table.rows)]
    if not few:
        head, *lines = [list(line) for line in zip(head, *lines, strict=True)]
    drawn = Table(caption=Text(NOTE), caption_justify="left")
    for index, title in enumerate(head):
        drawn.add_column(Text(title), justify="right" if index else "left", overflow="fold")
    for line in lines:
        drawn.add_row(*map(Text, line))
    return drawn
