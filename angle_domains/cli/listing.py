"""`angle-domains feeds` and `angle-domains agents`: what there is."""

import json
from collections.abc import Iterable, Sequence
from typing import Annotated

import typer

from angle_domains.cli import options
from angle_domains.errors import ConfigError

feeds = typer.Typer(help="Lists the feeds; `feeds check PATH` reports on data.", invoke_without_command=True)


@feeds.callback()
def list_feeds(context: typer.Context) -> None:
    """Lists the feeds; `feeds check PATH` reports on data of your own."""
    if context.invoked_subcommand is None:
        from angle_domains.tables import FEEDS, feed_entry, names

        show_table(("feed", "what it is"), ((n, feed_entry(n).summary) for n in names(FEEDS, "angle_domains.feeds")))


@feeds.command("check")
def check(
    path: Annotated[str, typer.Argument(metavar="PATH", help="A file, a folder or the name of embedded data.")],
    feed: Annotated[str, typer.Option(help="The feed that should read it.")] = "market",
    set_: options.Set = None,
) -> None:
    """Reports on data: every rule, every finding, and a proof that nothing is seen before its time.

    Exit code 1 says that the data are refused as they are.
    """
    from angle_domains.config import feed_settings
    from angle_domains.tables import feed_entry, resolve

    checker = feed_entry(feed).check
    if checker is None:
        raise ConfigError(f"the feed '{feed}' reads no data that could be checked")
    settings = feed_settings(feed, (f"feed.path={json.dumps(path)}", *(set_ or ())))  # it decides on other defaults
    text, accepted = resolve(checker)(path, settings)
    typer.echo(text)
    raise typer.Exit(0 if accepted else 1)


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
