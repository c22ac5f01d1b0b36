"""The commands, put together."""

from typing import Annotated

import typer

from angle_domains import __version__
from angle_domains.cli import comparing, foreseeing, judging, listing, showing, training

app = typer.Typer(
    name="angle-domains",
    help="Train, judge and compare reinforcement learning agents on markets, patients and games.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="A first run: angle-domains train --feed market --agent ppo",
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"angle-domains {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Prints the version and leaves.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Shows the traceback of an error; may stand anywhere on the line.")
    ] = False,
) -> None:
    """What holds for every command."""


app.command("train")(training.train)
app.command("evaluate")(judging.evaluate)
app.command("play")(judging.play)
app.command("forecast")(foreseeing.forecast)
app.command("risk")(foreseeing.risk)
app.command("adapt")(foreseeing.adapt)
app.command("compare")(comparing.compare)
app.command("ui")(comparing.ui)
app.add_typer(listing.feeds, name="feeds")
app.command("agents")(listing.agents)
app.add_typer(showing.configs, name="configs")
