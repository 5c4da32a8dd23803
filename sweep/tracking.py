"""The study's record in MLflow: one parent run, and one child run for each trial.

Knows MLflow, as the files do that it stands on. It reads what happened from the sweep's
log, in a process of its own; recorder.py keeps the loop from waiting for it.
"""

import shutil
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from sweep.artifacts import Artifacts
from sweep.batch import Batch, fold, fold_past
from sweep.databases import DatabaseError, tune_sqlite
from sweep.errors import StoreUnavailable, first_line
from sweep.event_log import mark_sent, read_events, sent
from sweep.experiment import Experiment
from sweep.notes import trial_note
from sweep.opening import Opening
from sweep.paths import (
    CHECKPOINT,
    FAILURE,
    PLOTS,
    checkpoint_file,
    text_without_passwords,
    without_password,
)
from sweep.run_writers import RunId, make_run_writer
from sweep.runs import (
    KIND,
    NOTE,
    PARENT,
    STATE,
    STUDY,
    TRIAL,
    cannot_open,
    find_child,
    find_experiment,
    id_of,
    open_children,
)
from sweep.stores import tracking_address
from sweep.study_run import DONE, StudyRun, nothing_yet
from sweep.trial import Event, PastTrial, State, TrialEnded, TrialSpec

_AT_ONCE = 500  # events that are written in one go
_STATUS = {
    State.WAITING: "SCHEDULED",
    State.RUNNING: "RUNNING",
    State.COMPLETE: "FINISHED",
    State.PRUNED: "KILLED",
    State.FAIL: "FAILED",
}


