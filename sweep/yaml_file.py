"""YAML 1.2 in, plain values and their lines out; alone knows ruamel.yaml."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from sweep.errors import ConfigError

Location = tuple[str | int, ...]


@dataclass(frozen=True)
class YamlFile:
    """The values of one file with the command line's overrides laid over them.

    Attributes:
        path: The file, as the user named it.
        values: Plain nested dicts, lists and scalars.
        lines: Where each value stands, by its keys from the root: `file:line`, or the
            `--set` that gave it.
    """

    path: Path
    values: dict[str, Any]
    lines: Mapping[Location, str]

    def where(self, location: Location) -> str:
        """Where the value at `location` stands, or else what encloses it."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location, str(self.path))


def read_yaml(path: Path, overrides: Sequence[str] = ()) -> YamlFile:
    """Read a YAML file that holds one mapping.

    Args:
        path: The file.
        overrides: `dotted.key=value` each; the value is YAML too.

    Raises:
        ConfigError: if the file is missing, empty, no mapping or not YAML, or an
            override is not of that form.
    """
    root = _parse_file(path)
    lines: dict[Location, str] = {}
    _collect_lines(root, (), path, lines)
    values: dict[str, Any] = _plain(root)
    for override in overrides:
        _override(values, lines, override)
    return YamlFile(path, values, lines)


def dump_yaml(values: Mapping[str, Any]) -> str:
    """The text of a YAML file that reads back as `values`."""
    stream = io.StringIO()
    yaml = YAML()
    yaml.width = 100
    yaml.dump(dict(values), stream)
    return stream.getvalue()


def _parse_file(path: Path) -> CommentedMap:
    try:
        root = _parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such file; give the path of an experiment's YAML, "
            "such as experiments/digits.yaml"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as text: {error}") from None
    except YAMLError as error:
        raise ConfigError(f"{path}{_syntax(error)}") from None
    if root is None:
        raise ConfigError(f"{path}: the file is empty; it needs at least name and data")
    if not isinstance(root, CommentedMap):
        found = type(root).__name__
        raise ConfigError(f"{path}:1: found a {found}; allowed: `key: value` lines")
    return root


def _parse(text: str) -> Any:
    return YAML(typ="rt").load(text)


def _syntax(error: YAMLError) -> str:
    if not isinstance(error, MarkedYAMLError) or error.problem_mark is None:
        return f": not valid YAML: {error}"
    mark = error.problem_mark
    problem = str(error.problem).split("\n")[0]
    return f":{mark.line + 1}:{mark.column + 1}: not valid YAML: {problem}"


def _collect_lines(
    node: Any, location: Location, path: Path, lines: dict[Location, str]
) -> None:
    if isinstance(node, CommentedMap):
        children = [(key, node.lc.key(key)[0], node[key]) for key in node]
    elif isinstance(node, CommentedSeq):
        children = [(i, node.lc.item(i)[0], value) for i, value in enumerate(node)]
    else:
        return
    for key, line, child in children:
        lines[(*location, key)] = f"{path}:{line + 1}"
        _collect_lines(child, (*location, key), path, lines)


def _plain(node: Any) -> Any:
    # ruamel's scalars are subclasses that remember how they were written; a schema
    # should see the numbers and strings alone
    if isinstance(node, Mapping):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def _override(values: dict[str, Any], lines: dict[Location, str], text: str) -> None:
    dotted, equals, value = text.partition("=")
    keys = dotted.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(
            f"--set {text}: found no key=value; allowed: a dotted key, an equals sign "
            "and a YAML value, such as --set study.trials=8"
        )
    try:
        parsed = _plain(_parse(value))
    except YAMLError as error:
        raise ConfigError(f"--set {text}: {_syntax(error).lstrip(':')}") from None
    section = values
    for key in keys[:-1]:
        if not isinstance(section.get(key), dict):
            section[key] = {}
        section = section[key]
    section[keys[-1]] = parsed
    lines[tuple(keys)] = f"--set {text}"
