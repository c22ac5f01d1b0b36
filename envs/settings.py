"""Settings of a feed that come as keyword arguments of `gymnasium.make`."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from feeds.errors import FeedError, nearest

Model = TypeVar("Model", bound=BaseModel)


def checked(kind: type[Model], settings: Mapping[str, Any], whose: str) -> Model:
    """The settings as a model; FeedError, in the name of `whose` environment it is, for what that does not take."""
    try:
        return kind(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        hint = nearest(key, kind.model_fields) if first["type"] == "extra_forbidden" else first["msg"]
        raise FeedError(f"{whose} does not take {key}={first['input']!r}: {hint}") from error
