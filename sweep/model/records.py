"""What MLflow keeps of a study beside its trials: read, and written."""

import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from sweep.artifacts import Artifacts
from sweep.checkpoint import Checkpoint, read_checkpoint
from sweep.databases import DatabaseError, tune_sqlite
from sweep.errors import ModelError, StoreError
from sweep.experiment import Experiment
from sweep.model.best import Best
from sweep.paths import CHECKPOINT
from sweep.runs import (
    KIND,
    PARENT,
    SAME_AS,
    STUDY,
    cannot_open,
    find_child,
    id_of,
    search,
)
from sweep.stores import is_missing, tracking_address


@dataclass(frozen=True)
class Record:
    """Something to be kept with a run.

    Attributes:
        artifact: The name of its JSON file.
        content: What is in that file.
        metrics: Points as (name, step, value).
        tags: By name.
        params: By name.
    """

    artifact: str
    content: Mapping[str, Any]
    metrics: tuple[tuple[str, int, float], ...]
    tags: Mapping[str, str]
    params: Mapping[str, Any] | None = None


class Records:
    """A study's runs in MLflow, beyond what its sweep writes there."""

    def __init__(self, experiment: Experiment) -> None:
        """Open the store; makes none.

        Raises:
            StoreError: There is none, or MLflow cannot open it.
        """
        tune_sqlite()
        self._uri = experiment.mlflow.tracking_uri
        address = tracking_address(experiment)
        if is_missing(address):
            raise StoreError(
                f"mlflow.tracking_uri: found {self._uri}: no such file; what to do: "
                "run the experiment first, from the same folder"
            )
        with self.reaching():
            self.client = MlflowClient(address, registry_uri=address)
        self._artifacts = Artifacts(address)

    @contextmanager
    def reaching(self) -> Iterator[None]:
        """Turn what MLflow raises into the error for a store that does not answer."""
        try:
            yield
        except (MlflowException, DatabaseError, OSError) as error:
            raise cannot_open(self._uri, error) from error

    def parent(self, best: Best) -> Run:
        """The study's run.

        Raises:
            ModelError: MLflow has none.
            StoreError: It does not answer.
        """
        if best.parent_run_id is None:
            raise missing(best, "the study's run")
        with self.reaching():
            return self.client.get_run(best.parent_run_id)

    def checkpoint(self, best: Best) -> Checkpoint:
        """The checkpoint of the best trial, which has a run.

        Raises:
            ModelError: MLflow has none.
            StoreError: It does not answer.
        """
        assert best.run_id is not None
        with self.reaching(), tempfile.TemporaryDirectory() as folder:
            trained = self._trained(self.client.get_run(best.run_id))
            if not self._artifacts.has(id_of(trained), CHECKPOINT):
                raise missing(best, f"the checkpoint of trial {best.trial.number}")
            path = self._artifacts.fetch(id_of(trained), CHECKPOINT, folder)
            return read_checkpoint(path)

    def read(self, run: Run, artifact: str) -> Any:
        """The content of a JSON file of a run; None if there is no such file."""
        with self.reaching(), tempfile.TemporaryDirectory() as folder:
            if not self._artifacts.has(id_of(run), artifact):
                return None
            path = self._artifacts.fetch(id_of(run), artifact, folder)
            return json.loads(path.read_text())

    def write(self, run: Run, record: Record) -> None:
        """Keep a record with a run; its tags, by which it is found, come last."""
        now, text = int(time.time() * 1000), json.dumps(record.content, indent=2)
        metrics = [Metric(key, value, now, step) for key, step, value in record.metrics]
        params = [Param(key, str(v)) for key, v in (record.params or {}).items()]
        tags = [RunTag(key, value) for key, value in record.tags.items()]
        with self.reaching():
            self._artifacts.put_text(id_of(run), record.artifact, text + "\n")
            self.client.log_batch(run.info.run_id, metrics, params, tags)

    def nested(self, best: Best, tags: Mapping[str, str]) -> list[Run]:
        """The runs below the study's that have these tags."""
        parent = self.parent(best)
        wanted = {PARENT: parent.info.run_id, **tags}
        own = " and ".join(f"tags.`{key}` = '{text}'" for key, text in wanted.items())
        with self.reaching():
            return list(search(self.client, parent.info.experiment_id, own))

    def write_nested(self, best: Best, name: str, record: Record) -> None:
        """Keep a record as a run of its own below the study's, and end that run."""
        parent = self.parent(best)
        tags = {PARENT: parent.info.run_id, STUDY: best.name, KIND: record.tags[KIND]}
        of = parent.info.experiment_id
        with self.reaching():
            run = self.client.create_run(of, tags=tags, run_name=name)
        status = "FAILED"
        try:
            self.write(run, record)
            status = "FINISHED"
        finally:
            with self.reaching():
                self.client.set_terminated(run.info.run_id, status)

    def _trained(self, run: Run) -> Run:
        """The run of the trial that was trained, where another took over its result."""
        same_as = run.data.tags.get(SAME_AS)
        if same_as is None:
            return run
        of = run.info.experiment_id, run.data.tags[PARENT], int(same_as)
        return find_child(self.client, *of) or run


def missing(best: Best, what: str) -> ModelError:
    """The error for something of a study that MLflow does not have."""
    return ModelError(
        f"{best.name}: MLflow does not have {what}; what to do: if the sweep runs, "
        "wait a moment; else run it again, which sends what is not sent yet"
    )
