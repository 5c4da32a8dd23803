"""The lines above everything: how far the sweep is, how fast, and when it ends."""

import textwrap

from rich.text import Text

from sweep.live.lines import STYLES, line
from sweep.live.picture import Picture, Standing
from sweep.trial import State
from sweep.words import duration, rate

_WIDEST_BAR, _SHORTEST_BAR = 40, 8  # columns


def head(
    picture: Picture, width: int, standing: Standing | None, is_ascii: bool
) -> list[Text]:
    """Three lines; more where a long command is told.

    Args:
        picture: What is known.
        width: Columns of the terminal.
        standing: Told instead of times and pace, if not None.
        is_ascii: Whether the terminal knows no other characters.
    """
    first = line((picture.name, "bold"), f"  {picture.done} of {picture.wanted} trials")
    for state in (State.COMPLETE, State.PRUNED, State.FAIL):
        if picture.counts[state]:
            first.append(f"  {picture.counts[state]} {state.value}", STYLES[state])
    _append_bar(first, picture, width, is_ascii)
    if standing is None:
        return [first, line(_times(picture)), line(_paces(picture))]
    below = [(text, "yellow") for text in textwrap.wrap(standing.text, width)]
    below += [(text, "") for text in _pasteable(standing.command, width)]
    return [first, *(line(part) for part in below)]


def _pasteable(command: str, width: int) -> list[str]:
    """A command on several lines, which a shell takes as one."""
    lines = textwrap.wrap(
        command, width - 4, break_long_words=False, break_on_hyphens=False
    )
    return [f"  {text} \\" for text in lines[:-1]] + [
        f"  {text}" for text in lines[-1:]
    ]


def _append_bar(text: Text, picture: Picture, width: int, is_ascii: bool) -> None:
    share = min(picture.done / picture.wanted, 1.0)
    percent = f" {100 * share:3.0f} %"
    room = min(_WIDEST_BAR, width - text.cell_len - 2 - len(percent))
    if room < _SHORTEST_BAR:
        return
    full = round(share * room)
    done, rest = ("=", "-") if is_ascii else ("━", "─")
    text.append("  " + done * full, "green").append(rest * (room - full), "dim")
    text.append(percent)


def _times(picture: Picture) -> str:
    gone = f"{duration(picture.elapsed_s)} gone"
    if picture.eta is None:
        return gone
    if not picture.eta.by_timeout:
        return f"{gone}, about {duration(picture.eta.seconds)} left"
    if picture.eta.seconds == 0:
        return f"{gone}; the time is up: what is in training is the last"
    return f"{gone}, {duration(picture.eta.seconds)} left until the timeout"


def _paces(picture: Picture) -> str:
    trials, epochs = picture.trials_per_minute, picture.epochs_per_minute
    text = f"{rate(trials)} trials/min   {rate(epochs)} epochs/min"
    if picture.use is None:
        return text
    plural = "" if picture.use.workers == 1 else "s"
    busy = f"{picture.use.workers} worker{plural} busy {picture.use.busy:.0%}"
    return f"{text}   {busy} of the time"
