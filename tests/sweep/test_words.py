"""Numbers, times and reasons as people read them."""

import pytest

from sweep.words import assignment, duration, last_line, printable, rate


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1.0, "0 s"),
        (59.4, "59 s"),
        (60.0, "1 min 00 s"),
        (3599.6, "1 h 00 min"),
        (7260.0, "2 h 01 min"),
    ],
)
def test_a_duration_has_the_two_units_that_matter(seconds: float, text: str) -> None:
    """Rounded as a whole, so that there are never 60 of a unit."""
    assert duration(seconds) == text


def test_what_would_move_the_cursor_is_not_printed() -> None:
    """A library may colour its messages, or break their lines."""
    assert printable("\x1b[31mred\x1b[0m\r\nnext\a") == "[31mred [0m  next"


def test_a_traceback_is_told_by_its_last_line() -> None:
    """That is where it says what it was."""
    assert last_line("Traceback:\n  File\nKeyError: 5\n") == "KeyError: 5"
    assert last_line(None) == last_line(" ") == "no reason is known"


def test_small_rates_have_a_digit_more() -> None:
    """None is a dash."""
    assert [rate(value) for value in (None, 0.25, 9.94, 10.4)] == [
        "-",
        "0.2",
        "9.9",
        "10",
    ]


def test_settings_that_a_trial_does_not_have_are_left_out() -> None:
    """Momentum, say, of a rule without it."""
    assert assignment({"reg": 1.23456e-5, "hidden_dim": 8}, ("reg", "momentum")) == (
        "reg=1.23e-05"
    )
