"""Text of one line each, and columns of such."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.text import Text

from sweep.live.picture import Ended
from sweep.trial import State
from sweep.words import assignment, last_line

STYLES = {
    State.COMPLETE: "green",
    State.PRUNED: "yellow",
    State.FAIL: "red",
    State.WAITING: "cyan",
}
_SHORTEST = 12  # of a column that may be cut


@dataclass(frozen=True)
class Column:
    """A column of cells below its title.

    Attributes:
        title: What stands above.
        cells: From top to bottom.
        width: Characters at least.
        is_left: Whether cells begin, instead of end, at the same place.
        is_cut: Whether it takes what is left of the line, and is cut there.
    """

    title: str
    cells: Sequence[Text]
    width: int = 0
    is_left: bool = False
    is_cut: bool = False


def line(*parts: str | tuple[str, str]) -> Text:
    """A text that is cut, not wrapped, at the terminal's edge."""
    return Text.assemble(*parts, no_wrap=True, overflow="crop")


def columns(wanted: Iterable[Column], width: int, gap: int = 2) -> list[Text]:
    """As many columns as the width has room for: their titles, then their rows."""
    lines: list[Text] = []
    left = width
    for column in wanted:
        cells = [Text(column.title, "dim"), *column.cells]
        lines = lines or [line() for _ in cells]
        wide = max(column.width, *(cell.cell_len for cell in cells))
        wide = min(wide, left) if column.is_cut and left >= _SHORTEST else wide
        if wide > left:
            break
        for text, cell in zip(lines, cells, strict=True):
            cell.truncate(wide)
            blanks = " " * (wide - cell.cell_len)
            text.append_text(cell if column.is_left else Text(blanks) + cell)
            text.append((blanks if column.is_left else "") + " " * gap)
        left -= wide + gap
    for text in lines:
        text.truncate(width)
    return lines


def ended_line(ended: Ended, keys: Iterable[str]) -> Text:
    """How an attempt ended: state, accuracy, seconds, reason, searched settings."""
    said, record = ended.said, ended.record
    value = "  -   " if record.value is None else f"{record.value:.4f}"
    text = line(f"trial {said.number:04d}  ")
    text.append(f"{record.state.value:<8}", STYLES.get(record.state, ""))
    text.append(f"  {value}  {said.seconds:6.1f} s  ")
    if record.reason is not None:
        text.append(last_line(record.reason) + "  ", "red")
    return text.append(assignment(record.hparams, keys), "dim")
