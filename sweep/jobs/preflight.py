"""What only the cluster can know: whether its head has all that a sweep needs.

It is the first thing that the job does, in the very process that would run the sweep:
what holds here holds for the sweep, no second job has to find its way to the same
node, and there is one log to read and one exit code.
"""

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from sweep.data import find_data
from sweep.databases import check_answers, check_sqlite
from sweep.errors import SweepError, UsageError
from sweep.experiment import Experiment
from sweep.jobs.places import relative_folders, relative_stores
from sweep.jobs.versions import differences, versions
from sweep.paths import sqlite_file
from sweep.tracking_process import TrackerProcess
from sweep.variables import filled

_DOWNLOADED = ("cifar10", "fashion_mnist", "mnist")


def check_cluster(experiment: Experiment, submitted: Mapping[str, str]) -> None:
    """Find out whether the sweep can run here, without changing anything.

    Args:
        experiment: What is to be run.
        submitted: Versions of the machine where it was submitted, by name.

    Raises:
        UsageError: naming all that is in the way.
    """
    problems = [
        *differences(submitted, versions()),
        *_stores(experiment),
        *relative_folders(experiment),
        *_folder(experiment),
        *_data(experiment),
    ]
    if not problems and experiment.mlflow.tracking_uri.startswith("http"):
        problems += _told(_check_mlflow, experiment)
    if problems:
        raise UsageError(
            f"the cluster cannot run this; found on {socket.gethostname()}, where the "
            "job's driver is:\n" + "\n".join(problems)
        )


def _stores(experiment: Experiment) -> Iterator[str]:
    for key, address in experiment.stores.items():
        yield from _told(_check_store, key, address)


def _check_store(key: str, address: str) -> None:
    own = filled(key, address)
    for problem in relative_stores({key: own}):
        raise UsageError(problem)
    path = sqlite_file(own)
    if path is not None:
        _check_lasting(key, path)
        check_sqlite(key, own)
    elif not own.startswith("http"):
        check_answers(key, own, shown=address)


def _folder(experiment: Experiment) -> Iterator[str]:
    yield from _told(_check_writable, "study.folder", Path(experiment.study.folder))


def _data(experiment: Experiment) -> Iterator[str]:
    data, root = experiment.data, Path(experiment.data.root)
    is_found, sentence = find_data(experiment)
    if is_found or not root.is_absolute():
        return
    if data.dataset in _DOWNLOADED:
        yield from _told(_check_writable, "data.root", root)
    else:
        yield f"data: {sentence}; what to do: copy it there, or name where it lies"


def _check_writable(key: str, folder: Path) -> None:
    if not folder.is_absolute():
        return  # told by relative_folders
    _check_lasting(key, folder)
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        reason = "may not be written" if there.is_dir() else "is no folder"
        raise UsageError(
            f"{key}: found {folder}: {there} {reason}; what to do: name a folder that "
            "the cluster's user may write"
        )


def _check_lasting(key: str, path: Path) -> None:
    if path.resolve().is_relative_to(Path.cwd().resolve()):
        raise UsageError(
            f"{key}: found {path}: that is in the job's own folder, which goes with "
            "the job; what to do: name one that stays"
        )


def _check_mlflow(experiment: Experiment) -> None:
    with TrackerProcess(experiment) as tracker:
        tracker.check()


def _told(check: Callable[..., None], *of: object) -> list[str]:
    """The problem that a check raises, if it does."""
    try:
        check(*of)
    except SweepError as error:
        return [str(error)]
    return []
