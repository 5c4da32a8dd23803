"""What is printed once: on a terminal of 80 columns, and in a file."""

import io
from pathlib import Path

from rich.console import Console

from support import make_experiment, make_spec
from sweep.live.tables import counts_line, summary_table
from sweep.trial import State, StudySummary, TrialRecord

EMPTY = StudySummary(dict.fromkeys(State, 0), ())


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
    out = io.StringIO()
    Console(file=out, width=80, color_system=None).print(
        summary_table(experiment, StudySummary(counts, (record,)))
    )

    head, row = out.getvalue().splitlines()
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
