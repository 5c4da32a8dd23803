"""A study as it lies in its stores and its folder: read again and again, never changed.

What its log says is exact and cheap to read. Where there is none, on another machine
or once the sweep is complete, the study's database says less: no times, no workers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sweep.event_log import log_bytes, read_events
from sweep.experiment import Experiment
from sweep.lease import Holder, Lease, this_driver
from sweep.paths import sqlite_file, sweep_folder
from sweep.storage import find_study, open_storage, reading, study_key
from sweep.summary import to_events
from sweep.trial import Event


@dataclass(frozen=True)
class Glance:
    """A study at one moment.

    Attributes:
        key: What tells it from others of its name.
        holder: Whose name stands in it; None if nobody's.
    """

    key: str
    holder: Holder | None


class StoredStudy:
    """An experiment's study."""

    def __init__(self, experiment: Experiment) -> None:
        """Open nothing yet: that would make a file that is not there.

        Args:
            experiment: The experiment.
        """
        self._experiment, self._url = experiment, experiment.study.storage
        self._driver = this_driver()

    @cached_property
    def _storage(self) -> Any:
        return open_storage(self._url)

    def glance(self) -> Glance | None:
        """The study as it is now; None if there is none yet.

        Raises:
            StoreError: The storage cannot be opened.
            StoreUnavailable: It does not answer; it may come back.
        """
        path = sqlite_file(self._url)
        if path is not None and not path.exists():
            return None
        with reading(self._url):
            study_id = find_study(self._storage, self._experiment.name)
            if study_id is None:
                return None
            holder = Lease(self._storage, study_id, self._driver).look()
            return Glance(study_key(self._storage, study_id), holder)

    def events(self, now_ms: int) -> list[Event]:
        """All that the database has of the study's trials, in order of time.

        Args:
            now_ms: The time, in milliseconds since 1970.

        Raises:
            StoreUnavailable: It does not answer; it may come back.
        """
        with reading(self._url):
            study_id = find_study(self._storage, self._experiment.name)
            trials = [] if study_id is None else self._storage.get_all_trials(study_id)
        told = (to_events(self._experiment, trial, now_ms) for trial in trials)
        return sorted((e for events in told for e in events), key=_time)


class StoredLog:
    """What is new in the log of a sweep, if it is on this machine."""

    def __init__(self, experiment: Experiment, key: str) -> None:
        """Begin at the log's beginning.

        Args:
            experiment: The experiment.
            key: What tells its study from others of its name.
        """
        parent = experiment.study.folder
        self._folder: Path = sweep_folder(parent, experiment.name, key)
        self._place = 0

    @property
    def is_there(self) -> bool:
        """Whether there is a log."""
        return log_bytes(self._folder) is not None

    def news(self) -> Iterator[Event]:
        """Events since the last call.

        Raises:
            SweepFailed: A line of the log is no event.
        """
        if (log_bytes(self._folder) or 0) < self._place:
            self._place = 0  # its driver has begun it anew
        for event, place in read_events(self._folder, self._place):
            self._place = place
            yield event


def _time(event: Event) -> int:
    return event.time_ms
