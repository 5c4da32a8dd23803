"""Curves as lines of small bars."""

from hypothesis import given
from hypothesis import strategies as st

from sweep.live.sparkline import BARS, sparkline


def test_a_curve_has_a_bar_for_each_epoch_and_blanks_for_those_to_come() -> None:
    """The lowest value is the lowest bar, the highest the highest."""
    drawn = sparkline({1: 0.0, 2: 0.5, 3: 1.0}, 6, 40, (0.0, 1.0))

    assert drawn == "▁▅█   "


def test_epochs_that_are_not_known_are_blank() -> None:
    """A trial that goes on has told its first epochs to a driver that is gone."""
    assert sparkline({3: 1.0}, 4, 40, (0.0, 1.0)) == "  █ "


def test_a_long_curve_has_the_last_of_several_epochs_in_each_column() -> None:
    """Ten epochs in five columns: the second of each two."""
    curve = {epoch: float(epoch % 2 == 0) for epoch in range(1, 11)}

    assert sparkline(curve, 10, 5, (0.0, 1.0)) == "█████"


@given(
    curve=st.dictionaries(st.integers(1, 300), st.floats(-1, 2)),
    epochs=st.integers(1, 200),
    width=st.integers(1, 80),
    span=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_a_curve_is_never_wider_than_its_place(
    curve: dict[int, float], epochs: int, width: int, span: tuple[float, float]
) -> None:
    """Whatever the values, and whether or not they are in the span."""
    drawn = sparkline(curve, epochs, width, span)

    assert len(drawn) == min(width, epochs)
    assert set(drawn) <= {*BARS, " "}
