"""The study's record in MLflow: one parent run, and one child run for each trial.

The only file that knows MLflow. Everything here takes its time; recorder.py keeps the
loop from waiting for it.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mlflow.entities import Experiment as MlflowExperiment
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracking import MlflowClient

from sweep.config import Experiment
from sweep.databases import DatabaseError, tune_sqlite
from sweep.errors import StoreError, StoreUnavailable, first_line
from sweep.paths import (
    BEST_CHECKPOINT,
    CHECKPOINT,
    ENVIRONMENT,
    EXPERIMENT,
    FAILURE,
    sqlite_file,
)
from sweep.provenance import Commit
from sweep.trial import (
    EpochReport,
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
_PARENT = "mlflow.parentRunId"
_STUDY, _KIND, _TRIAL = "sweep.study", "sweep.kind", "sweep.trial"
_STATE, _ATTEMPT, _REASON = "sweep.state", "sweep.attempt", "sweep.reason"
_MAX_TAG = 5000  # characters; MLflow allows 8,000 bytes


@dataclass
class _TrialRun:
    """A trial's run, and how far its curves are known to MLflow already."""

    run: Run
    epoch: int = 0
    iteration: int = 0


@dataclass
class _Batch:
    """All that is to be written to one run at once."""

    params: list[Param] = field(default_factory=list)
    metrics: list[Metric] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    last: Event | None = None


@dataclass(frozen=True)
class RunIds:
    """Where a study is to be found in MLflow; None for what is not there."""

    experiment_id: str | None = None
    parent_run_id: str | None = None
    best_run_id: str | None = None


