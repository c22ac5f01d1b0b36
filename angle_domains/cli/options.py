"""Every option, with its sentence."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from angle_domains.errors import ConfigError

ROOT = Path("runs")  # where local runs live


def parse_seeds(text: str | None) -> list[int] | None:
    """`0,1,2` as numbers, each at most once; None stays None."""
    if text is None:
        return None
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--seeds {text}: write whole numbers with commas between them, as in 0,1,2") from None
    if min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise ConfigError(f"--seeds {text}: the seeds should differ, and none should be negative")
    return seeds


def check_part(split: str, feed: Any) -> None:
    """ConfigError for a part that the feed has not, and for the test part, which looking at would use up."""
    if split not in feed.spec.splits:
        raise ConfigError(f"--split {split}: the feed '{feed.spec.name}' has {', '.join(feed.spec.splits)}")
    if split == "test":
        raise ConfigError("--split test: the test part is opened by `train` and `evaluate` alone, which count it")


def complete_feed() -> list[str]:
    from angle_domains.tables import FEEDS, names

    return names(FEEDS, "angle_domains.feeds")


def complete_agent() -> list[str]:
    from angle_domains.tables import AGENTS, names

    return names(AGENTS, "angle_domains.agents")


def complete_config() -> list[str]:
    from angle_domains.config import known_configs

    return known_configs()


def complete_resume() -> list[str]:
    return sorted([*complete_run(), *(path.parent.name for path in ROOT.glob("*/group.yaml"))])


def complete_run() -> list[str]:
    return sorted(path.parent.name for path in ROOT.glob("*/config.yaml"))


Feed = Annotated[
    str | None,
    typer.Option(
        "--feed", metavar="NAME", help="Source of experience, one that `feeds` lists.", autocompletion=complete_feed
    ),
]
Agent = Annotated[
    str | None,
    typer.Option(
        "--agent", "--algo", metavar="NAME", help="The learner, one that `agents` lists.", autocompletion=complete_agent
    ),
]
Env = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="A game or environment within the feed; it names the feed where --feed is absent."
    ),
]
Config = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="A YAML file, or a name that `configs` lists; by default FEED/AGENT.",
        autocompletion=complete_config,
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Sets one key, as in feed.path=prices.csv; may be repeated.",
    ),
]
JudgingSet = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="How recorded patients judge, as in training.judging.behaviour.kind=recurrent; may be repeated.",
    ),
]
Steps = Annotated[int | None, typer.Option(min=1, metavar="N", help="Environment steps in all, over all streams.")]
Seed = Annotated[
    int | None, typer.Option(min=0, metavar="N", help="The one seed that all chance of the run follows from.")
]
Seeds = Annotated[
    str | None,
    typer.Option(metavar="0,1,2", help="Several seeds; each is a run, side by side under one parent."),
]
Sweep = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=A,B,C",
        help="Several values of a setting, as in agent.alpha=0,1e-3; each is a run, side by side; may be repeated.",
    ),
]
Streams = Annotated[int | None, typer.Option(min=1, metavar="N", help="Episodes that are played side by side.")]
Device = Annotated[
    Literal["auto", "cpu", "cuda"] | None,
    typer.Option(metavar="DEVICE", help="Where to compute: auto, cpu or cuda; auto takes a GPU where there is one."),
]
Resume = Annotated[
    str | None,
    typer.Option(
        metavar="RUN",
        help="Continues a run from its last checkpoint, or a group of runs by its name.",
        autocompletion=complete_resume,
    ),
]
Name = Annotated[str | None, typer.Option(metavar="NAME", help="Names the run and its folder in runs/.")]
Experiment = Annotated[
    str | None, typer.Option(metavar="NAME", help="The MLflow experiment; by default the name of the feed.")
]
TrackingUri = Annotated[
    str | None,
    typer.Option(metavar="URI", help="The MLflow store or server; by default runs/mlflow.db in this folder."),
]
Meta = Annotated[
    bool | None,
    typer.Option("--meta", help="Models of what comes next and of coming risk learn beside the agent."),
]
TensorBoard = Annotated[
    bool | None,
    typer.Option("--tensorboard", help="Writes the scalars for `tensorboard --logdir` as well."),
]
Register = Annotated[str | None, typer.Option(metavar="MODEL", help="Registers the policy in MLflow by this name.")]
Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="A run by its name, its folder or its tracking id.", autocompletion=complete_run
    ),
]
Runs = Annotated[
    list[str] | None,
    typer.Argument(metavar="[RUN]...", help="Runs by name, folder or tracking id.", autocompletion=complete_run),
]
Episodes = Annotated[int | None, typer.Option(min=1, metavar="N", help="Whole episodes to play, where they are drawn.")]
Split = Annotated[str, typer.Option(metavar="PART", help="The part of the data: train, validation or test.")]
