"""What the runs of a group differ in: seeds, and settings that are swept."""

import re
from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

from angle_domains.config import AgentConfig
from angle_domains.config_text import Layers, Source, parse
from angle_domains.errors import ConfigError

_STRANGE = re.compile(r"[^A-Za-z0-9._-]+")  # in the name of a folder


class Variant(NamedTuple):
    """One run of a group."""

    label: str  # ends its name, as in "seed-3" or "alpha-1e-3"
    settings: dict[str, Any]  # dotted keys, and what they become


def of_seeds(seeds: Sequence[int]) -> tuple[Variant, ...]:
    """A run for each seed; ConfigError where one stands twice."""
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"--seeds {','.join(map(str, seeds))}: a seed stands twice")
    return tuple(Variant(f"seed-{seed}", {"seed": seed}) for seed in seeds)


def swept(texts: Sequence[str], seeds: Sequence[int] = ()) -> tuple[Variant, ...]:
    """A run for every combination of `dotted.key=one,another` texts, each with every seed; ConfigError where one is
    written otherwise, or two runs would be one."""
    axes = [*map(_axis, texts), *([of_seeds(seeds)] if seeds else [])]
    found = tuple(
        Variant("-".join(part.label for part in parts), {k: v for part in parts for k, v in part.settings.items()})
        for parts in product(*axes)
    )
    labels = [variant.label for variant in found]
    if len(set(labels)) < len(labels) or len({key for axis in axes for key in axis[0].settings}) < len(axes):
        raise ConfigError(f"--sweep {' '.join(texts)}: every setting and every value of it stands once")
    return found


def only_seeds(variants: Sequence[Variant]) -> bool:
    """Whether a mean over the runs means something."""
    return all(set(variant.settings) == {"seed"} for variant in variants)


def changed(config: AgentConfig, variant: Variant, name: str) -> AgentConfig:
    """The configuration of one run; ConfigError names a key that is unknown or a value that does not fit."""
    layers = Layers()
    layers.put((), config.to_dict(), Source("file", "the configuration of the group"))
    for key, value in variant.settings.items():
        layers.put(tuple(key.split(".")), value, Source("--sweep", f"--sweep {key}"))
    made = AgentConfig.from_layers(layers)
    return made.model_copy(update={"name": name, "tracking": config.tracking})  # with the password, where there is one


def _axis(text: str) -> tuple[Variant, ...]:
    key, equals, values = (part.strip() for part in text.partition("="))
    try:
        found = parse(f"[{values}]", "").values
    except ConfigError:
        found = []
    if not equals or not key or not found or not isinstance(found, list):
        raise ConfigError(f"--sweep {text}: write it as key=one,another, as in agent.alpha=0,1e-3,1e-2")
    short = key.rpartition(".")[2]
    written = values.split(",")  # as the user wrote them, unless a list has commas of its own
    names = written if len(written) == len(found) else [str(value) for value in found]
    labels = [f"{short}-{_STRANGE.sub('-', name).strip('-')}" for name in names]
    return tuple(Variant(label, {key: value}) for label, value in zip(labels, found, strict=True))