def read_runs(experiment: Experiment, best: int | None) -> RunIds:
    """Find a study's runs, without changing anything.

    Args:
        experiment: The experiment.
        best: The number of the study's best trial; None if there is none.

    Raises:
        StoreError: if MLflow cannot be reached, or the experiment was deleted there.
    """
    path = sqlite_file(experiment.mlflow.tracking_uri)
    if path is not None and not path.exists():
        return RunIds()
    try:
        client = MlflowClient(experiment.mlflow.tracking_uri)
        experiment_id = _find_experiment(client, experiment)
        if experiment_id is None:
            return RunIds()
        parent = _find_parent(client, experiment_id)
        of_best = _search(client, experiment_id, f"tags.`{_TRIAL}` = '{best}'")
        found = None if best is None else next(of_best, None)
    except (MlflowException, DatabaseError, OSError) as error:
        raise _cannot_open(experiment.mlflow.tracking_uri, error) from error
    return RunIds(experiment_id, _run_id(parent), _run_id(found))


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
        self._runs: dict[int, _TrialRun] = {}
        self._done = sum(summary.counts[s] for s in (State.COMPLETE, State.PRUNED))
        self._best = summary.best
        self._best_checkpoint: bytes | None = None
        try:
            self._client = MlflowClient(self._uri)
            found = _find_experiment(self._client, experiment)
            self._experiment_id = found or self._client.create_experiment(self._name)
            self._parent = self._open_parent(commit)
            self._adopt_children(states)
            self._put(self._parent, EXPERIMENT, experiment.to_yaml())
            lines = (f'  "{key}": "{value}"' for key, value in environment.items())
            self._put(self._parent, ENVIRONMENT, "{\n" + ",\n".join(lines) + "\n}\n")
        except (MlflowException, DatabaseError, OSError) as error:
            raise _cannot_open(self._uri, error) from error

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
            self._write_best(events)
        except (MlflowException, DatabaseError, OSError) as error:
            raise StoreUnavailable(
                f"MLflow at {self._uri}: {first_line(error)}"
            ) from error

    def close(self, status: str) -> None:
        """End the study's run.

        Args:
            status: MLflow's FINISHED, KILLED or FAILED.
        """
        if self._best_checkpoint is not None:
            self._put(self._parent, BEST_CHECKPOINT, self._best_checkpoint)
        self._client.set_terminated(self._parent.info.run_id, status)

    def _open_parent(self, commit: Commit | None) -> Run:
        tags = {_STUDY: self._name, _KIND: "study"}
        if commit is not None:
            tags |= {"mlflow.source.git.commit": commit.sha}
            tags |= {"sweep.git.dirty": str(commit.dirty).lower()}
        parent = _find_parent(self._client, self._experiment_id)
        if parent is None:
            return self._client.create_run(
                self._experiment_id, run_name=self._name, tags=tags
            )
        self._client.update_run(parent.info.run_id, status="RUNNING")
        new_tags = [RunTag(key, value) for key, value in tags.items()]
        self._client.log_batch(parent.info.run_id, tags=new_tags)
        return parent

    def _adopt_children(self, states: Mapping[int, State]) -> None:
        child_of_this = f"tags.`{_PARENT}` = '{self._parent.info.run_id}'"
        for status in ("RUNNING", "SCHEDULED"):
            filter_string = f"{child_of_this} and status = '{status}'"
            for run in _search(self._client, self._experiment_id, filter_string):
                number = int(run.data.tags[_TRIAL])
                # a run without a trial is what is left of a study that was deleted
                state = states.get(number, State.FAIL)
                self._set_state(run, state)
                if state is State.WAITING:
                    self._runs[number] = self._resumed(run)

    def _resumed(self, run: Run) -> _TrialRun:
        def last_step(key: str) -> int:
            history = self._client.get_metric_history(run.info.run_id, key)
            return max((metric.step for metric in history), default=0)

        return _TrialRun(run, last_step("val_accuracy"), last_step("loss"))

    def _write_trial(self, events: Sequence[Event]) -> None:
        number = events[0].number
        batch = _Batch()
        known = self._runs.get(number)
        for event in events:
            _fold(batch, event, known)
        if known is None:
            known = self._runs[number] = _TrialRun(self._create(events[0], batch))
        elif isinstance(events[0].said, TrialSpec):
            self._set_state(known.run, State.RUNNING)
        run_id = known.run.info.run_id
        if batch.params or batch.metrics or batch.tags:
            tags = [RunTag(key, value) for key, value in batch.tags.items()]
            self._client.log_batch(run_id, batch.metrics, batch.params, tags)
        if batch.last is not None:
            self._end(known, batch.last)

    def _create(self, event: Event, batch: _Batch) -> Run:
        tags = {_PARENT: self._parent.info.run_id, _STUDY: self._name, **batch.tags}
        tags |= {_KIND: "trial", _TRIAL: str(event.number)}
        batch.tags.clear()
        return self._client.create_run(
            self._experiment_id,
            start_time=event.time_ms,
            run_name=f"trial-{event.number:04d}",
            tags=tags,
        )

    def _end(self, trial: _TrialRun, event: Event) -> None:
        assert isinstance(event.said, TrialEnded)
        assert event.record is not None
        state, ended = event.record.state, event.said
        if state is State.FAIL and ended.reason:
            self._put(trial.run, FAILURE, ended.reason)
        if state.is_finished and ended.checkpoint is not None:
            self._put(trial.run, CHECKPOINT, ended.checkpoint)
        self._set_status(trial.run, state, event.time_ms)
        if state.is_finished:
            del self._runs[event.number]

    def _set_state(self, run: Run, state: State) -> None:
        self._client.set_tag(run.info.run_id, _STATE, state.value)
        self._set_status(run, state)

    def _set_status(self, run: Run, state: State, time_ms: int | None = None) -> None:
        if state.is_finished:
            self._client.set_terminated(run.info.run_id, _STATUS[state], time_ms)
        else:
            self._client.update_run(run.info.run_id, status=_STATUS[state])

    def _write_best(self, events: Iterable[Event]) -> None:
        """Log the best value so far against the number of finished trials."""
        metrics = []
        for event in events:
            record, ended = event.record, event.said
            if record is None or record.state not in (State.COMPLETE, State.PRUNED):
                continue
            self._done += 1
            if record.state is State.COMPLETE and _better(record, self._best):
                self._best = record
                assert isinstance(ended, TrialEnded)
                self._best_checkpoint = ended.checkpoint
            if self._best is not None and self._best.value is not None:
                best = self._best.value
                metrics.append(
                    Metric("best_val_accuracy", best, event.time_ms, self._done)
                )
        if metrics:
            self._client.log_batch(self._parent.info.run_id, metrics)

    def _put(self, run: Run, name: str, content: bytes | str) -> None:
        # straight to the run's own store: the client would look the run up each time
        artifacts = get_artifact_repository(run.info.artifact_uri, self._uri)
        path = PurePosixPath(name)
        folder = str(path.parent) if path.parent.name else None
        with tempfile.TemporaryDirectory() as temporary:
            local = Path(temporary) / path.name
            local.write_bytes(
                content if isinstance(content, bytes) else content.encode()
            )
            artifacts.log_artifact(str(local), folder)  # type: ignore[no-untyped-call]


