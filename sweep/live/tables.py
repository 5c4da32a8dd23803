"""What a study found, what an experiment asks for: to be printed once."""

from typing import cast

from rich.table import Table
from rich.text import Text

from sweep.experiment import Experiment
from sweep.live.lines import STYLES
from sweep.trial import HParam, State, StudySummary
from sweep.words import accuracy, short


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
        searched = [short(record.hparams.get(key, "-")) for key in experiment.space]
        state = Text(record.state.value, STYLES[record.state])
        value, epoch = accuracy(record.value), str(record.epoch or "-")
        table.add_row(f"{record.number:04d}", state, value, epoch, *searched)
    return table


def settings_lines(experiment: Experiment) -> Table:
    """Every setting of model and solver: its value, or what it is searched over."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for key, value in experiment.settings.items():
        searched = key in experiment.space
        shown = str(value) if searched else short(cast(HParam, value))
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
