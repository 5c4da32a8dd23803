"""Numbers, times and reasons as people read them. Pure."""

import shlex
import time
from collections.abc import Iterable
from pathlib import Path

from sweep.trial import HParam, HParams


def short(value: HParam) -> str:
    """A setting's value with three digits at most."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def assignment(hparams: HParams, keys: Iterable[str]) -> str:
    """The settings of those keys that a trial has, as `key=value`."""
    return " ".join(f"{key}={short(hparams[key])}" for key in keys if key in hparams)


def accuracy(value: float | None) -> str:
    """An accuracy with four digits; a dash for none."""
    return "-" if value is None else f"{value:.4f}"


def rate(per_minute: float | None) -> str:
    """So many a minute: with a digit after the point while it is small."""
    if per_minute is None:
        return "-"
    return f"{per_minute:.1f}" if per_minute < 10 else f"{per_minute:.0f}"


def duration(seconds: float) -> str:
    """A time with the two units that matter."""
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def time_of_day(time_ms: int) -> str:
    """Hours, minutes and seconds where the reader is."""
    return time.strftime("%H:%M:%S", time.localtime(time_ms / 1000))


def run_command(file: Path, overrides: Iterable[str], *more: str) -> str:
    """What people type, into a shell, to run an experiment.

    Args:
        file: The YAML.
        overrides: `dotted.key=value` each.
        more: Further words.
    """
    settings = [word for override in overrides for word in ("--set", override)]
    words = ["python", "-m", "sweep", "run", str(file), *settings, *more]
    return shlex.join(words)


def printable(text: str) -> str:
    """A text on one line, without what would move a terminal's cursor."""
    return "".join(c if c.isprintable() else " " for c in text).strip()


def last_line(reason: str | None) -> str:
    """What a reason says in short: the last line of a traceback says what it was."""
    return printable((reason or "").strip().split("\n")[-1]) or "no reason is known"
