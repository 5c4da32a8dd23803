"""The YAML's reference as a page of Markdown, from its JSON Schema."""

import json
from collections.abc import Iterator
from typing import Any

from sweep.json_schema import Schema
from sweep.sections import CONDITIONS

_HEAD = """\
# The YAML: every key

<!-- Written by `make docs` from sweep/sections.py: change it there. -->

An experiment is one file of YAML 1.2, so `1e-3` is a number and `yes` is text.
`name` and `data.dataset` are required, every other key has a default, and a key that
is not on this page is an error. `--set section.key=VALUE` overrides the file.

Editors that know JSON Schema complete and check the file. The first line of the
experiments in this repository tells them where it is:

```yaml
# yaml-language-server: $schema=../docs/experiment.schema.json
```

The path is relative to the YAML. `python -m sweep.reference FOLDER` writes the schema,
and this page, anywhere else.

Some mistakes only `python -m sweep check FILE` finds: a range whose ends are swapped,
a trial in `enqueue` that is outside of the space, a distribution that has no grid under
`sampler: grid`.

## Distributions

A setting of `model` and `solver` is a constant, or a distribution; a distribution is
what makes it searched.

| written | draws |
| --- | --- |
| `{int: [32, 1024]}` | a whole number, both ends included |
| `{int: [32, 1024], step: 32}` | one of 32, 64, ..., 1024 |
| `{int: [32, 1024], log: true}` | a whole number, the logarithm spread evenly |
| `{float: [0.0, 0.5]}` | a number, both ends included |
| `{float: [0.0, 0.5], step: 0.1}` | one of 0.0, 0.1, ..., 0.5 |
| `{float: [1e-4, 1e-1], log: true}` | a number, the logarithm spread evenly |
| `{choice: [50, 100, 200]}` | one of the options, which have no order |

`log` and `step` exclude each other, and `log` needs a range above zero.
"""
_Row = tuple[str, ...]

_TYPES = {
    "boolean": "`true`, `false`",
    "string": "text",
    "object": "`{setting: value}`",
}
_COLUMNS = ("key", "value", "default", "searched", "meaning")


def reference_page(schema: Schema) -> str:
    """The page: the whole file, then each of its sections."""
    parts = [_HEAD, "## The file\n\n" + _table(schema, schema)]
    for key, value in schema["properties"].items():
        if "$ref" in value:
            section = _resolved(schema, value)
            text = f"## {key}\n\n{section['description']}\n\n"
            parts.append(text + _table(schema, section))
    return "\n".join(parts)


def _table(schema: Schema, section: Schema) -> str:
    rows = [_COLUMNS, ("---",) * len(_COLUMNS), *_rows(schema, section, "")]
    is_searched = any(row[3] != "–" for row in rows[2:])
    kept = [row if is_searched else (*row[:3], row[4]) for row in rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in kept)


def _resolved(schema: Schema, part: Schema) -> Schema:
    section: Schema = schema["$defs"][part["$ref"].rpartition("/")[2]]
    return section


def _rows(schema: Schema, section: Schema, prefix: str) -> Iterator[_Row]:
    """A row for each key of a section, and for those of a section within."""
    for key, value in section["properties"].items():
        required = key in section.get("required", ())
        yield _row(schema, prefix + key, value, required)
        for kind in _kinds(value):
            if "$ref" in kind and section is not schema:
                yield from _rows(schema, _resolved(schema, kind), f"{prefix}{key}.")


def _row(schema: Schema, key: str, value: Schema, required: bool) -> _Row:
    is_section = "$ref" in value
    described = _resolved(schema, value) if is_section else value
    constants = [kind for kind in _kinds(value) if not _is_search(kind)]
    return (
        f"[`{key}`](#{key})" if is_section else f"`{key}`",
        " or ".join(map(_describe, constants)),
        "required" if required else _default(value),
        _searched(key, value),
        described["description"],
    )


def _kinds(value: Schema) -> list[Schema]:
    """All that a value may be, but for null, which is to leave it out."""
    kinds = value.get("anyOf") or value.get("oneOf") or [value]
    if kinds == [value]:
        return [] if value.get("type") == "null" else [value]
    return [inner for kind in kinds for inner in _kinds(kind)]


def _is_search(kind: Schema) -> bool:
    return kind.get("type") == "object" and "properties" in kind


def _searched(key: str, value: Schema) -> str:
    if not any(map(_is_search, _kinds(value))):
        return "–"
    if key not in CONDITIONS:
        return "yes"
    condition = CONDITIONS[key]
    return f"with `{condition.key}: {'` or `'.join(map(str, condition.values))}`"


def _default(value: Schema) -> str:
    default = value.get("default")
    return "–" if default in (None, []) else f"`{_as_yaml(default)}`"


def _describe(kind: Schema) -> str:
    """What a constant may be, in words."""
    match kind:
        case {"$ref": _}:
            words = "a section"
        case {"enum": names}:
            words = ", ".join(f"`{name}`" for name in names)
        case {"const": name}:
            words = f"`{name}`"
        case {"examples": examples}:
            words = "text such as " + ", ".join(f"`{text}`" for text in examples)
        case {"type": "array", "items": items}:
            words = "list, each " + _describe(items)
        case {"type": "integer" | "number"}:
            words = _number(kind)
        case {"type": name}:
            words = _TYPES[name]
    return words


def _number(kind: Schema) -> str:
    signs = {
        "minimum": "≥",
        "exclusiveMinimum": ">",
        "maximum": "≤",
        "exclusiveMaximum": "<",
    }
    name = "whole number" if kind["type"] == "integer" else "number"
    bounds = [f"{sign} {kind[key]:g}" for key, sign in signs.items() if key in kind]
    return f"{name} {' and '.join(bounds)}"


def _as_yaml(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value)
