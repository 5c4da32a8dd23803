"""The sections of the view: trials in training, the best ones, those that ended."""

from collections.abc import Callable, Iterable, Sequence

from rich.text import Text

from sweep.live.lines import STYLES, Column, columns, ended_line, line
from sweep.live.picture import Lane, Picture
from sweep.live.sparkline import ASCII_BARS, BARS, sparkline
from sweep.trial import TrialRecord
from sweep.words import accuracy, assignment, short

_WIDEST_CURVE = 40  # columns
_BESIDE_CURVE = 48  # columns of a lane's line that are not its curve


def lanes(picture: Picture, rows: int, width: int, is_ascii: bool) -> list[Text]:
    """A heading, and a row for each lane; the last one counts those without a row."""
    shown: Sequence[Lane | None] = picture.lanes
    more = ""
    if len(shown) > rows:
        busy = [lane for lane in picture.lanes if lane is not None]
        shown = busy[: max(rows - 1, 0)]
        more = f"and {len(busy) - len(shown)} more"
    lines = [line(), *columns(_lane_columns(picture, shown, width, is_ascii), width)]
    return [*lines, line((more.rjust(11), "dim"))] if more and rows else lines


def best(picture: Picture, rows: int, width: int) -> list[Text]:
    """A heading, and a row for each of the best trials."""
    records = picture.best[:rows]
    empty = [line()] * (rows - len(records))
    # one blank, and the longest names of a two-layer net fit into 80 columns
    shown = columns(_best_columns(records, picture.keys), width, gap=1)
    return [line(), *shown, *empty]


def ended(picture: Picture, rows: int) -> list[Text]:
    """A heading, and what ended last; nothing at all without rows."""
    if not rows:
        return []
    shown = [ended_line(end, picture.keys) for end in picture.ended[:rows]]
    return [line(), line(("ended last", "dim")), *shown]


def _lane_columns(
    picture: Picture, shown: Sequence[Lane | None], width: int, is_ascii: bool
) -> list[Column]:
    span = _span([v for lane in picture.lanes if lane for v in lane.curve.values()])
    room = max(min(_WIDEST_CURVE, width - _BESIDE_CURVE), 8)
    bars = ASCII_BARS if is_ascii else BARS

    def cells(show: Callable[[Lane], str], style: str = "") -> list[Text]:
        return [Text(show(lane) if lane else "", style) for lane in shown]

    def curve(lane: Lane) -> str:
        return sparkline(lane.curve, lane.epochs, room, span, bars)

    latest = cells(lambda lane: accuracy(lane.curve.get(lane.epoch)))
    settings = cells(lambda lane: assignment(lane.hparams, picture.keys), "dim")
    return [
        Column("in training", cells(lambda lane: f"{lane.number:04d}")),
        Column("epoch", cells(lambda lane: f"{lane.epoch}/{lane.epochs}"), width=7),
        Column("accuracy", latest),
        Column("by epoch", cells(curve, "cyan"), width=room, is_left=True),
        Column("worker:lane", cells(_where), width=11, is_left=True, is_cut=True),
        Column("settings", settings, is_left=True, is_cut=True),
    ]


def _span(values: Sequence[float]) -> tuple[float, float]:
    """What the lowest and the highest bar stand for, in all curves alike.

    The lowest tenth counts as one: else the first epochs would make the rest look flat.
    """
    ordered = sorted(values) or [0.0]
    return ordered[len(ordered) // 10], ordered[-1]


def _where(lane: Lane) -> str:
    """Such as `node/0:3`; the number of worker and lane tells more than a long name."""
    node, _, number = lane.worker.rpartition("/")
    return f"{node[:9]}/{number}:{lane.place}" if lane.worker else ""


def _best_columns(records: Sequence[TrialRecord], keys: Iterable[str]) -> list[Column]:
    states = [Text(record.state.value, STYLES[record.state]) for record in records]

    def cells(show: Callable[[TrialRecord], str]) -> list[Text]:
        return [Text(show(record)) for record in records]

    first = [
        Column("best", cells(lambda record: f"{record.number:04d}"), width=6),
        Column("state", states, width=8),
        Column("accuracy", cells(lambda record: accuracy(record.value))),
        Column("epoch", cells(lambda record: str(record.epoch or "-"))),
    ]
    return [*first, *(_setting_column(records, key) for key in keys)]


def _setting_column(records: Sequence[TrialRecord], key: str) -> Column:
    values = (short(record.hparams.get(key, "-")) for record in records)
    return Column(key, [Text(value) for value in values])
