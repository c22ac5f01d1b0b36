"""`angle-domains configs`: which files there are, and what a run would resolve to."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from angle_domains.cli import options

if TYPE_CHECKING:
    from angle_domains.config import Resolved

configs = typer.Typer(help="Lists the configurations; `configs show` prints one whole.", invoke_without_command=True)
_WIDEST = 60  # columns that a value may take before its source


@configs.callback()
def list_configs(context: typer.Context) -> None:
    """Lists the configurations that came along; `configs show` prints the resolved whole."""
    if context.invoked_subcommand is None:
        from angle_domains.cli.listing import show_table
        from angle_domains.config import find_config, known_configs

        show_table(("configuration", "what it is"), ((name, _heading(find_config(name))) for name in known_configs()))


@configs.command("show")
def show(
    feed: options.Feed = None,
    agent: options.Agent = None,
    env: options.Env = None,
    config: options.Config = None,
    set_: options.Set = None,
) -> None:
    """Prints the whole configuration as YAML, with the source of each value."""
    from rich.console import Console
    from rich.text import Text

    from angle_domains.config import Wish, resolve_config

    resolved = resolve_config(Wish(feed, agent, env, config, tuple(set_ or ())))
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(f"# {resolved.file or 'no file: the defaults of the classes'}", "dim"))
    for text, source in _aligned(resolved):
        console.print(Text(text) + Text(source, "dim"))


def _heading(path: Path) -> str:
    """The comment in a file's first line."""
    with path.open(encoding="utf-8") as file:
        return file.readline().lstrip("# ").strip()


def _aligned(resolved: "Resolved") -> list[tuple[str, str]]:
    """Lines of YAML and the comments behind them, in one column."""
    rows = [(text, resolved.source(path) if path else "") for text, path in _lines(resolved.config.to_dict(), ())]
    width = max(len(text) for text, _ in rows if len(text) <= _WIDEST)
    return [(text.ljust(width) if source else text, f"  # {source}" if source else "") for text, source in rows]


def _lines(values: dict[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """One line for each value with its path, and one without a path for each group."""
    from angle_domains.config_text import inline

    indent = "  " * len(path)
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield f"{indent}{key}:", ()
            yield from _lines(value, (*path, key))
        else:
            yield f"{indent}{key}: {inline(value)}", (*path, key)
