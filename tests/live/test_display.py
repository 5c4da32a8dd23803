"""The listener: a view on a terminal, and a plain line for each trial elsewhere."""

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from support import make_ended, make_experiment, make_record, make_report, make_spec
from sweep.experiment import Experiment
from sweep.live.display import Display
from sweep.trial import Ending, Notice, State, TrialRecord

LINE = "trial 0007  COMPLETE  0.5000     2.5 s  hidden_dim=8 learning_rate=0.1\n"
LEAVES = "\x1b[?1049l"


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    return make_experiment(tmp_path, "study.trials=10")


def console(
    is_terminal: bool, term: str = "xterm", quiet: bool = False, no_color: bool = False
) -> Console:
    return Console(
        file=io.StringIO(),
        width=80,
        height=24,
        force_terminal=is_terminal,
        _environ={"TERM": term},
        quiet=quiet,
        no_color=no_color,
    )


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def run_one(display: Display) -> None:
    """A trial from start to end, and a worker's notice."""
    display.started(make_spec(7))
    display.reported(make_report(7))
    display.ended(make_ended(7, seconds=2.5), make_record(7, value=0.5))
    display.noticed(Notice("a worker is replaced"))


def test_without_a_terminal_each_trial_is_one_plain_line(
    experiment: Experiment,
) -> None:
    """State, accuracy, seconds and the searched settings, however long the line."""
    out = console(is_terminal=False)
    with Display(experiment, out) as display:
        run_one(display)

    assert printed(out) == LINE + "a worker is replaced\n"


def test_a_failed_trial_s_line_has_the_last_line_of_its_reason(
    experiment: Experiment,
) -> None:
    """That is where a traceback says what it was."""
    out = console(is_terminal=False)
    record = TrialRecord(
        3, State.FAIL, None, None, make_spec().hparams, "Traceback:\n  ...\nKeyError: 5"
    )
    with Display(experiment, out) as display:
        display.ended(make_ended(3, Ending.FAILED, None), record)

    assert "trial 0003  FAIL        -   " in printed(out)
    assert "KeyError: 5" in printed(out)
    assert "Traceback" not in printed(out)


def test_a_terminal_that_cannot_move_its_cursor_gets_plain_lines(
    experiment: Experiment,
) -> None:
    """TERM=dumb: an editor's shell, say."""
    out = console(is_terminal=True, term="dumb")
    with Display(experiment, out) as display:
        run_one(display)

    assert printed(out) == LINE + "a worker is replaced\n"


def test_a_quiet_console_shows_nothing(experiment: Experiment) -> None:
    """Neither the view nor what a worker has to say."""
    out = console(is_terminal=True, quiet=True)
    with Display(experiment, out) as display:
        run_one(display)

    assert printed(out) == ""


def test_warnings_outlive_the_view(experiment: Experiment) -> None:
    """What was said in it stands on the terminal's own screen when it has gone.

    So does what a library wrote to standard error, which would have been painted over.
    """
    out = console(is_terminal=True)
    with Display(experiment, out) as display:
        run_one(display)
        sys.stderr.write("beware\n")

    drawn, _, rest = printed(out).rpartition(LEAVES)
    assert "trial 0007" not in rest
    assert [text.split("  ", 1)[1] for text in rest.splitlines()] == [
        "a worker is replaced",
        "beware",
    ]
    assert "ended last" in drawn


def test_without_colours_the_view_has_none(experiment: Experiment) -> None:
    """NO_COLOR leaves bold and dim."""
    with_colours, without = (console(True, no_color=no) for no in (False, True))
    for out in (with_colours, without):
        with Display(experiment, out) as display:
            run_one(display)
            display._live.refresh()  # type: ignore[union-attr]

    green = "\x1b[32m"
    assert green in printed(with_colours)
    assert green not in printed(without)
