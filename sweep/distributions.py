"""How a distribution of the YAML is read, and written again."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from sweep.space import Choice, Distribution, FloatRange, IntRange
from sweep.trial import HParam

Check = Callable[[Any], HParam]

_KEYS = ("int", "float", "choice", "log", "step")
_KINDS = {"int": "whole numbers", "float": "numbers"}


def read_distribution(
    value: Mapping[str, Any], check: Check, kinds: Sequence[str]
) -> Distribution:
    """Read a distribution over values that pass a check.

    Args:
        value: As the YAML has it.
        check: Reads one value.
        kinds: Which distributions there are: int or float, and choice.

    Raises:
        ValueError: saying what is allowed.
    """
    for key in value:
        if key not in _KEYS:
            close = nearest(key, _KEYS)
            hint = f" (did you mean {close} instead of {key}?)" if close else ""
            raise ValueError(f"the keys {', '.join(_KEYS)}{hint}")
    kind = next((kind for kind in kinds if kind in value), None)
    if kind is None:
        raise ValueError("a distribution of the kind " + " or ".join(kinds))
    others = {key: value[key] for key in value if key != kind}
    if kind == "choice":
        return _choice(value[kind], others, check)
    return _range(kind, value[kind], others, check)


def as_yaml(value: Any) -> Any:
    """A setting as the YAML spells it; the inverse of the readers here."""
    if isinstance(value, Choice):
        return {"choice": list(value.options)}
    if not isinstance(value, IntRange | FloatRange):
        return value
    kind = "int" if isinstance(value, IntRange) else "float"
    written: dict[str, Any] = {kind: [value.low, value.high]}
    if value.log:
        written["log"] = True
    if value.step is not None:
        written["step"] = value.step
    return written


def nearest(found: str, allowed: Sequence[str]) -> str | None:
    """The allowed spelling that `found` was most likely meant to be, if any."""
    return next(iter(get_close_matches(found, allowed, 1)), None)


def is_number(value: Any) -> bool:
    """Whether a value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _choice(options: Any, others: Mapping[str, Any], check: Check) -> Choice:
    if others or not isinstance(options, list):
        raise ValueError("{choice: [one, another, ...]} and nothing beside it")
    return Choice(tuple(check(option) for option in options))


def _range(
    kind: str, ends: Any, others: Mapping[str, Any], check: Check
) -> Distribution:
    log, step = others.get("log", False), others.get("step")
    numbers = is_number if kind == "float" else _is_whole
    if not isinstance(ends, list) or len(ends) != 2 or not all(map(numbers, ends)):
        raise ValueError(f"{{{kind}: [low, high]}} of two {_KINDS[kind]}")
    if not isinstance(log, bool) or not set(others) <= {"log", "step"}:
        raise ValueError(f"{{{kind}: [low, high]}} with log: true or step: number")
    if "step" in others and not numbers(step):
        raise ValueError(f"a step that is one of the {_KINDS[kind]}")
    if kind == "float":
        made: Distribution = FloatRange(float(ends[0]), float(ends[1]), log, step)
    else:
        made = IntRange(ends[0], ends[1], log, step)
    # an impossible range is the clearer mistake, so its ends are looked at last
    for end in ends:
        check(end)
    return made


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
