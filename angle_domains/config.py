"""The configuration of one run: one YAML file, changed by `--set key=value` and by options, checked as a whole.

Layout of the file: `feed: {name: market, …}`, `agent: {name: ppo, …}`, `training: {…}`, `tracking: {…}`, and `env`,
`seed`, `device`, `name`. The sections `feed` and `agent` hold the settings of the feed and of the agent they name.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, NonNegativeInt, PositiveFloat, PositiveInt, SerializeAsAny, field_validator

from angle_domains.addresses import mask
from angle_domains.config_env import match_env
from angle_domains.config_errors import unknown_key, validated
from angle_domains.config_text import KeyPath, Layers, Source
from angle_domains.errors import ConfigError, nearest
from angle_domains.ope.settings import JudgingConfig
from angle_domains.showing import EPISODE_LIMIT
from angle_domains.tables import AGENTS, FEEDS, agent_spec, feed_entry, names, resolve
from feeds.settings import Settings
from metalearn.settings import MetaLearningConfig, PatientModelConfig

SECTIONS = ("feed", "env", "agent", "training", "meta", "seed", "device", "tracking", "name")
_MODEL_NAME = re.compile(r"[\w-][\w. -]{0,198}[\w-]|[\w-]")
_FLAGS = {
    "tracking.uri": "--tracking-uri",
    "tracking.register_as": "--register",
    "feed.name": "--feed",
    "agent.name": "--agent",
    "meta.on": "--meta",
}


class TrainingConfig(Settings):
    """How long and how broad; steps are environment steps, summed over all streams."""

    steps: PositiveInt = 1_000_000
    streams: PositiveInt = 64  # episodes played side by side
    evaluate_every: PositiveInt = 100_000  # steps between looks at the validation part
    checkpoint_every: PositiveInt = 100_000  # steps between saves of `last`; an evaluation saves too
    patience: NonNegativeInt = 0  # evaluations without a better score before training stops; 0: never
    threads: PositiveInt | None = None  # of the processor; small networks are faster on one; None: as torch chooses
    compile: bool = False  # losses by torch.compile; needs a compiler, and half a minute at the start
    loss_limit: PositiveFloat = 1e6  # a loss beyond it (or not a number) stops the run
    validation_episodes: PositiveInt = 10  # whole games at each look; a part of a market is one episode
    test_episodes: PositiveInt = 30  # whole games of the final verdict
    episode_limit: PositiveInt = EPISODE_LIMIT  # steps after which a game that is judged is cut, should it have no end
    evaluation_epsilon: float = Field(default=0.0, ge=0, le=1)  # random actions in games that are judged
    source: Literal["records", "model"] | None = None  # of experience, where episodes were recorded; None: as the agent
    model: PatientModelConfig = PatientModelConfig()  # of patients, in which agents practise that act
    judging: JudgingConfig = JudgingConfig()  # of policies by recorded patients
    test: Literal["at_end", "never"] | None = None  # when a run opens the test part; None: see `training.group`
    films: NonNegativeInt = 5  # of the best policy at most, spread over the run, where there are pictures


class TrackingConfig(Settings):
    uri: str | None = None  # None: runs/mlflow.db
    experiment: str | None = None  # None: the name of the feed
    tensorboard: bool = False  # write the same scalars for `tensorboard --logdir`
    register_as: str | None = None  # name in the model registry; None: not registered

    @field_validator("register_as")
    @classmethod
    def _registrable(cls, name: str | None) -> str | None:
        if name is not None and not _MODEL_NAME.fullmatch(name):  # MLflow would say so when the run is over
            raise ValueError("a name in the model registry has 1 to 200 letters, digits, '.', '_', '-' and blanks")
        return name


class AgentConfig(Settings):
    """Everything that makes a run: feed, agent, budget, seed, device and where it is tracked."""

    feed_name: str
    feed: SerializeAsAny[BaseModel]  # the settings that `FEEDS[feed_name]` names
    agent_name: str
    agent: SerializeAsAny[BaseModel]  # the hyperparameters that `AGENTS[agent_name]` names
    env: str | None = None  # a game or environment within the feed
    training: TrainingConfig = TrainingConfig()
    meta: MetaLearningConfig = MetaLearningConfig()  # models that learn beside the agent
    seed: NonNegativeInt = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    tracking: TrackingConfig = TrackingConfig()
    name: str | None = None  # of the run; None: from feed, agent and time

    def to_dict(self) -> dict[str, Any]:
        """The layout of the YAML file, JSON-ready and complete but for a password in the tracking URI: it is masked."""
        plain = self.model_dump(mode="json")
        plain["tracking"]["uri"] = mask(uri) if (uri := self.tracking.uri) else uri
        plain["feed"] = {"name": plain.pop("feed_name"), **plain["feed"]}
        plain["feed"].pop("env", None)  # it stands at the top
        plain["agent"] = {"name": plain.pop("agent_name"), **plain["agent"]}
        return {section: plain[section] for section in SECTIONS}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The configuration that `to_dict` wrote; ConfigError names a key that this version does not know."""
        layers = Layers()
        layers.put((), data, Source("file", "the stored configuration"))
        return cls.from_layers(layers)

    @classmethod
    def from_layers(cls, layers: Layers) -> Self:
        """Checks merged settings that name their feed and agent."""
        values = {key: value for key, value in layers.values.items() if value is not None}
        feed, feed_name = _named(values.pop("feed", {}), "feed", layers)
        agent, agent_name = _named(values.pop("agent", {}), "agent", layers)
        models: dict[str, type[BaseModel]] = {
            "feed": resolve(feed_entry(feed_name).config),
            "agent": resolve(agent_spec(agent_name).config),
            "training": TrainingConfig,
            "meta": MetaLearningConfig,
            "tracking": TrackingConfig,
            "": cls,
        }
        for key in values:
            if key not in SECTIONS:
                clause = unknown_key((key,), list(SECTIONS), models)
                raise ConfigError(f"{_where(layers, key)}'{key}' is unknown: {clause}")
        if "env" in models["feed"].model_fields and "env" in values:
            feed = feed | {"env": values["env"]}  # one place to write it, one to read it
        parts = {"feed": feed, "agent": agent} | {key: values.pop(key, {}) for key in ("training", "meta", "tracking")}
        checked = {section: validated(models, section, part, layers) for section, part in parts.items()}
        whole = {"feed_name": feed_name, "agent_name": agent_name, **checked, **values}
        config = validated(models, "", whole, layers)
        assert isinstance(config, cls)
        return config

    def flat(self) -> dict[str, str | int | float | bool]:
        """Dotted keys and scalars, for tracking; lists become JSON, None becomes "none"."""
        return dict(flatten(self.to_dict()))


