"""A driver's part in tracking: a log, and a tracker that reads it; whole sweeps."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fcnet.image_data import Data
from support import InProcessPool, make_objective, open_study
from sweep.budget import Budget
from sweep.event_log import EventLog, mark_sent
from sweep.experiment import Experiment
from sweep.opening import Opening
from sweep.provenance import Commit
from sweep.recorder import Recorder
from sweep.runner import Loop
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
    usual: dict[str, Any] = {"folder": folder, "states": {}, "summary": EMPTY}
    usual |= {"environment": {"python": "3"}, "commit": Commit("abc", True)}
    return Opening(**{**usual, **more})


def sweep_here(experiment: Experiment, data: Data) -> None:
    """A whole sweep in this very process, without Ray; its stores are real ones."""
    study = open_study(experiment)
    log = EventLog(study.folder)
    now = {"folder": study.folder, "states": study.states, "summary": study.summary()}
    tracker = Tracker(experiment, opening(experiment, **now))
    recorder = Recorder(log, tracker.send, print)
    pool = InProcessPool(make_objective(data))
    budget = Budget(experiment.trials, None, 5)
    Loop(study, pool, (recorder,), budget, time.monotonic).run(lambda: False)
    assert recorder.close()
    tracker.close("FINISHED")
    log.close()
    study.close()
