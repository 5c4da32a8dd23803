"""A study's two stores, read with their own clients: Optuna's and MLflow's."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import optuna
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from optuna.trial import FrozenTrial
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

STATUS = {
    "WAITING": "SCHEDULED",
    "RUNNING": "RUNNING",
    "COMPLETE": "FINISHED",
    "PRUNED": "KILLED",
    "FAIL": "FAILED",
}
SPACE = {"hidden_dim", "learning_rate"}

# SQLite files; databases of PostgreSQL; PostgreSQL and an MLflow server
STORES = ("sqlite", "postgresql", "servers")


@dataclass(frozen=True)
class Stores:
    """Where the sweep of an experiment in `folder` keeps what it finds."""

    folder: Path
    storage: str
    tracking_uri: str
    name: str = "digits"

    @classmethod
    def in_files(cls, folder: Path) -> "Stores":
        """What a sweep that is told nothing makes in its folder."""
        sqlite = f"sqlite:///{folder}"
        return cls(folder, f"{sqlite}/optuna.db", f"{sqlite}/mlflow.db")

    @property
    def overrides(self) -> tuple[str, ...]:
        """What the sweep is to be told, beyond its YAML."""
        if self == Stores.in_files(self.folder):
            return ()
        return (
            f"name={self.name}",
            f"study.storage={self.storage}",
            f"mlflow.tracking_uri={self.tracking_uri}",
        )

    @property
    def client(self) -> MlflowClient:
        """MLflow's client."""
        return MlflowClient(self.tracking_uri)

    def trials(self) -> list[FrozenTrial]:
        """Every trial of the study."""
        study = optuna.load_study(study_name=self.name, storage=self.storage)
        return study.trials

    def reported(self) -> int:
        """How many epochs have been reported so far, looked up without writing."""
        url = self.storage
        if url.startswith("sqlite:///"):
            path = url.removeprefix("sqlite:///")
            url = f"sqlite:///file:{path}?mode=ro&uri=true"
        query = (
            "SELECT count(*) FROM trial_intermediate_values "
            "JOIN trials USING (trial_id) JOIN studies USING (study_id) "
            "WHERE study_name = :name"
        )
        engine = create_engine(url, poolclass=NullPool)
        try:
            with engine.connect() as connection:
                found = connection.execute(text(query), {"name": self.name}).scalar()
        except DBAPIError:  # file or tables are about to be made
            return 0
        return int(found or 0)

    def runs(self) -> tuple[Run, dict[int, Run]]:
        """The study's run, and each trial's by number."""
        experiment = self.client.get_experiment_by_name(self.name)
        assert experiment is not None
        found = self.client.search_runs([experiment.experiment_id])
        [parent] = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
        nested = [run for run in found if run is not parent]
        assert all(
            run.data.tags["mlflow.parentRunId"] == parent.info.run_id for run in nested
        )
        children = [run for run in nested if run.data.tags["sweep.kind"] == "trial"]
        by_number = {int(run.data.tags["sweep.trial"]): run for run in children}
        assert len(by_number) == len(children), "a trial has two runs"
        return parent, by_number

    def curve(self, run: Run, key: str) -> dict[int, float]:
        """A metric's history by step, which has each step once."""
        history = self.client.get_metric_history(run.info.run_id, key)
        assert len({m.step for m in history}) == len(history), "doubled points"
        return {metric.step: metric.value for metric in history}

    def artifact(self, run: Run, name: str, folder: Path) -> Path:
        """An artifact of a run, fetched into a folder."""
        return Path(self.client.download_artifacts(run.info.run_id, name, str(folder)))


class MakeStores(Protocol):
    """Makes the stores of a sweep in a folder; `kind` is one of `STORES`."""

    def __call__(self, kind: str, folder: Path) -> Stores:
        """Make them, without a study."""


def assert_stores_agree(stores: Stores) -> None:
    """Optuna and MLflow say the same of every trial."""
    _, children = stores.runs()
    trials = stores.trials()
    assert sorted(children) == [trial.number for trial in trials]
    for trial in trials:
        assert_trial_agrees(stores, trial, children[trial.number])


def assert_trial_agrees(stores: Stores, trial: FrozenTrial, run: Run) -> None:
    """A trial and its run have one state, the same params, curve and value."""
    assert run.info.run_name == f"trial-{trial.number:04d}"
    assert run.info.status == STATUS[trial.state.name], trial.number
    assert run.data.tags["sweep.state"] == trial.state.name
    for name in SPACE:
        assert run.data.params[name] == str(trial.params[name])
    assert stores.curve(run, "val_accuracy") == trial.intermediate_values
    best = max(trial.intermediate_values.values(), default=None)
    if trial.state.is_finished():  # one that waits to go on may find a better one yet
        assert run.data.metrics.get("best_val_accuracy") == best
    if trial.state.name == "COMPLETE":
        assert trial.value == best