@dataclass(frozen=True)
class Resolved:
    """A configuration and who set each of its values."""

    config: AgentConfig
    layers: Layers
    file: Path | None  # None: there is none for this feed and agent, and the classes' defaults hold

    def source(self, path: KeyPath) -> str:
        """ "default", "line 12" (of the file), "--set" or an option."""
        source = self.layers.sources.get(path)
        return source.kind if source else "default"


def load_config(
    *,
    feed: str | None = None,
    agent: str | None = None,
    env: str | None = None,
    file: str | Path | None = None,
    overrides: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
) -> AgentConfig:
    """The configuration of a run.

    `file` is a path, or a name inside `configs/`; by default `configs/<feed>/<agent>.yaml`. `overrides` are texts
    `dotted.key=value`; `options` maps dotted keys to values, wins, and passes over None. Raises ConfigError.
    """
    return resolve_config(Wish(feed, agent, env, file, tuple(overrides), options or {})).config


@dataclass(frozen=True)
class Wish:
    """What a user asks for; the fields are those of `load_config`."""

    feed: str | None = None
    agent: str | None = None
    env: str | None = None
    file: str | Path | None = None
    overrides: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


def resolve_config(wish: Wish) -> Resolved:
    """The configuration and the source of each value; ConfigError as `load_config`."""
    asked = _asked(wish)
    layers, path = Layers(), find_config(wish.file) if wish.file is not None else _default_file(asked)
    if path is not None:
        layers.put_file(path)
    for section in ("feed", "agent"):
        _agree(section, layers, asked)
    layers.merge(asked)
    return Resolved(AgentConfig.from_layers(layers), layers, path)


