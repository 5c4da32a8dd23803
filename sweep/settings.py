"""How one value of the YAML is read: a constant, a distribution, a duration.

Each reader raises ValueError with what is allowed as its text; the caller adds where
the value stands and what was found.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from sweep.space import Choice, Distribution, FloatRange, IntRange
from sweep.trial import HParam

Reader = Callable[[Any], Any]

_KEYS = ("int", "float", "choice", "log", "step")
_KINDS = {"int": "whole numbers", "float": "numbers"}
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def whole(low: int) -> Reader:
    """A reader of whole numbers >= `low`, and of distributions over them."""
    allowed = f"a whole number >= {low}"

    def check(value: Any) -> HParam:
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise ValueError(allowed)
        return value

    return _setting(check, ("int", "choice"), f"{allowed}, or {{int: [low, high]}}")


def number(
    low: float,
    high: float = math.inf,
    *,
    exclusive: bool = False,
    below: float = math.inf,
) -> Reader:
    """A reader of numbers from `low` to `high`, and of distributions over them.

    Args:
        low: The smallest number.
        high: The largest number.
        exclusive: Whether `low` itself is refused.
        below: A number that is never reached.
    """
    allowed = f"a number {'>' if exclusive else '>='} {low:g}"
    if high != math.inf:
        allowed += f" and <= {high:g}"
    if below != math.inf:
        allowed += f" and < {below:g}"

    def check(value: Any) -> HParam:
        if not _is_number(value) or not low <= value <= high:
            raise ValueError(allowed)
        if not value < below or (exclusive and value == low):
            raise ValueError(allowed)
        return float(value)

    return _setting(check, ("float", "choice"), f"{allowed}, or {{float: [low, high]}}")


def one_of(*names: str) -> Reader:
    """A reader of one of `names`, and of a choice among them."""
    allowed = "one of " + ", ".join(names)

    def check(value: Any) -> HParam:
        if value not in names:
            raise ValueError(allowed)
        return str(value)

    return _setting(check, ("choice",), f"{allowed}, or {{choice: [...]}} of them")


def seconds(value: Any) -> Any:
    """Read a duration above zero in seconds, or as text: 90s, 45m, 2h, 1d."""
    duration = _duration(value)
    if duration is not None and not duration > 0:
        raise ValueError("seconds > 0, or text such as 90s, 45m, 2h, 1d")
    return duration


def seconds_or_zero(value: Any) -> Any:
    """Read a duration in seconds, or as text: 0s, 90s, 45m."""
    duration = _duration(value)
    if duration is None or not duration >= 0:
        raise ValueError("seconds >= 0, or text such as 0s, 90s, 45m")
    return duration


def fraction_or_auto(value: Any) -> Any:
    """Read the share of a GPU: auto, 0, a fraction below 1, or whole GPUs."""
    if value == "auto":
        return value
    if _is_number(value) and (0 <= value <= 1 or value == int(value) > 1):
        return float(value)
    raise ValueError("auto, 0, a fraction of one GPU, or whole GPUs")


def count_or_auto(value: Any) -> Any:
    """Read the number of trials a worker trains together: auto, or at least 1."""
    if value == "auto" or (type(value) is int and value >= 1):
        return value
    raise ValueError("auto, or a whole number >= 1")


def scalar(value: Any) -> HParam:
    """Read one hyperparameter's value."""
    if not isinstance(value, HParam):
        raise ValueError("one number, text, true or false")
    return value


def nearest(found: str, allowed: Sequence[str]) -> str | None:
    """The allowed spelling that `found` was most likely meant to be, if any."""
    return next(iter(get_close_matches(found, allowed, 1)), None)


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


def _duration(value: Any) -> float | None:
    if isinstance(value, str):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", value.strip())
        if match is None:
            raise ValueError("seconds, or text such as 90s, 45m, 2h, 1d")
        return float(match[1]) * _UNITS[match[2]]
    if value is not None and not _is_number(value):
        raise ValueError("seconds, or text such as 90s, 45m, 2h, 1d")
    return None if value is None else float(value)


def _setting(
    check: Callable[[Any], HParam], kinds: Sequence[str], allowed: str
) -> Reader:
    def read(value: Any) -> HParam | Distribution:
        value = as_yaml(value)  # a distribution that was made in Python is checked, too
        if not isinstance(value, Mapping):
            try:
                return check(value)
            except ValueError:
                raise ValueError(allowed) from None
        return _distribution(value, check, kinds)

    return read


def _distribution(
    value: Mapping[str, Any], check: Callable[[Any], HParam], kinds: Sequence[str]
) -> Distribution:
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


def _choice(
    options: Any, others: Mapping[str, Any], check: Callable[[Any], HParam]
) -> Choice:
    if others or not isinstance(options, list):
        raise ValueError("{choice: [one, another, ...]} and nothing beside it")
    return Choice(tuple(check(option) for option in options))


def _range(
    kind: str, ends: Any, others: Mapping[str, Any], check: Callable[[Any], HParam]
) -> Distribution:
    log, step = others.get("log", False), others.get("step")
    numbers = _is_number if kind == "float" else _is_whole
    if not isinstance(ends, list) or len(ends) != 2 or not all(map(numbers, ends)):
        raise ValueError(f"{{{kind}: [low, high]}} of two {_KINDS[kind]}")
    if not isinstance(log, bool) or not set(others) <= {"log", "step"}:
        raise ValueError(f"{{{kind}: [low, high]}} with log: true or step: number")
    if step is not None and not numbers(step):
        raise ValueError(f"a step that is one of the {_KINDS[kind]}")
    if kind == "float":
        made: Distribution = FloatRange(float(ends[0]), float(ends[1]), log, step)
    else:
        made = IntRange(ends[0], ends[1], log, step)
    # an impossible range is the clearer mistake, so its ends are looked at last
    for end in ends:
        check(end)
    return made


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
