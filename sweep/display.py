"""What people see while a sweep runs, and after it. The only file that knows rich."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, cast

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sweep.experiment import Experiment
from sweep.trial import (
    EpochReport,
    HParam,
    HParams,
    Notice,
    State,
    StudySummary,
    TrialEnded,
    TrialRecord,
    TrialSpec,
)

_STYLES = {
    State.COMPLETE: "green",
    State.PRUNED: "yellow",
    State.FAIL: "red",
    State.WAITING: "cyan",
}


class Display:
    """A line for each trial that ends and, on a terminal, what runs now below them."""

    def __init__(
        self,
        experiment: Experiment,
        summary: StudySummary,
        console: Console,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with what the study says already.

        Args:
            experiment: The experiment that runs.
            summary: The trials of the study that have ended before.
            console: Where to print.
            clock: Seconds since any fixed moment.
        """
        self._experiment, self._console, self._clock = experiment, console, clock
        self._counts = dict(summary.counts)
        self._best = summary.best
        self._began = clock()
        self._ended = 0
        self._running: dict[int, TrialSpec] = {}
        self._reports: dict[int, EpochReport] = {}
        self._live = Live(console=console, get_renderable=self._render, transient=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def say(self, message: str) -> None:
        """Print a line of its own: a warning, what happens next."""
        self._console.print(Text(message), soft_wrap=True)

    def noticed(self, notice: Notice) -> None:
        """Print what a worker has to say."""
        self.say(notice.text)

    def started(self, spec: TrialSpec) -> None:
        """Show that an attempt begins."""
        self._running[spec.number] = spec

    def reported(self, report: EpochReport) -> None:
        """Show an epoch."""
        self._reports[report.number] = report

    def ended(self, ended: TrialEnded, record: TrialRecord) -> None:
        """Print how a trial ended."""
        self._running.pop(ended.number, None)
        self._reports.pop(ended.number, None)
        if record.state.is_finished:
            self._ended += 1
            self._counts[record.state] += 1
        if record.state is State.COMPLETE and _value(record) > _value(self._best):
            self._best = record
        self._console.print(
            self._line(ended, record),
            no_wrap=self._console.is_terminal,
            overflow="ellipsis" if self._console.is_terminal else "ignore",
            crop=self._console.is_terminal,
        )

    @property
    def _done(self) -> int:
        return self._counts[State.COMPLETE] + self._counts[State.PRUNED]

    def _line(self, ended: TrialEnded, record: TrialRecord) -> Text:
        accuracy = "  -   " if record.value is None else f"{record.value:.4f}"
        line = Text(f"trial {ended.number:04d}  ")
        line.append(f"{record.state.value:<8}", _STYLES.get(record.state, ""))
        line.append(f"  {accuracy}  {ended.seconds:6.1f} s  ")
        if record.reason is not None:
            # the last line of a traceback says what it was
            line.append(record.reason.strip().split("\n")[-1] + "  ", "red")
        return line.append(self._settings(record.hparams), "dim")

    def _settings(self, hparams: HParams) -> str:
        space = self._experiment.space
        return " ".join(f"{k}={_short(hparams[k])}" for k in space if k in hparams)

    def _render(self) -> RenderableType:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for column in ("trial", "epoch", "accuracy"):
            # wide enough for 1000/1000, however long the settings are
            table.add_column(column, justify="right", no_wrap=True, min_width=9)
        table.add_column("settings", no_wrap=True, overflow="ellipsis", style="dim")
        for number, spec in self._running.items():
            report = self._reports.get(number)
            epochs = f"{report.epoch if report else 0}/{spec.hparams['num_epochs']}"
            accuracy = f"{report.val_accuracy:.4f}" if report else "-"
            settings = self._settings(spec.hparams)
            table.add_row(f"{number:04d}", epochs, accuracy, settings)
        return Group(self._headline(), table)

    def _headline(self) -> Text:
        line = Text(f"{self._experiment.name}  ", "bold", no_wrap=True)
        line.append(f"{self._done}/{self._experiment.trials} trials", "bold")
        if self._best is not None:
            line.append(f"  best {_value(self._best):.4f} (trial {self._best.number})")
        elapsed = self._clock() - self._began
        line.append(f"  {_duration(elapsed)}", "dim")
        if self._ended:
            left = max(self._experiment.trials - self._done, 0)
            seconds = elapsed / self._ended * left
            if self._experiment.study.timeout is not None:
                seconds = min(seconds, self._experiment.study.timeout - elapsed)
            line.append(f", about {_duration(seconds)} left", "dim")
        return line


def summary_table(
    experiment: Experiment, summary: StudySummary, rows: int = 10
) -> Table:
    """The best trials of a study, best first."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for column in ("trial", "state", "accuracy", "epoch"):
        table.add_column(column, justify="right", no_wrap=True)
    for key in experiment.space:
        table.add_column(key, justify="right", overflow="fold")
    for record in summary.ranking[:rows]:
        searched = [_short(record.hparams.get(key, "-")) for key in experiment.space]
        state = Text(record.state.value, _STYLES[record.state])
        accuracy, epoch = f"{_value(record):.4f}", str(record.epoch or "-")
        table.add_row(f"{record.number:04d}", state, accuracy, epoch, *searched)
    return table


def settings_lines(experiment: Experiment) -> Table:
    """Every setting of model and solver: its value, or what it is searched over."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for key, value in experiment.settings.items():
        searched = key in experiment.space
        shown = str(value) if searched else _short(cast(HParam, value))
        table.add_row(key, shown, "searched" if searched else "fixed")
    return table


def inputs_line(experiment: Experiment) -> str:
    """How images become inputs: the data's settings by their names in the YAML."""
    flip = "true" if experiment.data.flip else "false"
    return f"normalize: {experiment.data.normalize}, flip: {flip}"


def counts_line(summary: StudySummary) -> str:
    """How many trials are in each state, but for the states without any."""
    counts = ((state.value, summary.counts[state]) for state in State)
    return ", ".join(f"{n} {state}" for state, n in counts if n) or "no trials yet"


def _value(record: TrialRecord | None) -> float:
    return float("-inf") if record is None or record.value is None else record.value


def _short(value: HParam) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
