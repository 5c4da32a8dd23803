"""What a job runs, on the cluster's head: its packed experiment, once that can be."""

import os
import signal
import sys
from functools import partial
from pathlib import Path
from types import FrameType

from rich.console import Console

from sweep.commands import print_summary
from sweep.conduct import conduct
from sweep.config import load
from sweep.experiment import Experiment
from sweep.interrupt import Interrupt
from sweep.jobs.package import EXPERIMENT, VERSIONS
from sweep.jobs.preflight import check_cluster
from sweep.jobs.versions import from_json
from sweep.jobs.words import CHECKED, ENDED, STOPPED
from sweep.paths import sqlite_file
from sweep.stores import tracking_address


def run_job(*, fresh: bool) -> int:
    """Run the experiment that lies in the current folder; returns the exit code.

    Args:
        fresh: Whether a study of this name is set aside, and the next one begun.

    Raises:
        UsageError: if the cluster cannot run it; nothing was started.
        SweepError: if the sweep cannot go on.
    """
    console = Console(highlight=False, markup=False)
    interrupt = Interrupt(console.print)
    signal.signal(signal.SIGTERM, partial(_end, interrupt))
    try:
        code = _run(console, interrupt, fresh=fresh)
    except SystemExit:  # before the sweep listens to signals: nothing has begun
        code = 128 + signal.SIGTERM
    finally:
        _say(ENDED)
    if code > 128:
        _say(STOPPED)
    return code


def _run(console: Console, interrupt: Interrupt, *, fresh: bool) -> int:
    experiment = load(Path(EXPERIMENT).absolute())
    check_cluster(experiment, from_json(Path(VERSIONS).read_text()))
    _say(CHECKED)
    folder = lasting_folder(experiment)
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    summary = conduct(experiment, console, interrupt, fresh=fresh)
    print_summary(console, experiment, summary)
    return interrupt.exit_code or 0


def lasting_folder(experiment: Experiment) -> Path:
    """Where the sweep runs: beside MLflow's database, or in the study's folder.

    With a database, MLflow puts artifacts into the current folder; the job's own is
    thrown away.
    """
    file = sqlite_file(tracking_address(experiment))
    return Path(experiment.study.folder) if file is None else file.parent


def _end(interrupt: Interrupt, _number: int, _frame: FrameType | None) -> None:
    if not interrupt.is_over:
        raise SystemExit


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
