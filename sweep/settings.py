"""How one value of the YAML is read: a constant, a distribution, a duration.

Each reader raises ValueError with what is allowed as its text; the caller adds where
the value stands and what was found.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweep.distributions import Check, as_yaml, is_number, read_distribution
from sweep.json_schema import Schema, any_of, setting
from sweep.space import Distribution
from sweep.trial import HParam

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_AUTO: Schema = {"const": "auto"}


@dataclass(frozen=True, eq=False)
class Reader:
    """How a value is read, and what may be written.

    Attributes:
        read: Makes the value of what the YAML has, or raises ValueError.
        schema: The same as JSON Schema, as far as that can say it.
    """

    read: Callable[[Any], Any]
    schema: Schema


def whole(low: int) -> Reader:
    """A reader of whole numbers >= `low`, and of distributions over them."""
    allowed = f"a whole number >= {low}"

    def check(value: Any) -> HParam:
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise ValueError(allowed)
        return value

    constant = {"type": "integer", "minimum": low}
    text = f"{allowed}, or {{int: [low, high]}}"
    return _setting(check, constant, ("int", "choice"), text)


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
    constant: Schema = {
        "type": "number",
        "exclusiveMinimum" if exclusive else "minimum": low,
    }
    if high != math.inf:
        allowed += f" and <= {high:g}"
        constant["maximum"] = high
    if below != math.inf:
        allowed += f" and < {below:g}"
        constant["exclusiveMaximum"] = below

    def check(value: Any) -> HParam:
        if not is_number(value) or not low <= value <= high:
            raise ValueError(allowed)
        if not value < below or (exclusive and value == low):
            raise ValueError(allowed)
        return float(value)

    text = f"{allowed}, or {{float: [low, high]}}"
    return _setting(check, constant, ("float", "choice"), text)


def one_of(*names: str) -> Reader:
    """A reader of one of `names`, and of a choice among them."""
    allowed = "one of " + ", ".join(names)

    def check(value: Any) -> HParam:
        if value not in names:
            raise ValueError(allowed)
        return str(value)

    text = f"{allowed}, or {{choice: [...]}} of them"
    return _setting(check, {"enum": list(names)}, ("choice",), text)


def duration(*, zero: bool = False) -> Reader:
    """A reader of a duration in seconds, or as text: 90s, 45m, 2h, 1d.

    Args:
        zero: Whether none at all is allowed, too.
    """
    examples = ["0s", "90s", "45m"] if zero else ["90s", "45m", "2h", "1d"]
    allowed = f"seconds {'>=' if zero else '>'} 0, or text such as "
    allowed += ", ".join(examples)

    def read(value: Any) -> float:
        seconds = _seconds(value)
        if not (seconds >= 0 if zero else seconds > 0):
            raise ValueError(allowed)
        return seconds

    # some digit of a duration above zero is not 0
    pattern = r"^\s*" + ("" if zero else r"(?=[\d.]*[1-9])")
    pattern += r"\d+(\.\d+)?\s*[smhd]\s*$"
    return Reader(
        read,
        any_of(
            {"type": "number", "minimum" if zero else "exclusiveMinimum": 0},
            {"type": "string", "pattern": pattern, "examples": examples},
        ),
    )


def fraction_or_auto() -> Reader:
    """A reader of the share of a GPU: auto, 0, a fraction below 1, or whole GPUs."""

    def read(value: Any) -> float | str:
        if value == "auto":
            return "auto"
        if is_number(value) and (0 <= value <= 1 or _is_whole_above_1(value)):
            return float(value)
        raise ValueError("auto, 0, a fraction of one GPU, or whole GPUs")

    fraction = {"type": "number", "minimum": 0, "maximum": 1}
    return Reader(read, any_of(_AUTO, fraction, {"type": "integer", "minimum": 2}))


def count_or_auto() -> Reader:
    """A reader of a number of trials: auto, or at least 1."""

    def read(value: Any) -> int | str:
        if value == "auto" or (type(value) is int and value >= 1):
            return value  # type: ignore[no-any-return]
        raise ValueError("auto, or a whole number >= 1")

    return Reader(read, any_of(_AUTO, {"type": "integer", "minimum": 1}))


def scalar() -> Reader:
    """A reader of one hyperparameter's value."""

    def read(value: Any) -> HParam:
        if not isinstance(value, HParam):
            raise ValueError("one number, text, true or false")
        return value

    return Reader(read, {"type": ["number", "string", "boolean"]})


def _setting(
    check: Check, constant: Schema, kinds: Sequence[str], allowed: str
) -> Reader:
    def read(value: Any) -> HParam | Distribution:
        value = as_yaml(value)  # a distribution that was made in Python is checked, too
        if not isinstance(value, Mapping):
            try:
                return check(value)
            except ValueError:
                raise ValueError(allowed) from None
        return read_distribution(value, check, kinds)

    return Reader(read, setting(constant, kinds))


def _seconds(value: Any) -> float:
    if is_number(value):
        return float(value)
    match = isinstance(value, str) and re.fullmatch(
        r"(\d+(?:\.\d+)?)\s*([smhd])", value.strip()
    )
    if not match:
        raise ValueError("seconds, or text such as 90s, 45m, 2h, 1d")
    return float(match[1]) * _UNITS[match[2]]


def _is_whole_above_1(value: float) -> bool:
    return value > 1 and float(value).is_integer()
