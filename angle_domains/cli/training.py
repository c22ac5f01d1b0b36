"""`angle-domains train`."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer

from angle_domains.cli import options
from angle_domains.errors import ConfigError

if TYPE_CHECKING:
    from angle_domains.config import AgentConfig, Resolved, Wish


def train(
    feed: options.Feed = None,
    agent: options.Agent = None,
    env: options.Env = None,
    config: options.Config = None,
    set_: options.Set = None,
    steps: options.Steps = None,
    seed: options.Seed = None,
    seeds: options.Seeds = None,
    sweep: options.Sweep = None,
    streams: options.Streams = None,
    device: options.Device = None,
    meta: options.Meta = None,
    resume: options.Resume = None,
    name: options.Name = None,
    experiment: options.Experiment = None,
    tracking_uri: options.TrackingUri = None,
    tensorboard: options.TensorBoard = None,
    register: options.Register = None,
) -> None:
    """Trains an agent on a feed, judges it out of sample and tracks the run."""
    if seed is not None and seeds is not None:
        raise ConfigError("--seed and --seeds cannot stand together: give one of them")
    given = {
        "training.steps": steps,
        "training.streams": streams,
        "seed": seed,
        "device": device,
        "name": name,
        "meta.on": meta or None,
        "tracking.uri": tracking_uri,
        "tracking.experiment": experiment,
        "tracking.tensorboard": tensorboard,
        "tracking.register_as": register,
    }
    from angle_domains.config import Wish

    wish = Wish(feed, agent, env, config, tuple(set_ or ()), given)
    raise typer.Exit(_train(wish, options.parse_seeds(seeds), sweep or [], resume))


def _train(wish: "Wish", seeds: list[int] | None, sweep: list[str], resume: str | None) -> int:
    try:
        resolved = _configuration(wish, resume)
        config = resolved.config
        if resume is None and config.env is None and resolved.source(("feed", "env")) == "default":
            _tell_env(config)
        from angle_domains.console import Progress
        from angle_domains.training import train

        results = train(config, seeds=seeds, sweep=sweep, resume=resume, root=options.ROOT, console=Progress())
        code = tell(results)
        if results:
            _side_by_side(config, results[-1])
        return code
    except KeyboardInterrupt:  # a second Ctrl-C, or one outside of training; the first is a wish the trainer grants
        typer.echo("interrupted: where a checkpoint was written, --resume RUN goes on from it", err=True)
        raise


def _side_by_side(config: "AgentConfig", last: Any) -> None:
    """The table and page of a sweep that has ended."""
    from angle_domains.compare import compare, sweep_runs
    from angle_domains.tracking import OFF

    names = sweep_runs(last.name, options.ROOT)
    if names and last.status == "FINISHED" and config.tracking.uri != OFF:
        for line in compare(names, uri=config.tracking.uri, root=options.ROOT):
            typer.echo(line)


def _tell_env(config: "AgentConfig") -> None:
    """Which environment is meant where nobody named one; a market has none to name."""
    if env := getattr(config.feed, "env", None):
        typer.echo(f"environment: {env}, as the feed '{config.feed_name}' has it; --env NAME chooses another")


def _configuration(wish: "Wish", resume: str | None) -> "Resolved":
    """What is wanted, checked before anything heavy loads; a run that goes on brings its own file."""
    from angle_domains.config import resolve_config

    if resume is not None:
        from angle_domains.runs import find_config

        if wish.file is not None:
            raise ConfigError("--resume and --config cannot stand together: a run goes on with its own configuration")
        wish = replace(wish, file=find_config(resume, options.ROOT))
    return resolve_config(wish)


def tell(results: Iterable[Any]) -> int:
    """Prints what came of each run; gives the first exit code that is no success."""
    code = 0
    for result in results:
        for line in result.lines:
            typer.echo(line)
        code = code or result.exit_code
    return code
