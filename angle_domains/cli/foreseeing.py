"""`angle-domains forecast`, `risk` and `adapt`: what the models of a run foresee."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from angle_domains.cli import options
from angle_domains.errors import ConfigError

if TYPE_CHECKING:
    from angle_domains.outlook.walk import Walk
    from metalearn.trainer import MetaLearnerTrainer

_OfRun = Annotated[
    str, typer.Option("--run", metavar="RUN", help="A run with --meta.", autocompletion=options.complete_run)
]
_Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write, .parquet.", dir_okay=False)]
_Part = Annotated[str, typer.Option("--split", metavar="PART", help="The part of the data: train or validation.")]
_Seed = Annotated[int, typer.Option(min=0, metavar="N", help="The seed of the episodes, where they are drawn.")]
_Data = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="feed.KEY=VALUE",
        help="Other data of the same shape, feed.path=new.csv; may be repeated.",
    ),
]
_EPISODES = 20


def forecast(
    run: _OfRun,
    out: _Out,
    split: _Part = "validation",
    episodes: options.Episodes = None,
    seed: _Seed = 0,
    set_: _Data = None,
) -> None:
    """Writes what the run's forecaster foresees of every entry, with intervals, and what came."""
    from angle_domains.outlook.foreseen import write_forecasts

    trainer, walk = _walked(run, split, episodes, seed, set_, out)
    count = write_forecasts(out, trainer, walk)
    typer.echo(f"{out}: {count:,} forecasts of {len(walk.names)} entries in {walk.states.rows:,} rows of {split}")


def risk(
    run: _OfRun,
    out: _Out,
    split: _Part = "validation",
    episodes: options.Episodes = None,
    seed: _Seed = 0,
    set_: _Data = None,
) -> None:
    """Writes the chance of the run's event in every row, whether it raises the alarm, and whether the event came."""
    from angle_domains.outlook.foreseen import write_risks

    trainer, walk = _walked(run, split, episodes, seed, set_, out)
    count = write_risks(out, trainer, walk)
    typer.echo(f"{out}: the chance of the event in {count:,} rows of {split}")


def adapt(
    run: _OfRun,
    support: Annotated[
        str, typer.Option(metavar="SIZE", help="What there is to adapt to: 24 rows, 20e (patients), 36h, 14d, 2w.")
    ],
    feed: options.Feed = None,
    set_: _Data = None,
    split: Annotated[
        str | None,
        typer.Option(
            "--split", metavar="PART", help="The part of the data: validation, or all but test of other data."
        ),
    ] = None,
    episodes: options.Episodes = None,
    seed: _Seed = 0,
) -> None:
    """Adapts the run's models to other data, and says how their error falls with what they have seen of them."""
    from angle_domains.outlook.adapting import adapt as adapted
    from angle_domains.outlook.adapting import parse_support
    from angle_domains.report.adaptation import write_adaptation
    from angle_domains.runs import find_run

    size = parse_support(support)
    if split == "train" and not set_:
        raise ConfigError(
            "--split train: the run learned from that part; leave --split out, or name other data by --set"
        )
    trainer, walk = _walked(run, split or ("train" if set_ else "validation"), episodes, seed, set_, None, feed)
    curve = adapted(trainer, walk, size)
    typer.echo(f"{'support':>12}  {'rows':>6}  {'learned':>24}  {'from nothing':>24}")
    for amount, point in zip(curve.sizes, curve.points, strict=True):
        cells = (f"{each.estimate:.3f} [{each.low:.3f}, {each.high:.3f}]" for each in (point.learned, point.scratch))
        typer.echo(f"{f'{amount:g} {curve.unit}':>12}  {point.rows:>6,}  " + "  ".join(f"{cell:>24}" for cell in cells))
    typer.echo(f"errors against the last value's, over {curve.tasks} tasks, 95 % intervals over tasks")
    typer.echo(curve.sentence)
    folder = find_run(run, options.ROOT)
    page = write_adaptation(curve, folder.path / "adaptation.html", folder.name, folder.read_config()["feed"]["name"])
    typer.echo(f"report: {page}")


def _walked(
    run: str,
    split: str,
    episodes: int | None,
    seed: int,
    overrides: list[str] | None,
    out: Path | None,
    feed_name: str | None = None,
) -> "tuple[MetaLearnerTrainer, Walk]":
    """The models of a run, and rows of a part of its feed or of other data of the same shape."""
    if out is not None and out.suffix != ".parquet":
        raise ConfigError(f"--out {out}: name a file that ends in .parquet")
    from angle_domains.outlook.walk import walk
    from angle_domains.policy import check_observations, load_policy
    from angle_domains.tables import make_feed

    policy = load_policy(run, options.ROOT)
    if policy.beside is None:
        raise ConfigError(f"--run {run}: it was trained without models beside the agent; train one with --meta")
    config = policy.config
    if feed_name is not None and feed_name != config.feed_name:
        raise ConfigError(f"--feed {feed_name}: the run was trained on the feed '{config.feed_name}'")
    feed: Any = make_feed(config.feed_name, _data_of(config, overrides))
    check_observations(policy.spec, feed.spec)
    options.check_part(split, feed)
    limit = config.training.episode_limit
    return policy.beside, walk(
        config, feed, policy.agent, split=split, episodes=episodes or _EPISODES, seed=seed, limit=limit
    )


def _data_of(config: Any, overrides: list[str] | None) -> Any:
    """The settings of the run's feed, changed as asked."""
    if not overrides:
        return config.feed
    from angle_domains.config import AgentConfig
    from angle_domains.config_text import Layers, Source

    layers = Layers()
    layers.put((), config.to_dict(), Source("file", "the stored configuration"))
    for text in overrides:
        if not text.startswith("feed."):
            raise ConfigError(f"--set {text.partition('=')[0]}: a run keeps its settings but for those of its feed")
        layers.put_override(text)
    return AgentConfig.from_layers(layers).feed
