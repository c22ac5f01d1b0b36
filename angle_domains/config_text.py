"""YAML as the configuration reads it: plain data, the line of every key, and layers that remember who set what.

Scalars follow YAML 1.2: `1e-4` is a number, and the tickers ON, NO and Y stay text. Anchors, tags and repeated keys are
refused, so that a file means what it shows.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from angle_domains.errors import ConfigError

KeyPath = tuple[str | int, ...]

_NAMED = (("feed",), ("agent",))  # `feed: market` is short for `feed: {name: market}`

_PLAIN = {f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str", "int", "float", "bool", "null")}
_FLOAT = re.compile(
    r"^(?:[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012  those of YAML 1.1 are left behind

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are not used here", self.peek_event().start_mark)
        return super().compose_node(parent, index)


class _Dumper(yaml.SafeDumper):
    pass


_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|false|False)$"), list("tTfF"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9_]*)$"), list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))  # quotes the text '1e5'


@dataclass(frozen=True)
class Document:
    """A parsed file: plain data and the 1-based line of every key and list item."""

    values: Any
    lines: dict[KeyPath, int]


def parse(text: str, where: str) -> Document:
    """The data of a YAML text; ConfigError names `where` and the line."""
    lines: dict[KeyPath, int] = {}
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        return Document(None if node is None else _construct(loader, node, (), lines), lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{where}{line}: this is no valid YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: this is no valid YAML: {error}") from error


def read(path: Path) -> Document:
    """The data of a YAML file whose top is a mapping (or nothing)."""
    try:
        document = parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the configuration {path} cannot be read: {error}") from error
    if document.values is None:
        return Document({}, {})
    if not isinstance(document.values, dict):
        raise ConfigError(f"{path}: keys and values are wanted at the top, not {document.values!r}")
    return document


def dump(values: Any) -> str:
    """YAML that `parse` reads back to the same data, keys in their order."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000)


def inline(value: Any) -> str:
    """One value on one line of YAML."""
    text = yaml.dump(value, Dumper=_Dumper, default_flow_style=True, allow_unicode=True, width=float("inf"))
    return text.removesuffix("...\n").strip()


def _construct(loader: _Loader, node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int]) -> Any:
    if node.tag not in _PLAIN:
        raise yaml.constructor.ConstructorError(None, None, f"the tag {node.tag} is not used here", node.start_mark)
    if isinstance(node, yaml.MappingNode):
        return _construct_mapping(loader, node, path, lines)
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[(*path, index)] = item.start_mark.line + 1
        return [_construct(loader, item, (*path, index), lines) for index, item in enumerate(node.value)]
    return loader.construct_object(node)


def _construct_mapping(
    loader: _Loader, node: yaml.MappingNode, path: KeyPath, lines: dict[KeyPath, int]
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, "a key should be a word", key_node.start_mark)
        key = key_node.value
        if key in values:
            raise yaml.constructor.ConstructorError(None, None, f"'{key}' stands here twice", key_node.start_mark)
        lines[(*path, key)] = key_node.start_mark.line + 1
        values[key] = _construct(loader, value_node, (*path, key), lines)
    return values


@dataclass(frozen=True)
class Source:
    """Who set a value: `kind` is a word for lists, `where` opens an error's sentence."""

    kind: str  # "default", "line 12", "--set", "--steps"
    where: str  # "configs/market/ppo.yaml, line 12"


@dataclass
class Layers:
    """Nested settings from several sources; who speaks last wins, and every value remembers its source."""

    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[KeyPath, Source] = field(default_factory=dict)

    def put_file(self, path: Path) -> None:
        """Puts a whole file."""
        document = read(path)
        self.put((), document.values, Source("file", str(path)))
        for key_path, line in document.lines.items():
            self.sources[key_path] = Source(f"line {line}", f"{path}, line {line}")

    def put_override(self, text: str) -> None:
        """Puts `dotted.key=value`; the value is YAML, or the text itself where it is none."""
        key, equals, value_text = text.partition("=")
        parts = tuple(part.strip() for part in key.split("."))
        if not equals or not all(parts):
            raise ConfigError(f"--set {text}: write it as key=value, as in --set training.steps=100000")
        try:
            value = parse(value_text, "").values
        except ConfigError:
            value = value_text
        self.put(parts, value, Source("--set", f"--set {text}"))

    def put(self, path: KeyPath, value: Any, source: Source) -> None:
        """Puts a value; a mapping is merged key by key into what stands there."""
        if path in _NAMED and isinstance(value, str):
            path = (*path, "name")
        if isinstance(value, Mapping):
            for key, item in value.items():
                self.put((*path, key), item, source)
            if not value and path:
                self._group(path, source)
            return
        group = self._group(path[:-1], source)
        for known in [known for known in self.sources if known[: len(path)] == path]:
            del self.sources[known]
        group[str(path[-1])] = value
        self.sources[path] = source

    def merge(self, above: "Layers") -> None:
        """Puts everything that `above` says over what stands here."""
        for path, source in above.sources.items():
            value: Any = above.values
            for key in path:
                value = value[key]
            self.put(path, value, source)

    def source(self, path: KeyPath) -> Source | None:
        """Who set the value at a path, or the nearest group around it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.sources:
                return self.sources[path[:length]]
        return None

    def _group(self, path: KeyPath, source: Source) -> dict[str, Any]:
        group = self.values
        for depth, key in enumerate(path):
            inner = group.get(str(key))
            if inner is None:  # absent, or an empty section of a file
                inner = group[str(key)] = {}
            if not isinstance(inner, dict):
                name = ".".join(map(str, path[: depth + 1]))
                raise ConfigError(f"{source.where}: '{name}' is a value, nothing lies below it")
            group = inner
        return group
