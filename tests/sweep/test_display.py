"""What people read: on a terminal of 80 columns, and in a file."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from support import make_ended, make_experiment, make_record, make_report, make_spec
from sweep.display import Display, counts_line, summary_table
from sweep.experiment import Experiment
from sweep.trial import Ending, State, StudySummary, TrialRecord

EMPTY = StudySummary(dict.fromkeys(State, 0), ())


def console(is_terminal: bool) -> Console:
    return Console(
        file=io.StringIO(), width=80, force_terminal=is_terminal, color_system=None
    )


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    return make_experiment(tmp_path, "study.trials=10")


def test_without_a_terminal_each_trial_is_one_plain_line(
    experiment: Experiment,
) -> None:
    """State, accuracy, seconds and the searched settings, however long the line."""
    out = console(is_terminal=False)
    with Display(experiment, EMPTY, out) as display:
        display.started(make_spec(7))
        display.reported(make_report(7))
        display.ended(make_ended(7, seconds=2.5), make_record(7, value=0.5))

    assert printed(out) == (
        "trial 0007  COMPLETE  0.5000     2.5 s  hidden_dim=8 learning_rate=0.1\n"
    )


def test_a_failed_trial_s_line_has_the_last_line_of_its_reason(
    experiment: Experiment,
) -> None:
    """That is where a traceback says what it was."""
    out = console(is_terminal=False)
    record = TrialRecord(
        3, State.FAIL, None, None, make_spec().hparams, "Traceback:\n  ...\nKeyError: 5"
    )
    with Display(experiment, EMPTY, out) as display:
        display.ended(make_ended(3, Ending.FAILED, None), record)

    assert "trial 0003  FAIL        -   " in printed(out)
    assert "KeyError: 5" in printed(out)
    assert "Traceback" not in printed(out)


def test_a_terminal_shows_what_runs_and_how_long_it_may_take(tmp_path: Path) -> None:
    """Trials done, the best, time gone and left; one line for each running trial.

    Settings too long for the line are cut, and nothing else is.
    """
    searched = ("model.weight_scale={float: [0.1, 1]}", "model.reg={float: [0, 1]}")
    experiment = make_experiment(tmp_path, "study.trials=10", *searched)
    out = console(is_terminal=True)
    now = 0.0
    display = Display(experiment, EMPTY, out, clock=lambda: now)
    display.started(make_spec(0))
    display.ended(make_ended(0), make_record(0, value=0.5))
    display.started(make_spec(1))
    display.reported(make_report(1, epoch=2, accuracy=0.25))
    now = 60.0
    out.print(display._render())

    lines = [line.rstrip() for line in printed(out).splitlines()]
    assert (
        "digits  1/10 trials  best 0.5000 (trial 0)  1 min 00 s, about 9 min 00 s left"
        in lines
    )
    assert any(
        line.startswith("     0001        2/3     0.2500  hidden_dim=8")
        for line in lines
    )
    assert all(len(line) <= 80 for line in lines)


def test_the_table_of_the_best_fits_80_columns(tmp_path: Path) -> None:
    """Four searched settings with the longest names there are, unbroken."""
    searched = (
        "model.weight_scale={float: [1e-4, 1e-1]}",
        "model.reg={float: [1e-7, 1e-2]}",
    )
    experiment = make_experiment(tmp_path, *searched)
    hparams = make_spec(
        hidden_dim=1024, weight_scale=1.23456e-4, reg=1.5e-7, learning_rate=0.0123
    ).hparams
    record = TrialRecord(12, State.COMPLETE, 0.53216, 17, hparams, None)
    counts = {**dict.fromkeys(State, 0), State.COMPLETE: 1}
    out = console(is_terminal=False)
    out.print(summary_table(experiment, StudySummary(counts, (record,))))

    head, row = printed(out).splitlines()
    for name in experiment.space:
        assert name in head
    assert row.split() == [
        "0012",
        "COMPLETE",
        "0.5322",
        "17",
        "1024",
        "0.000123",
        "1.5e-07",
        "0.0123",
    ]


def test_counts_leave_out_what_is_not_there() -> None:
    """An empty study says so."""
    counts = {**EMPTY.counts, State.COMPLETE: 3, State.FAIL: 1}

    assert counts_line(StudySummary(counts, ())) == "3 COMPLETE, 1 FAIL"
    assert counts_line(EMPTY) == "no trials yet"
