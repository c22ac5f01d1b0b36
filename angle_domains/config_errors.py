"""Validation whose errors name the key by its full path, who set it, and the nearest valid one."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from angle_domains.config_text import KeyPath, Layers
from angle_domains.errors import ConfigError, nearest

Models = Mapping[str, type[BaseModel]]  # by section


def validated(models: Models, section: str, data: Any, layers: Layers) -> BaseModel:
    """`models[section]` filled with `data`; ConfigError has one line for each wrong key or value."""
    try:
        return models[section].model_validate(data)
    except ValidationError as error:
        problems = [_sentence(dict(problem), section, models, layers) for problem in error.errors(include_url=False)]
        raise ConfigError("\n".join(dict.fromkeys(problems))) from error


def known_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every key that a model takes, dotted, groups before what they hold."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        inner = model_within(field.annotation)
        if inner is not None:
            yield from known_keys(inner, f"{prefix}{name}.")


def model_within(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation such as `Costs`, `Costs | None` or `tuple[SideTable, ...]` speaks of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(model_within, get_args(annotation))), None)


def unknown_key(path: KeyPath, siblings: list[str], models: Models) -> str:
    """The clause after an unknown key: the nearest beside it, else one of that name elsewhere, else all beside it."""
    *groups, name = map(str, path)
    prefix = "".join(f"{group}." for group in groups)
    if not get_close_matches(name, siblings, n=1):
        everywhere = [key for group, model in models.items() for key in known_keys(model, f"{group}." if group else "")]
        by_leaf = {key.rpartition(".")[2]: key for key in reversed(everywhere)}
        elsewhere = get_close_matches(name, by_leaf, n=1, cutoff=0.75)
        if elsewhere:
            return f"did you mean '{by_leaf[elsewhere[0]]}'?"
    return nearest(prefix + name, [prefix + sibling for sibling in siblings])


def _sentence(problem: dict[str, Any], section: str, models: Models, layers: Layers) -> str:
    inner: KeyPath = problem["loc"]
    path = (section, *inner) if section else inner
    source = layers.source(path)
    where = f"{source.where}: " if source else ""
    name = ".".join(map(str, path))
    if problem["type"] == "extra_forbidden":
        return f"{where}'{name}' is unknown: {unknown_key(path, _siblings(models[section], inner), models)}"
    said = problem["msg"].removeprefix("Value error, ").replace("Input should", "should")
    came = problem.get("input")
    if problem["type"] == "missing" or isinstance(came, BaseModel | dict):
        return f"{where}'{name}': {said[:1].lower()}{said[1:]}"
    return f"{where}'{name}' is {came!r}: {said[:1].lower()}{said[1:]}"


def _siblings(model: type[BaseModel], loc: KeyPath) -> list[str]:
    """The keys that stand where the unknown last one of `loc` was."""
    for part in loc[:-1]:
        field = model.model_fields.get(str(part))
        model = (model_within(field.annotation) if field else None) or model
    return list(model.model_fields)
