"""Distributions: what they refuse, contain and list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.space import Choice, FloatRange, IntRange


@pytest.mark.parametrize(
    ("low", "high", "log", "step", "allowed"),
    [
        (2, 1, False, None, "low <= high"),
        (0, 1, True, None, "low > 0"),
        (1, 9, True, 2, "no log"),
        (1, 9, False, 0, "step > 0"),
        (1, float("inf"), False, None, "finite"),
        (float("nan"), 1, False, None, "finite"),
    ],
)
def test_an_impossible_range_is_refused(
    low: float, high: float, log: bool, step: float | None, allowed: str
) -> None:
    """A range that nothing can be drawn from says what is allowed instead."""
    with pytest.raises(ValueError, match=allowed):
        FloatRange(low, high, log, step)


def test_a_choice_needs_options_that_differ() -> None:
    """Neither no option nor one named twice is a choice; 1 and True do differ."""
    with pytest.raises(ValueError, match="at least one"):
        Choice(())
    with pytest.raises(ValueError, match="once"):
        Choice(("a", "a"))
    assert Choice((1, True)).contains(True)


@given(st.integers(-50, 50), st.integers(0, 60), st.integers(1, 7))
def test_an_int_range_contains_exactly_its_grid(
    low: int, width: int, step: int
) -> None:
    """Of all numbers around, those on the grid are contained and no others."""
    range_ = IntRange(low, low + width, step=step)
    around = range(low - 3, low + width + 3)

    assert [n for n in around if range_.contains(n)] == list(range_.grid())


@given(st.integers(-20, 20), st.integers(0, 30), st.integers(1, 9))
def test_a_float_range_contains_its_grid_in_spite_of_rounding(
    low: int, width: int, step: int
) -> None:
    """Each point of a stepped range is contained, the ends of tenths included."""
    range_ = FloatRange(low / 10, (low + width) / 10, step=step / 10)

    assert all(range_.contains(point) for point in range_.grid())
    assert len(range_.grid()) == width // step + 1


@pytest.mark.parametrize("value", [True, 2.5, "3", 7])
def test_an_int_range_contains_whole_numbers_alone(value: bool | float | str) -> None:
    """Truth values, fractions, text and numbers beyond the ends are not contained."""
    assert not IntRange(1, 5).contains(value)


def test_ranges_without_a_step_or_on_a_log_scale_have_no_grid() -> None:
    """Only a choice or a stepped range can be listed."""
    assert FloatRange(0.0, 1.0).grid() == ()
    assert IntRange(1, 100, log=True).grid() == ()
    assert Choice(("a", "b")).grid() == ("a", "b")
