"""`angle-domains compare` and `angle-domains ui`."""

from typing import Annotated

import typer

from angle_domains.cli import options


def compare(
    runs: options.Runs = None,
    last: Annotated[int | None, typer.Option(min=1, help="The newest runs instead of named ones.")] = None,
    filter_: Annotated[
        str | None,
        typer.Option("--filter", metavar="QUERY", help="Runs that an MLflow filter finds, as in tags.agent = 'ppo'."),
    ] = None,
    experiment: options.Experiment = None,
    tracking_uri: options.TrackingUri = None,
) -> None:
    """Prints one table of several runs, writes one page and links to MLflow's comparison."""
    from angle_domains.compare import compare as table

    lines = table(runs or (), last=last, filter=filter_, experiment=experiment, uri=tracking_uri, root=options.ROOT)
    for line in lines:
        typer.echo(line)


def ui(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on; 0 takes a free one.")] = 5000,
    tracking_uri: options.TrackingUri = None,
    open_: Annotated[bool, typer.Option("--open/--no-open", help="Opens a browser on the page.")] = True,
) -> None:
    """Opens MLflow's pages on the right store, at the view of model training."""
    from angle_domains.ui import serve

    serve(port=port, uri=tracking_uri, root=options.ROOT, open_browser=open_)
