"""`angle-domains evaluate` and `angle-domains play`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from angle_domains.cli import options
from angle_domains.cli.training import tell
from angle_domains.errors import ConfigError

if TYPE_CHECKING:
    from angle_domains.config import AgentConfig


def evaluate(
    run: options.Runs = None,
    split: options.Split = "test",
    episodes: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Whole episodes of each seed to play, where they are drawn.")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="0,1,2", help="Seeds of the episodes; each is a stratum of the intervals.")
    ] = None,
    selftest: Annotated[
        bool,
        typer.Option("--selftest", help="First holds the off-policy estimators against exact truth, half a minute."),
    ] = False,
    select: Annotated[
        bool,
        typer.Option("--select", help="Validation patients choose among the runs, test patients judge the chosen."),
    ] = False,
    override: Annotated[
        bool,
        typer.Option("--override", help="Shows off-policy numbers that are not estimable, marked as overridden."),
    ] = False,
    set_: options.JudgingSet = None,
    latex: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Writes the tables of the report there, in LaTeX; one that was written is not judged again.",
            file_okay=False,
        ),
    ] = None,
) -> None:
    """Judges the best checkpoint of runs on a part of the data and writes their reports."""
    strata = options.parse_seeds(seeds) or ()
    if selftest:
        _hold_against_truth()
    if not run and selftest:
        return
    if not run:
        raise ConfigError("evaluate: name a run, or give --selftest")
    if select and split != "test":
        raise ConfigError(f"--split {split} and --select cannot stand together: validation chooses, test judges")
    from angle_domains import training

    overrides = tuple(set_ or ())

    def judge(name: str) -> list[Any]:
        return training.evaluate(
            name,
            split=split,
            episodes=episodes,
            seeds=strata,
            overrides=overrides,
            override=override,
            root=options.ROOT,
        )

    if latex is not None:
        from angle_domains.training.tables import write_tables

        for name in run:
            for line in write_tables(name, split, latex, options.ROOT):
                typer.echo(line)
        return
    if select:
        raise typer.Exit(tell(training.select_run(run, judge, overrides=overrides, root=options.ROOT)))
    raise typer.Exit(tell(result for name in run for result in judge(name)))


def _hold_against_truth() -> None:
    """Exit code 1 where an estimator is not what it should be: then nothing it says of anybody's data counts."""
    from angle_domains.ope.selftest import selftest

    found = selftest()
    for line in found.table():
        typer.echo(line)
    if not found.passed:
        raise typer.Exit(1)


def play(
    checkpoint: Annotated[
        str,
        typer.Option(metavar="PATH_OR_RUN", help="A checkpoint folder, or a run.", autocompletion=options.complete_run),
    ],
    env: options.Env = None,
    split: options.Split = "validation",
    episodes: options.Episodes = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="The seed of the episodes, where they are drawn.")] = 0,
    video: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Films the game: .mp4, .webp or .gif.", dir_okay=False)
    ] = None,
    human: Annotated[
        bool,
        typer.Option("--human", help="Shows the game in a window, beside --video; without a display it is filmed."),
    ] = False,
    values: Annotated[
        bool,
        typer.Option(
            "--values",
            help="Draws step and return beside the picture, and the value or probability of each action.",
        ),
    ] = False,
) -> None:
    """Shows a trained policy at work: decision by decision; a game in a window, else as a film in the run's folder."""
    from angle_domains.policy import check_observations, load_policy
    from angle_domains.showing import Showing
    from angle_domains.tables import feed_entry, make_feed, resolve

    policy = load_policy(checkpoint, options.ROOT)
    feed = make_feed(policy.config.feed_name, _settings_for(env, policy.config))
    check_observations(policy.spec, feed.spec)
    options.check_part(split, feed)
    entry = feed_entry(policy.config.feed_name)
    showing = Showing(
        split=split,
        episodes=episodes or 1,
        seed=seed,
        epsilon=policy.config.training.evaluation_epsilon,
        video=video,
        human=human,
        folder=_films_of(checkpoint) if entry.films else None,
        longest=policy.config.training.episode_limit,
        values=values,
    )
    for line in resolve(entry.play)(feed, policy.agent, showing):
        typer.echo(line)


def _films_of(checkpoint: str) -> Path:
    """The folder of films of the checkpoint's run; of one that lies elsewhere, the folder one stands in."""
    from angle_domains.runs import find_checkpoint

    run = find_checkpoint(checkpoint, options.ROOT).resolve().parents[1]
    return run / "films" if (run / "config.yaml").is_file() else Path()


def _settings_for(env: str | None, config: "AgentConfig") -> Any:
    """The settings of the policy's feed for an environment of it, its own by default; no other feed's is played."""
    if env is None:
        return config.feed
    from angle_domains.config_env import feed_of_env, known_envs
    from angle_domains.errors import nearest

    owner = feed_of_env(env)
    if owner is None:
        raise ConfigError(f"--env {env}: this environment is unknown: {nearest(env, known_envs())}")
    if owner != config.feed_name:
        raise ConfigError(
            f"--env {env}: this policy was trained on the feed '{config.feed_name}', which has no such environment"
        )
    fields = type(config.feed).model_fields
    return config.feed.model_copy(update={"env": env}) if "env" in fields else config.feed