def _fold(batch: _Batch, event: Event, known: _TrialRun | None) -> None:
    said, time_ms = event.said, event.time_ms
    if isinstance(said, TrialSpec):
        batch.tags |= {_STATE: State.RUNNING.value, _ATTEMPT: str(said.attempt)}
        if known is None:
            batch.params = [Param(k, str(v)) for k, v in said.hparams.items()]
            batch.params.append(Param("seed", str(said.seed)))
    elif isinstance(said, EpochReport):
        batch.metrics += _curve_points(said, time_ms, known)
    else:
        assert event.record is not None
        batch.last = event
        batch.tags[_STATE] = event.record.state.value
        if event.record.reason is not None:
            batch.tags[_REASON] = event.record.reason[-_MAX_TAG:]
        if event.record.state.is_finished:
            batch.metrics += _last_points(said, time_ms)


def _curve_points(
    report: EpochReport, time_ms: int, known: _TrialRun | None
) -> Iterator[Metric]:
    """The points of one epoch, but for those that an earlier attempt has written."""
    known_epoch, known_iteration = (known.epoch, known.iteration) if known else (0, 0)
    if report.epoch > known_epoch:
        for key in ("train_loss", "train_accuracy", "val_accuracy", "learning_rate"):
            yield Metric(key, getattr(report, key), time_ms, report.epoch)
    for iteration, loss in report.losses:
        if iteration > known_iteration:
            yield Metric("loss", loss, time_ms, iteration)


def _last_points(ended: TrialEnded, time_ms: int) -> Iterator[Metric]:
    epoch = ended.best_epoch or 0
    if ended.best_val_accuracy is not None:
        yield Metric("best_val_accuracy", ended.best_val_accuracy, time_ms, epoch)
        yield Metric("best_epoch", epoch, time_ms, epoch)
    yield Metric("seconds", ended.seconds, time_ms, epoch)


def _better(record: TrialRecord, best: TrialRecord | None) -> bool:
    if best is None or best.value is None or record.value is None:
        return True
    return (-record.value, record.number) < (-best.value, best.number)


def _cannot_open(uri: str, error: Exception) -> StoreError:
    return StoreError(
        f"mlflow.tracking_uri: found {uri}: MLflow cannot open it: "
        f"{first_line(error)}; allowed: sqlite:///FILE, "
        "postgresql+psycopg://USER@HOST/DATABASE or http://HOST:PORT"
    )


def _run_id(run: Run | None) -> str | None:
    return None if run is None else str(run.info.run_id)


def _find_experiment(client: MlflowClient, experiment: Experiment) -> str | None:
    found: MlflowExperiment | None = client.get_experiment_by_name(experiment.name)
    if found is not None and found.lifecycle_stage != "active":
        raise StoreError(
            f"mlflow.tracking_uri: {experiment.mlflow.tracking_uri}: the experiment "
            f"{experiment.name!r} was deleted there; what to do: restore it (mlflow "
            f"experiments restore --experiment-id {found.experiment_id}), or choose "
            "another name"
        )
    return None if found is None else str(found.experiment_id)


def _find_parent(client: MlflowClient, experiment_id: str) -> Run | None:
    studies = _search(client, experiment_id, f"tags.`{_KIND}` = 'study'")
    return next(studies, None)


def _search(
    client: MlflowClient, experiment_id: str, filter_string: str
) -> Iterator[Run]:
    token: str | None = None
    while True:
        page = client.search_runs([experiment_id], filter_string, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
