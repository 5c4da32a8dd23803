"""A whole run, as the command line and Python start it: stores, Ray, the sweep."""

from rich.console import Console

from sweep.databases import check_sqlite
from sweep.experiment import Experiment
from sweep.interrupt import Interrupt, handlers_kept
from sweep.launch import launched
from sweep.tracking_process import TrackerProcess
from sweep.trial import StudySummary


def conduct(
    experiment: Experiment,
    console: Console,
    interrupt: Interrupt,
    *,
    fresh: bool = False,
) -> StudySummary:
    """Run an experiment until it has its trials, or is interrupted.

    Args:
        experiment: What to run.
        console: Where people look.
        interrupt: Watched while trials run; they then end with their epoch.
        fresh: Whether a study of this name is set aside, and the next one begun.

    Returns:
        What the study says in the end.

    Raises:
        SweepError: with a message for people; see errors.py.
    """
    check_stores(experiment)
    with (
        handlers_kept(),
        console.status("starting Ray, its workers and the stores") as starting,
        TrackerProcess(experiment) as tracker,
        launched(experiment.ray.address) as resources,
    ):
        from sweep.session import run_sweep  # imported while Ray started

        return run_sweep(
            experiment,
            resources,
            tracker,
            console,
            interrupt,
            starting.stop,
            fresh=fresh,
        )


def check_stores(experiment: Experiment) -> None:
    """Find out whether stores that are SQLite files can be written, making none.

    Raises:
        StoreError: naming key, file and reason.
    """
    check_sqlite("study.storage", experiment.study.storage)
    check_sqlite("mlflow.tracking_uri", experiment.mlflow.tracking_uri)
