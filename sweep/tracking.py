"""The study's record in MLflow: one parent run, and one child run for each trial.

Knows MLflow, as runs.py, run_writers.py and batch.py do beside it. Everything here
takes its time; recorder.py keeps the loop from waiting for it.
"""

import json
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from mlflow.entities import Metric, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracking import MlflowClient

from sweep.batch import Batch, TrialRun, fold
from sweep.databases import DatabaseError, tune_sqlite
from sweep.errors import StoreUnavailable, first_line
from sweep.experiment import Experiment
from sweep.paths import (
    BEST_CHECKPOINT,
    CHECKPOINT,
    ENVIRONMENT,
    EXPERIMENT,
    FAILURE,
)
from sweep.provenance import Commit
from sweep.run_writers import RunId, make_run_writer
from sweep.runs import (
    KIND,
    PARENT,
    STATE,
    STUDY,
    TRIAL,
    cannot_open,
    find_experiment,
    find_parent,
    search,
)
from sweep.trial import (
    Event,
    State,
    StudySummary,
    TrialEnded,
    TrialRecord,
    TrialSpec,
)

_STATUS = {
    State.WAITING: "SCHEDULED",
    State.RUNNING: "RUNNING",
    State.COMPLETE: "FINISHED",
    State.PRUNED: "KILLED",
    State.FAIL: "FAILED",
}
_DONE = (State.COMPLETE, State.PRUNED)


@dataclass(frozen=True)
class _Progress:
    """The study so far: finished trials, the best of them, and its checkpoint."""

    done: int
    best: TrialRecord | None
    checkpoint: bytes | None = None


