"""Draws a sweep on a terminal of any size: exactly as many lines as it has."""

import textwrap
from collections.abc import Sequence

from rich.text import Text

from sweep.live.head import head
from sweep.live.layout import BEST, HEAD, divide
from sweep.live.lines import line
from sweep.live.picture import Picture, Standing, Warned
from sweep.live.sections import best, ended, lanes
from sweep.words import time_of_day

_WARNING_LINES = 3  # of one warning at most; it is told in full in the end


def draw(
    picture: Picture,
    width: int,
    height: int,
    *,
    standing: Standing | None = None,
    is_ascii: bool = False,
) -> list[Text]:
    """Draw all that there is room for.

    Args:
        picture: What is known.
        width: Columns of the terminal.
        height: Its lines.
        standing: Told instead of times and pace, where nobody runs the sweep.
        is_ascii: Whether the terminal knows no other characters.

    Returns:
        A text for each line; none is wider than the terminal.
    """
    warned = [_wrapped(warning, width) for warning in picture.warnings]
    filled = sum(map(len, warned))
    first = head(picture, width, standing, is_ascii)
    room = height - (len(first) - HEAD)
    rows = divide(room, len(picture.lanes), min(BEST, picture.wanted), filled)
    above = [
        *first,
        *lanes(picture, rows.lanes, width, is_ascii),
        *best(picture, rows.best, width),
        *ended(picture, rows.ended),
    ]
    below = _newest(warned, rows.warnings)
    free = max(height - len(below), 0)
    empty = [line() for _ in range(free - len(above))]
    lines = [*above[:free], *empty, *below][:height]
    for text in lines:
        text.truncate(width)
    return lines


def _wrapped(warned: Warned, width: int) -> list[str]:
    times = f" ({warned.times} times)" if warned.times > 1 else ""
    text = f"{time_of_day(warned.time_ms)}  {warned.text}{times}"
    lines = textwrap.wrap(text, max(width, 20), subsequent_indent=" " * 10)
    return lines[:_WARNING_LINES]


def _newest(warned: Sequence[list[str]], rows: int) -> list[Text]:
    """What fits of the warnings, the newest at the bottom; it is never left out."""
    shown: list[str] = []
    for lines in warned:
        if shown and len(shown) + len(lines) > rows:
            break
        shown = [*lines, *shown][:rows]
    return [line((text, "yellow")) for text in shown]
