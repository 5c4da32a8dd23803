"""What a job runs, on the cluster's head: its packed experiment, once that can be."""

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from sweep import commands
from sweep.config import load
from sweep.experiment import Experiment
from sweep.jobs.package import EXPERIMENT, VERSIONS
from sweep.jobs.preflight import check_cluster
from sweep.jobs.versions import from_json
from sweep.jobs.words import CHECKED, STOPPED
from sweep.paths import sqlite_file
from sweep.variables import filled


def run_job(*, fresh: bool) -> int:
    """Run the experiment that lies in the current folder; returns the exit code.

    Args:
        fresh: Whether a study of this name is set aside, and the next one begun.

    Raises:
        UsageError: if the cluster cannot run it; nothing was started.
    """
    signal.signal(signal.SIGTERM, _end)
    file = Path(EXPERIMENT).absolute()
    try:
        experiment = load(file)
        check_cluster(experiment, from_json(Path(VERSIONS).read_text()))
        _say(CHECKED)
        folder = lasting_folder(experiment)
        folder.mkdir(parents=True, exist_ok=True)
        os.chdir(folder)
        code = commands.run(file, [], as_json=False, fresh=fresh)
    except SystemExit:  # a signal, before the sweep listens to them: nothing has begun
        code = 128 + signal.SIGTERM
    if code > 128:
        _say(STOPPED)
    return code


def lasting_folder(experiment: Experiment) -> Path:
    """Where the sweep runs: beside MLflow's database, or in the study's folder.

    With a database, MLflow puts artifacts into the current folder; the job's own is
    thrown away.
    """
    key = "mlflow.tracking_uri"
    file = sqlite_file(filled(key, experiment.stores[key]))
    return Path(experiment.study.folder) if file is None else file.parent


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