def feed_settings(feed: str, overrides: Sequence[str] = ()) -> BaseModel:
    """The settings of a feed alone, from texts `feed.key=value`."""
    layers, models = Layers(), {"feed": resolve(feed_entry(feed).config)}
    for text in overrides:
        layers.put_override(text)
    for key in layers.values:
        if key != "feed":
            raise ConfigError(f"{_where(layers, key)}'{key}' is unknown: {unknown_key((key,), ['feed'], models)}")
    return validated(models, "feed", layers.values.get("feed", {}), layers)


def find_config(name: str | Path) -> Path:
    """The file at a path, or of that name inside `configs/` (`market/ppo`); ConfigError names the nearest."""
    root, inside = config_root(), str(name).removeprefix("configs/")
    for path in (Path(name), root / inside, root / f"{inside}.yaml"):
        if path.is_file():
            return path
    raise ConfigError(f"no configuration '{name}' stands here or in {root}: {nearest(inside, known_configs())}")


def known_configs() -> list[str]:
    """The names of all files that came along, as in "market/ppo"."""
    root = config_root()
    return sorted(str(path.relative_to(root).with_suffix("")) for path in root.rglob("*.yaml"))


def config_root() -> Path:
    """The folder `configs/`: inside the wheel, else of the checkout."""
    here = Path(__file__).parent
    packaged = here / "_configs"
    return packaged if packaged.is_dir() else here.parent / "configs"


def _asked(wish: Wish) -> Layers:
    """What stands on the command line, `--set` below the options."""
    asked = Layers()
    for text in wish.overrides:
        asked.put_override(text)
    named = {"feed.name": wish.feed, "agent.name": wish.agent, "env": wish.env}
    for key, value in {**named, **wish.options}.items():
        if value is not None:
            flag = _FLAGS.get(key) or "--" + key.rpartition(".")[2].replace("_", "-")
            asked.put(tuple(key.split(".")), value, Source(flag, flag))
    if wish.env is not None:
        match_env(wish.env, asked)
    return asked


def _default_file(asked: Layers) -> Path | None:
    """`configs/<feed>/<env>/<agent>.yaml`, else `configs/<feed>/<agent>.yaml`; None where neither came along."""
    feed, agent = _name(asked, "feed"), _name(asked, "agent")
    if feed is None:
        raise ConfigError(
            f"no feed is named: give --feed ({', '.join(names(FEEDS, 'angle_domains.feeds'))}) or --config"
        )
    feed_entry(feed)
    if agent is None:
        raise ConfigError(
            f"no agent is named: give --agent ({', '.join(names(AGENTS, 'angle_domains.agents'))}) or --config"
        )
    agent_spec(agent)
    folder, env = config_root() / feed, str(asked.values.get("env") or "")
    own = folder / env.rpartition("/")[2] / f"{agent}.yaml"  # what one environment wants goes before its feed's
    return next((path for path in (own, folder / f"{agent}.yaml") if path.is_file()), None)


def _agree(section: str, layers: Layers, asked: Layers) -> None:
    """A file is for one feed and one agent: its settings mean nothing to another."""
    ours, theirs = _name(layers, section), _name(asked, section)
    if ours is not None and theirs is not None and ours != theirs:
        raise ConfigError(
            f"{_where(layers, section, 'name')}this file is for the {section} '{ours}', "
            f"but {asked.sources[(section, 'name')].where} asks for '{theirs}'"
        )


def _name(layers: Layers, section: str) -> str | None:
    group = layers.values.get(section)
    name = group.get("name") if isinstance(group, dict) else None
    return None if name is None else str(name)


def _named(section: Any, kind: str, layers: Layers) -> tuple[dict[str, Any], str]:
    """The settings of a section without its name, and the name."""
    if not isinstance(section, dict):
        raise ConfigError(f"{_where(layers, kind)}'{kind}' should hold a name and settings, not {section!r}")
    rest = {key: value for key, value in section.items() if key != "name"}
    if section.get("name") is None:
        raise ConfigError(f"{_where(layers, kind)}no {kind} is named: write {kind}.name or give --{kind}")
    return rest, str(section["name"])


def _where(layers: Layers, *path: str) -> str:
    source = layers.source(path)
    return f"{source.where}: " if source else ""


def flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, str | int | float | bool]]:
    """Dotted keys and scalars of nested settings; lists become JSON, None becomes "none"."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from flatten(item, f"{prefix}.{key}" if prefix else key)
    elif value is None:
        yield prefix, "none"
    else:
        yield prefix, json.dumps(value) if isinstance(value, list) else value
