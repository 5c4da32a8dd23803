"""A whole run, as the command line and Python start it: stores, Ray, the sweep."""

from contextlib import closing
from functools import partial

from rich.console import Console

from sweep.experiment import Experiment
from sweep.files import remove_folder
from sweep.interrupt import Interrupt, handlers_kept
from sweep.launch import launched
from sweep.stores import check_stores, is_missing, storage_address
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
        console.status("opening the stores") as starting,
        TrackerProcess(experiment) as tracker,
    ):
        if not fresh and _has_its_trials(experiment):
            return _end_again(experiment, tracker, console, interrupt)
        starting.update("starting Ray, its workers and the stores")
        with launched(experiment.ray.address) as nodes:
            from sweep.session import run_sweep  # imported while Ray started

            return run_sweep(
                experiment,
                nodes,
                tracker,
                console,
                interrupt,
                starting.stop,
                fresh=fresh,
            )


def _has_its_trials(experiment: Experiment) -> bool:
    """Whether the study has all the trials that are wanted."""
    if is_missing(storage_address(experiment)):
        return False  # found before Optuna is imported, while Ray has yet to start
    from sweep.summary import count_done

    return count_done(experiment) >= experiment.trials


def _end_again(
    experiment: Experiment,
    tracker: TrackerProcess,
    console: Console,
    interrupt: Interrupt,
) -> StudySummary:
    """End a study that has its trials, once both stores agree; nothing is trained."""
    from sweep.opened import open_stores

    say = partial(console.print, markup=False, soft_wrap=True)
    interrupt.listen()
    interrupt.trials_ended()
    tracker.check()
    study, log = open_stores(experiment, tracker, say)
    with closing(study), closing(log):
        say(
            f"no trial is begun: {experiment.trials} were wanted, and the study has "
            "them; --extend runs more"
        )
        tracker.close("FINISHED", None)
        tracker.draw(say)
        if not study.is_owed:
            remove_folder(study.folder)
        return study.summary()
