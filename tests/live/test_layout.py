"""How the lines of a terminal are divided."""

from hypothesis import given
from hypothesis import strategies as st

from sweep.live.layout import BEST, HEAD, Rows, divide


def test_24_lines_hold_four_lanes_the_ten_best_and_what_ended_last() -> None:
    """On two cores, with two lanes each."""
    assert divide(24, lanes=4, best=10, warnings=0) == Rows(4, 10, 1, 0)


def test_24_lines_hold_a_part_of_64_lanes_and_a_part_of_the_best() -> None:
    """Warnings have no more than an eighth."""
    rows = divide(24, lanes=64, best=10, warnings=40)

    assert rows.warnings == 3
    assert rows.lanes >= 6
    assert rows.best >= 5


@given(
    height=st.integers(0, 100),
    lanes=st.integers(0, 100),
    best=st.integers(0, BEST),
    warnings=st.integers(0, 100),
)
def test_sections_never_need_more_lines_than_there_are(
    height: int, lanes: int, best: int, warnings: int
) -> None:
    """From where there is room for their headings on."""
    rows = divide(height, lanes, best, warnings)

    assert min(rows) >= 0
    needed = HEAD + 2 + rows.lanes + 2 + rows.best
    needed += rows.ended + 2 if rows.ended else 0
    needed += rows.warnings + 1 if rows.warnings else 0
    assert needed <= max(height, HEAD + 4 + 3)
