"""The search space: name -> distribution. Values only; sampling is Optuna's."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from sweep.trial import HParam, HParams


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Attributes:
        low: The smallest value.
        high: The largest value.
        log: Whether the logarithm is spread evenly instead of the number itself.
        step: Distance between neighbours; None for every number (float only).
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        """Refuse ranges that nothing can be drawn from.

        Raises:
            ValueError: saying what is allowed.
        """
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ValueError("a range of finite numbers")
        if self.low > self.high:
            raise ValueError("a range [low, high] with low <= high")
        if self.log and self.low <= 0:
            raise ValueError("with log: true, a range with low > 0")
        if self.step is not None and (self.log or self.step <= 0):
            raise ValueError("a step > 0, and no log: true beside it")


@dataclass(frozen=True)
class IntRange(Range):
    """Whole numbers from `low` to `high`, `step` apart (1 unless given)."""

    low: int
    high: int
    step: int | None = None

    def contains(self, value: HParam) -> bool:
        """Whether `value` is one that this range can propose."""
        if isinstance(value, bool) or not isinstance(value, int):
            return False
        return (
            self.low <= value <= self.high
            and (value - self.low) % (self.step or 1) == 0
        )

    def grid(self) -> tuple[HParam, ...]:
        """All values in order; a log range has no grid, so it is empty."""
        return () if self.log else tuple(range(self.low, self.high + 1, self.step or 1))

    def middle(self) -> int:
        """A whole number about the middle of the range; of its logarithm, if log."""
        return round(_middle(self))

    def __str__(self) -> str:
        return f"int {self.low} to {self.high}{_suffix(self)}"


@dataclass(frozen=True)
class FloatRange(Range):
    """Numbers from `low` to `high`, `step` apart if one is given."""

    def contains(self, value: HParam) -> bool:
        """Whether `value` is one that this range can propose."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if not self.low <= value <= self.high or self.step is None:
            return self.low <= value <= self.high
        steps = (value - self.low) / self.step
        return abs(steps - round(steps)) < 1e-8

    def grid(self) -> tuple[HParam, ...]:
        """All values in order; without a step there is no grid, so it is empty."""
        if self.step is None:
            return ()
        count = math.floor((self.high - self.low) / self.step + 1e-8) + 1
        # rounding must not carry the last point past the end
        points = (self.low + index * self.step for index in range(count))
        return tuple(min(point, self.high) for point in points)

    def middle(self) -> float:
        """The middle of the range; of its logarithm, if log."""
        return _middle(self)

    def __str__(self) -> str:
        return f"float {self.low:g} to {self.high:g}{_suffix(self)}"


@dataclass(frozen=True)
class Choice:
    """One of a few named options, in no order."""

    options: tuple[HParam, ...]

    def __post_init__(self) -> None:
        """Refuse an empty or a repeating list.

        Raises:
            ValueError: saying what is allowed.
        """
        if not self.options:
            raise ValueError("a choice of at least one option")
        if len(set(map(repr, self.options))) < len(self.options):
            raise ValueError("a choice that names each option once")

    def contains(self, value: HParam) -> bool:
        """Whether `value` is one of the options, of the same type."""
        return any(type(value) is type(o) and value == o for o in self.options)

    def grid(self) -> tuple[HParam, ...]:
        """The options themselves."""
        return self.options

    def middle(self) -> HParam:
        """The first option: there is no middle."""
        return self.options[0]

    def __str__(self) -> str:
        return "one of " + ", ".join(map(str, self.options))


@dataclass(frozen=True)
class Condition:
    """When a setting has a meaning: while another one has one of some values.

    Attributes:
        key: The other setting.
        values: Its values that give this one a meaning.
    """

    key: str
    values: tuple[HParam, ...]

    def holds(self, hparams: HParams) -> bool:
        """Whether the other setting is there, with one of the values."""
        return hparams.get(self.key) in self.values


Distribution = IntRange | FloatRange | Choice
Space = Mapping[str, Distribution]
Setting = HParam | Distribution


def largest(setting: Setting) -> int:
    """The largest whole number that a setting may have."""
    if isinstance(setting, IntRange):
        return setting.high
    options = setting.options if isinstance(setting, Choice) else (setting,)
    return max(int(option) for option in options if not isinstance(option, FloatRange))


def _middle(range_: Range) -> float:
    if range_.log:
        return math.sqrt(range_.low * range_.high)
    return (range_.low + range_.high) / 2


def _suffix(range_: Range) -> str:
    if range_.log:
        return ", log"
    return "" if range_.step is None else f", step {range_.step:g}"
