"""A driver's part in tracking: a log, and a tracker that reads it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sweep.event_log import EventLog, mark_sent
from sweep.experiment import Experiment
from sweep.opening import Opening
from sweep.provenance import Commit
from sweep.tracking import Tracker
from sweep.trial import Event, State, StudySummary

EMPTY = StudySummary(dict.fromkeys(State, 0), (), "the-study")


class Driver:
    """A driver's log and its tracker."""

    def __init__(self, experiment: Experiment, opening: Opening) -> None:
        self._folder = opening.folder
        self.log = EventLog(opening.folder)
        self.tracker = Tracker(experiment, opening)

    def write(self, events: Sequence[Event]) -> None:
        """Take events down, and send what is new."""
        for event in events:
            self.log.append(event)
        self.tracker.send()

    def write_again(self) -> None:
        """Send all that is in the log, as if nobody knew that it was sent."""
        mark_sent(self._folder, 0)
        self.tracker.send()

    def close(self, status: str) -> None:
        self.tracker.close(status)
        self.log.close()


def open_tracker(experiment: Experiment, **states: State) -> Driver:
    """A driver of a study whose trials are in the given states, as `t3=...`."""
    numbered = {int(key[1:]): state for key, state in states.items()}
    return Driver(experiment, opening(experiment, states=numbered))


def opening(experiment: Experiment, **more: Any) -> Opening:
    folder = Path(experiment.study.folder)
    usual: dict[str, Any] = {"states": {}, "summary": EMPTY}
    usual |= {"environment": {"python": "3"}, "commit": Commit("abc", True)}
    return Opening(folder=folder, **{**usual, **more})