class Tracker:
    """The runs of one study, opened by its one driver."""

    def __init__(
        self,
        experiment: Experiment,
        states: Mapping[int, State],
        summary: StudySummary,
        environment: Mapping[str, str],
        commit: Commit | None,
    ) -> None:
        """Open the study's run, and bring runs left open to their trials' states.

        Args:
            experiment: The experiment; its name is the MLflow experiment's.
            states: The state of every trial of the study, by number.
            summary: What the study says.
            environment: Versions by name, kept as an artifact.
            commit: The git commit; None if unknown.

        Raises:
            StoreError: if MLflow cannot be reached, or refuses the experiment.
        """
        tune_sqlite()
        self._uri = experiment.mlflow.tracking_uri
        self._name = experiment.name
        self._runs: dict[int, TrialRun] = {}
        done = sum(summary.counts[s] for s in (State.COMPLETE, State.PRUNED))
        self._progress = _Progress(done, summary.best)
        try:
            self._client = MlflowClient(self._uri)
            found = find_experiment(self._client, experiment)
            self._experiment_id = found or self._client.create_experiment(self._name)
            self._parent = self._open_parent(commit)
            self._writer = make_run_writer(self._client, self._experiment_id)
            self._adopt_children(states)
            self._put(self._parent, EXPERIMENT, experiment.to_yaml())
            versions = json.dumps(dict(environment), indent=2)
            self._put(self._parent, ENVIRONMENT, versions + "\n")
            self._writer.commit()
        except (MlflowException, DatabaseError, OSError) as error:
            raise cannot_open(self._uri, error) from error

    def write(self, events: Sequence[Event]) -> None:
        """Write what happened, in one batch for each run; safe to repeat.

        Raises:
            StoreUnavailable: if MLflow does not take it now.
        """
        trials: dict[int, list[Event]] = {}
        for event in events:
            trials.setdefault(event.number, []).append(event)
        try:
            for own in trials.values():
                self._write_trial(own)
            progress = self._write_best(events)
            self._writer.commit()
        except (MlflowException, DatabaseError, OSError) as error:
            raise StoreUnavailable(
                f"MLflow at {self._uri}: {first_line(error)}"
            ) from error
        # only now: what is written a second time starts from the same point
        self._progress = progress
        for event in events:
            if event.record is not None and event.record.state.is_finished:
                self._runs.pop(event.number, None)

    def close(self, status: str, utilisation: float | None = None) -> None:
        """End the study's run.

        Args:
            status: MLflow's FINISHED, KILLED or FAILED.
            utilisation: The share of the computed lane-epochs that were of use.
        """
        if utilisation is not None:
            self._client.log_metric(self._parent.run_id, "utilisation", utilisation)
        if self._progress.checkpoint is not None:
            self._put(self._parent, BEST_CHECKPOINT, self._progress.checkpoint)
        self._client.set_terminated(self._parent.run_id, status)

    def _open_parent(self, commit: Commit | None) -> RunId:
        tags = {STUDY: self._name, KIND: "study"}
        if commit is not None:
            tags |= {"mlflow.source.git.commit": commit.sha}
            tags |= {"sweep.git.dirty": str(commit.dirty).lower()}
        parent = find_parent(self._client, self._experiment_id)
        if parent is None:
            return _id_of(
                self._client.create_run(
                    self._experiment_id, run_name=self._name, tags=tags
                )
            )
        self._client.update_run(parent.info.run_id, status="RUNNING")
        new_tags = [RunTag(key, value) for key, value in tags.items()]
        self._client.log_batch(parent.info.run_id, tags=new_tags)
        return _id_of(parent)

    def _adopt_children(self, states: Mapping[int, State]) -> None:
        child_of_this = f"tags.`{PARENT}` = '{self._parent.run_id}'"
        for status in ("RUNNING", "SCHEDULED"):
            filter_string = f"{child_of_this} and status = '{status}'"
            for run in search(self._client, self._experiment_id, filter_string):
                number = int(run.data.tags[TRIAL])
                # a run without a trial is what is left of a study that was deleted
                state = states.get(number, State.FAIL)
                self._set_state(_id_of(run), state)
                if state is State.WAITING:
                    self._runs[number] = self._resumed(run)

    def _resumed(self, run: Run) -> TrialRun:
        def last_step(key: str) -> int:
            history = self._client.get_metric_history(run.info.run_id, key)
            return max((metric.step for metric in history), default=0)

        return TrialRun(_id_of(run), last_step("val_accuracy"), last_step("loss"))

    def _write_trial(self, events: Sequence[Event]) -> None:
        number = events[0].number
        batch = Batch()
        known = self._runs.get(number)
        for event in events:
            fold(batch, event, known)
        if known is None:
            known = self._runs[number] = TrialRun(self._create(events[0], batch))
        elif isinstance(events[0].said, TrialSpec):
            self._set_state(known.run, State.RUNNING)
        self._writer.log(known.run.run_id, batch.metrics, batch.params, batch.tags)
        if batch.last is not None:
            self._end(known, batch.last)

    def _create(self, event: Event, batch: Batch) -> RunId:
        tags = {PARENT: self._parent.run_id, STUDY: self._name, **batch.tags}
        tags |= {KIND: "trial", TRIAL: str(event.number)}
        batch.tags.clear()
        name = f"trial-{event.number:04d}"
        return self._writer.create(name, event.time_ms, tags)

    def _end(self, trial: TrialRun, event: Event) -> None:
        assert isinstance(event.said, TrialEnded)
        assert event.record is not None
        state, ended = event.record.state, event.said
        if state is State.FAIL and ended.reason:
            self._put(trial.run, FAILURE, ended.reason)
        if state.is_finished and ended.checkpoint is not None:
            self._put(trial.run, CHECKPOINT, ended.checkpoint)
        self._set_status(trial.run, state, event.time_ms)

    def _set_state(self, run: RunId, state: State) -> None:
        self._writer.log(run.run_id, (), (), {STATE: state.value})
        self._set_status(run, state, int(time.time() * 1000))

    def _set_status(self, run: RunId, state: State, time_ms: int) -> None:
        ended = time_ms if state.is_finished else None
        self._writer.set_status(run.run_id, _STATUS[state], ended)

    def _write_best(self, events: Iterable[Event]) -> _Progress:
        """Log the best value so far against the number of finished trials."""
        progress, metrics = self._progress, []
        for event in events:
            if event.record is None or event.record.state not in _DONE:
                continue
            progress = _advance(progress, event, event.record)
            if progress.best is not None and progress.best.value is not None:
                value, done = progress.best.value, progress.done
                metrics.append(Metric("best_val_accuracy", value, event.time_ms, done))
        if metrics:
            self._writer.log(self._parent.run_id, metrics, (), {})
        return progress

    def _put(self, run: RunId, name: str, content: bytes | str) -> None:
        # straight to the run's own store: the client would look the run up each time
        artifacts = get_artifact_repository(run.artifact_uri, self._uri)
        path = PurePosixPath(name)
        folder = str(path.parent) if path.parent.name else None
        with tempfile.TemporaryDirectory() as temporary:
            local = Path(temporary) / path.name
            local.write_bytes(
                content if isinstance(content, bytes) else content.encode()
            )
            artifacts.log_artifact(str(local), folder)  # type: ignore[no-untyped-call]


def _advance(progress: _Progress, event: Event, record: TrialRecord) -> _Progress:
    done = progress.done + 1
    if record.state is State.COMPLETE and _better(record, progress.best):
        assert isinstance(event.said, TrialEnded)
        return _Progress(done, record, event.said.checkpoint)
    return replace(progress, done=done)


def _id_of(run: Run) -> RunId:
    return RunId(run.info.run_id, run.info.artifact_uri)


def _better(record: TrialRecord, best: TrialRecord | None) -> bool:
    if best is None or best.value is None or record.value is None:
        return True
    return (-record.value, record.number) < (-best.value, best.number)
