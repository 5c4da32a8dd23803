"""How the lines of a terminal are divided. Pure."""

from typing import NamedTuple

HEAD = 3  # lines above everything
BEST = 10  # trials in the list of the best
_SECTION = 2  # lines of a section beside its rows: a blank one and its heading


class Rows(NamedTuple):
    """Rows for each section, its heading left out.

    Attributes:
        lanes: For the trials in training.
        best: For the best trials.
        ended: For the trials that ended last.
        warnings: For lines of warnings.
    """

    lanes: int
    best: int
    ended: int
    warnings: int


def divide(height: int, lanes: int, best: int, warnings: int) -> Rows:
    """Divide a terminal's lines.

    Warnings come first, but for no more than an eighth. Lanes and the best share the
    rest, lanes getting half of it at least; what both leave shows what ended last.

    Args:
        height: Lines there are.
        lanes: Lanes that would like a row.
        best: Rows that the best may need one day, so that nothing moves when they do.
        warnings: Lines that warnings would fill.
    """
    warned = min(warnings, max(2, height // 8))
    rest = height - HEAD - 2 * _SECTION - (warned + 1 if warned else 0)
    rest = max(rest, 0)
    for_lanes = min(lanes, max(rest - best, (rest + 1) // 2))
    for_best = min(best, rest - for_lanes)
    left = rest - for_lanes - for_best
    return Rows(for_lanes, for_best, max(left - _SECTION, 0), warned)
