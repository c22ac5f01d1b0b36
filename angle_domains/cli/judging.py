"""`angle-domains evaluate` and `angle-domains play`."""

from typing import Annotated

import typer

from angle_domains.cli import options
from angle_domains.cli.training import tell
from angle_domains.errors import ConfigError


def evaluate(run: options.Run, split: options.Split = "test") -> None:
    """Judges a run's best checkpoint on a part of the data and writes its report."""
    from angle_domains.training import evaluate as judge

    raise typer.Exit(tell(judge(run, split=split, root=options.ROOT)))


def play(
    checkpoint: Annotated[
        str,
        typer.Option(metavar="PATH_OR_RUN", help="A checkpoint folder, or a run.", autocompletion=options.complete_run),
    ],
    env: options.Env = None,
    split: options.Split = "validation",
) -> None:
    """Tells an episode of a trained policy, decision by decision."""
    from angle_domains.policy import load_policy
    from angle_domains.tables import feed_entry, make_feed, resolve

    policy = load_policy(checkpoint, options.ROOT)
    entry = feed_entry(policy.config.feed_name)
    if env is not None:
        _check_env(env, policy.config.feed_name)
    feed = make_feed(policy.config.feed_name, policy.config.feed)
    if split not in feed.spec.splits:
        raise ConfigError(f"--split {split}: the feed '{feed.spec.name}' has {', '.join(feed.spec.splits)}")
    if split == "test":
        raise ConfigError("--split test: the test part is opened by `train` and `evaluate` alone, which count it")
    for line in resolve(entry.play)(feed, policy.agent, split=split):
        typer.echo(line)


def _check_env(env: str, feed: str) -> None:
    """A policy acts in the feed it was trained on."""
    from angle_domains.config import feed_of_env

    if feed_of_env(env) != feed:
        raise ConfigError(f"--env {env}: this policy was trained on the feed '{feed}', which has no such environment")
