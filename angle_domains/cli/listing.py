"""`angle-domains feeds` and `angle-domains agents`: what there is."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from angle_domains.cli import options
from angle_domains.errors import ConfigError

feeds = typer.Typer(
    help="Lists the feeds; `feeds check PATH` reports on data, `feeds export PATH` hands records on.",
    invoke_without_command=True,
)
PathOrName = Annotated[str, typer.Argument(metavar="PATH", help="A file, a folder or the name of embedded data.")]


@feeds.callback()
def list_feeds(context: typer.Context) -> None:
    """Lists the feeds; `feeds check PATH` reports on data of your own."""
    if context.invoked_subcommand is None:
        from angle_domains.tables import FEEDS, feed_entry, names

        show_table(("feed", "what it is"), ((n, feed_entry(n).summary) for n in names(FEEDS, "angle_domains.feeds")))


@feeds.command("check")
def check(
    path: PathOrName,
    feed: Annotated[str, typer.Option(help="The feed that should read it.")] = "market",
    set_: options.Set = None,
) -> None:
    """Reports on data: every rule, every finding, and a proof that nothing is seen before its time.

    Exit code 1 says that the data are refused as they are.
    """
    from angle_domains.tables import feed_entry, resolve

    checker = feed_entry(feed).check
    if checker is None:
        raise ConfigError(f"the feed '{feed}' reads no data that could be checked")
    text, accepted = resolve(checker)(path, _settings(feed, path, set_))
    typer.echo(text)
    raise typer.Exit(0 if accepted else 1)


@feeds.command("export")
def export(
    path: PathOrName,
    meds: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where MEDS 0.4 is written: a new folder, or one that is empty.")
    ],
    feed: Annotated[str, typer.Option(help="The feed that should read it.")] = "clinical",
    set_: options.Set = None,
) -> None:
    """Writes patient records as a MEDS 0.4 data set, after the rules of `feeds check`.

    The folder can be opened by its owner alone. Dates are not kept: hours count from 1970.
    """
    from angle_domains.tables import feed_entry, resolve

    writer = feed_entry(feed).export
    if writer is None:
        raise ConfigError(f"the feed '{feed}' holds no records of patients that could be written as MEDS")
    typer.echo(resolve(writer)(path, _settings(feed, path, set_), meds))


def _settings(feed: str, path: str, overrides: list[str] | None) -> Any:
    """The settings of a feed that reads the path: the path decides on other defaults."""
    from angle_domains.config import feed_settings

    return feed_settings(feed, (f"feed.path={json.dumps(path)}", *(overrides or ())))


def agents() -> None:
    """Lists the agents."""
    from angle_domains.tables import AGENTS, agent_spec, names

    show_table(("agent", "what it is"), ((n, agent_spec(n).summary) for n in names(AGENTS, "angle_domains.agents")))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Aligned columns under their names; nothing wraps where the output is no terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 240
    console.print(table)
