"""Both stores of a study, opened and brought to where they agree."""

from collections.abc import Callable

from sweep.event_log import EventLog, read_events
from sweep.experiment import Experiment
from sweep.opening import Opening
from sweep.provenance import environment, git_commit
from sweep.study import OptunaStudy
from sweep.tracking_process import TrackerProcess


def open_stores(
    experiment: Experiment,
    tracker: TrackerProcess,
    say: Callable[[str], None],
    *,
    fresh: bool = False,
) -> tuple[OptunaStudy, EventLog]:
    """Open both stores, and have each make up for what a crash has cost it.

    Args:
        experiment: Whose stores they are.
        tracker: Not opened yet.
        say: Prints a line for people.
        fresh: Whether a study of this name is set aside, and the next one begun.

    Returns:
        The study and its log, for the caller to close.

    Raises:
        SweepError: if a store cannot be opened, or another driver runs the study.
    """
    study = OptunaStudy(experiment, say, fresh=fresh)
    try:
        log = EventLog(study.folder)
        study.recover(event.said for event, _ in read_events(study.folder))
        opening = Opening(
            folder=study.folder,
            states=study.states,
            summary=study.summary(),
            environment=environment(),
            commit=git_commit(),
            former=study.former,
        )
        if tracker.open(opening):
            say(
                "MLflow had nothing of this study: its runs are made again from what "
                "Optuna has of them, without losses and checkpoints"
            )
            tracker.rebuild(study.past())
    except BaseException:
        study.close()
        raise
    return study, log