class Tracker:
    """The runs of one study, opened by its one driver.

    Attributes:
        is_missing_runs: Whether MLflow had nothing of a study that has trials.
    """

    def __init__(self, experiment: Experiment, opening: Opening) -> None:
        """Open the study's run, and bring MLflow to where the study is.

        What a former driver has left in the log is sent; runs that are open although
        their trials are not get their trials' states.

        Args:
            experiment: The experiment; its name is the MLflow experiment's.
            opening: The study.

        Raises:
            StoreError: if MLflow cannot be reached, or refuses the experiment.
        """
        tune_sqlite()
        self._uri, self._name = experiment.mlflow.tracking_uri, experiment.name
        self._experiment = experiment
        address = tracking_address(experiment)
        self._folder, self._artifacts = opening.folder, Artifacts(address)
        left = [event for event, _ in read_events(self._folder, sent(self._folder))]
        self._maybe_there = {event.number for event in left}
        try:
            self._client = MlflowClient(address)
            found = find_experiment(self._client, experiment)
            self._experiment_id = found or self._client.create_experiment(self._name)
            of = self._client, self._artifacts, self._experiment_id
            self._study = StudyRun(*of, experiment, opening)
            self._study.stand_before(opening.summary, left)
            self._writer = make_run_writer(self._client, self._experiment_id)
            self._runs = self._find_open()
            done_before = sum(self._study.progress.counts[s] for s in DONE)
            self.is_missing_runs = self._study.is_new and done_before > 0
            self.send()
            self._adopt_states(opening.states)
            self._writer.commit()
        except (MlflowException, DatabaseError, OSError) as error:
            raise cannot_open(self._uri, error) from error

    def send(self) -> None:
        """Write what is new in the log, in one batch for each run; safe to repeat.

        Raises:
            StoreUnavailable: if MLflow does not take it now.
        """
        news = read_events(self._folder, sent(self._folder))
        while batch := list(islice(news, _AT_ONCE)):
            self._write([event for event, _ in batch])
            mark_sent(self._folder, batch[-1][1])
            for event, _ in batch:
                if isinstance(event.said, TrialEnded):
                    own = self._checkpoint(event.said).parent
                    shutil.rmtree(own, ignore_errors=True)

    def rebuild(self, past: Sequence[PastTrial]) -> None:
        """Make the runs of finished trials from what the study knows of them.

        What only MLflow had, their losses and checkpoints, is not to be had any more.

        Args:
            past: Every finished trial.

        Raises:
            StoreUnavailable: if MLflow does not take it now.
        """
        self._study.progress = nothing_yet(self._study.progress.study)
        left = iter(past)
        while batch := list(islice(left, _AT_ONCE)):
            events: list[Event] = []
            for trial in batch:
                events.append(Event(trial.began_ms, trial.spec))
                events.append(Event(trial.ended_ms, trial.ended, trial.record))
            self._write(events, {trial.spec.number: trial for trial in batch})

    def close(self, status: str, utilisation: float | None = None) -> None:
        """End the study's run.

        Args:
            status: MLflow's FINISHED, KILLED or FAILED.
            utilisation: The share of the computed lane-epochs that were of use.

        Raises:
            StoreUnavailable: if MLflow does not take it now.
        """
        try:
            self._study.close(status, utilisation)
        except (MlflowException, DatabaseError, OSError) as error:
            raise self._unavailable(error) from error

    def put_plots(self, plots: Mapping[str, bytes]) -> None:
        """Keep plots with the study's run, in place of earlier ones, and show them.

        Args:
            plots: PNGs by name.

        Raises:
            StoreUnavailable: if MLflow does not take them now.
        """
        try:
            for name, content in plots.items():
                file = f"{PLOTS}/{name}.png"
                self._artifacts.put_bytes(self._study.run, file, content)
            self._study.describe(plots=True)
        except (MlflowException, DatabaseError, OSError) as error:
            raise self._unavailable(error) from error

    def _write(
        self, events: Sequence[Event], past: Mapping[int, PastTrial] | None = None
    ) -> None:
        trials: dict[int, list[Event]] = {}
        for event in events:
            trials.setdefault(event.number, []).append(event)
        try:
            for number, own in trials.items():
                self._write_trial(own, None if past is None else past[number])
            progress = self._study.write(events, self._writer)
            self._writer.commit()
            # only now: what is written a second time starts from the same point
            self._study.advance(progress)
        except (MlflowException, DatabaseError, OSError) as error:
            raise self._unavailable(error) from error
        for event in events:
            if event.record is not None and event.record.state.is_finished:
                self._runs.pop(event.number, None)

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        uri = without_password(self._uri)
        problem = text_without_passwords(first_line(error))
        return StoreUnavailable(f"MLflow at {uri}: {problem}")

    def _find_open(self) -> dict[int, RunId]:
        """The runs of trials that have not ended, by the trials' numbers."""
        of = self._client, self._experiment_id, self._study.run.run_id
        return {int(run.data.tags[TRIAL]): id_of(run) for run in open_children(*of)}

    def _adopt_states(self, states: Mapping[int, State]) -> None:
        for number, run in list(self._runs.items()):
            # a run without a trial is what is left of trials that were deleted
            state = states.get(number, State.FAIL)
            self._writer.log(run.run_id, (), (), {STATE: state.value})
            self._set_status(run, state, int(time.time() * 1000))
            if state.is_finished:
                del self._runs[number]

    def _write_trial(self, events: Sequence[Event], past: PastTrial | None) -> None:
        number, batch = events[0].number, Batch()
        for event in events:
            fold(batch, event)
        if past is not None:
            fold_past(batch, past)
        run = self._runs.get(number) or self._look_for(number)
        if run is None:
            run = self._create(events[0], batch)
        elif isinstance(events[0].said, TrialSpec):
            self._set_status(run, State.RUNNING, events[0].time_ms)
        self._runs[number] = run
        batch.tags |= self._note(batch)
        self._writer.log(run.run_id, batch.metrics, batch.params, batch.tags)
        if batch.last is not None:
            self._end(run, batch.last)

    def _note(self, batch: Batch) -> Mapping[str, str]:
        last = batch.last
        if last is None or last.record is None or not isinstance(last.said, TrialEnded):
            return {}
        return {NOTE: trial_note(self._experiment, last.record, last.said.same_as)}

    def _look_for(self, number: int) -> RunId | None:
        """The run of a trial, if there may be one that is not known here."""
        if number not in self._maybe_there:
            return None
        of = self._client, self._experiment_id, self._study.run.run_id
        found = find_child(*of, number)
        return None if found is None else id_of(found)

    def _create(self, event: Event, batch: Batch) -> RunId:
        tags = {PARENT: self._study.run.run_id, STUDY: self._name, **batch.tags}
        tags |= {KIND: "trial", TRIAL: str(event.number)}
        # a server may do as it is told, and be gone before it says so
        self._maybe_there.add(event.number)
        run = self._writer.create(f"trial-{event.number:04d}", event.time_ms, tags)
        self._maybe_there.discard(event.number)
        return run

    def _end(self, run: RunId, event: Event) -> None:
        assert isinstance(event.said, TrialEnded)
        assert event.record is not None
        state, ended = event.record.state, event.said
        if state is State.FAIL and ended.reason:
            self._artifacts.put_text(run, FAILURE, ended.reason)
        checkpoint = self._checkpoint(ended)
        if state.is_finished and checkpoint.exists():
            self._artifacts.put_file(run, CHECKPOINT, checkpoint)
        self._set_status(run, state, event.time_ms)

    def _checkpoint(self, ended: TrialEnded) -> Path:
        return checkpoint_file(self._folder, ended.number, ended.attempt)

    def _set_status(self, run: RunId, state: State, time_ms: int) -> None:
        ended = time_ms if state.is_finished else None
        self._writer.set_status(run.run_id, _STATUS[state], ended)
