"""What a reader takes, as JSON Schema: for editors, and for the reference in docs."""

from collections.abc import Mapping, Sequence
from typing import Any

from sweep.space import Condition

Schema = dict[str, Any]

_KINDS = {"int": "whole numbers", "float": "numbers"}


def setting(constant: Schema, kinds: Sequence[str]) -> Schema:
    """A constant, or a distribution over such constants.

    Args:
        constant: The schema of one value.
        kinds: Which distributions there are: int or float, and choice.
    """
    return any_of(constant, *(_distribution(kind, constant) for kind in kinds))


def any_of(*schemas: Schema) -> Schema:
    """What fits one of several schemas."""
    return {"anyOf": list(schemas)}


def not_both(*keys: str) -> Schema:
    """A section that holds a value for one of these keys at most."""
    given: Schema = {key: {"not": {"type": "null"}} for key in keys}
    return {"not": {"required": list(keys), "properties": given}}


def given_only_with(key: str, other: str, value: str) -> Schema:
    """A section that has `key` only while another key has one value."""
    given = {"properties": {key: {"not": {"type": "null"}}}, "required": [key]}
    return _if(given, {"properties": {other: {"const": value}}})


def searched_only_with(key: str, condition: Condition, default: Any) -> Schema:
    """A section that searches `key` only where the condition may hold.

    Args:
        key: The setting.
        condition: When it is one of a trial's.
        default: The value of the condition's own setting where none is given.
    """
    values = {"enum": list(condition.values)}
    may_hold: Schema = {
        "properties": {
            condition.key: any_of(
                values, _mapping({"choice": {"contains": values}}, ["choice"])
            )
        }
    }
    if default not in condition.values:
        may_hold["required"] = [condition.key]
    searched = {"properties": {key: {"type": "object"}}, "required": [key]}
    return _if(searched, may_hold)


def _distribution(kind: str, constant: Schema) -> Schema:
    if kind == "choice":
        options = {
            "description": "Searched: one of these, in no order.",
            "type": "array",
            "items": constant,
            "minItems": 1,
            "uniqueItems": True,
        }
        return _mapping({"choice": options}, ["choice"])
    ends = {
        "description": f"Searched: {_KINDS[kind]} from low to high, both included.",
        "type": "array",
        "items": constant,
        "minItems": 2,
        "maxItems": 2,
    }
    log = {"description": "Spread the logarithm evenly.", "type": "boolean"}
    step = {
        "description": "Distance between neighbours.",
        "type": constant["type"],
        "exclusiveMinimum": 0,
    }
    above_zero = {kind: {"items": {"exclusiveMinimum": 0}}, "step": False}
    is_log = {"properties": {"log": {"const": True}}, "required": ["log"]}
    return {
        **_mapping({kind: ends, "log": log, "step": step}, [kind]),
        **_if(is_log, {"properties": above_zero}),
    }


def _mapping(properties: Mapping[str, Schema], required: Sequence[str]) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def _if(condition: Schema, then: Schema) -> Schema:
    return {"if": condition, "then": then}
