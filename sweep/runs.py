"""Where a study's runs are in MLflow, and by which tags they are found."""

from collections.abc import Iterator
from dataclasses import dataclass

from mlflow.entities import Experiment as MlflowExperiment
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from sweep.databases import DatabaseError
from sweep.errors import StoreError, first_line
from sweep.experiment import Experiment
from sweep.paths import text_without_passwords, without_password
from sweep.run_writers import RunId
from sweep.stores import is_missing, tracking_address

PARENT = "mlflow.parentRunId"
NOTE = "mlflow.note.content"  # what its UI shows as the description
STUDY, KIND, TRIAL = "sweep.study", "sweep.kind", "sweep.trial"
STUDY_KEY, BEST_TRIAL = "sweep.study_key", "sweep.best_trial"
STATE, ATTEMPT, REASON = "sweep.state", "sweep.attempt", "sweep.reason"
WORKER, LANE, DEVICE = "sweep.worker", "sweep.lane", "sweep.device"
SAME_AS, REBUILT = "sweep.same_as", "sweep.rebuilt"
EVALUATED, RETRAINED = "sweep.evaluated_trial", "sweep.retrained_trial"


@dataclass(frozen=True)
class RunIds:
    """Where a study is to be found in MLflow; None for what is not there."""

    experiment_id: str | None = None
    parent_run_id: str | None = None
    best_run_id: str | None = None


def read_runs(experiment: Experiment, study: str, best: int | None) -> RunIds:
    """Find a study's runs, without changing anything.

    Args:
        experiment: The experiment.
        study: What tells the study from others of its name.
        best: The number of the study's best trial; None if there is none.

    Raises:
        StoreError: if MLflow cannot be reached, or the experiment was deleted there.
    """
    uri = tracking_address(experiment)
    if is_missing(uri):
        return RunIds()
    try:
        client = MlflowClient(uri)
        experiment_id = find_experiment(client, experiment)
        if experiment_id is None:
            return RunIds()
        parent = find_parent(client, experiment_id, study)
        found = None
        if parent is not None and best is not None:
            found = find_child(client, experiment_id, parent.info.run_id, best)
    except (MlflowException, DatabaseError, OSError) as error:
        raise cannot_open(experiment.mlflow.tracking_uri, error) from error
    return RunIds(experiment_id, _run_id(parent), _run_id(found))


def read_trial_runs(experiment: Experiment, runs: RunIds) -> list[Run]:
    """The runs of a study's trials, without changing anything.

    Raises:
        StoreError: if MLflow cannot be reached.
    """
    address = tracking_address(experiment)
    if runs.experiment_id is None or runs.parent_run_id is None or is_missing(address):
        return []
    own = f"tags.`{PARENT}` = '{runs.parent_run_id}'"
    try:
        found = search(MlflowClient(address), runs.experiment_id, own)
        # what was trained anew is below the study, too, but is no trial
        return [run for run in found if TRIAL in run.data.tags]
    except (MlflowException, DatabaseError, OSError) as error:
        raise cannot_open(experiment.mlflow.tracking_uri, error) from error


def cannot_open(uri: str, error: Exception) -> StoreError:
    """The error for a store that MLflow does not open."""
    return StoreError(
        f"mlflow.tracking_uri: found {without_password(uri)}: MLflow cannot open it: "
        f"{text_without_passwords(first_line(error))}; allowed: sqlite:///FILE, "
        "postgresql+psycopg://USER@HOST/DATABASE or http://HOST:PORT"
    )


def _run_id(run: Run | None) -> str | None:
    return None if run is None else str(run.info.run_id)


def id_of(run: Run) -> RunId:
    """A run's id, and where its artifacts are."""
    return RunId(run.info.run_id, run.info.artifact_uri)


def find_experiment(client: MlflowClient, experiment: Experiment) -> str | None:
    """The id of MLflow's experiment of that name; None if there is none.

    Raises:
        StoreError: if it was deleted there.
    """
    found: MlflowExperiment | None = client.get_experiment_by_name(experiment.name)
    if found is not None and found.lifecycle_stage != "active":
        raise StoreError(
            f"mlflow.tracking_uri: {without_password(experiment.mlflow.tracking_uri)}: "
            f"experiment {experiment.name!r} was deleted there; what to do: restore "
            f"it (mlflow experiments restore --experiment-id {found.experiment_id}), "
            "or choose another name"
        )
    return None if found is None else str(found.experiment_id)


def find_parent(client: MlflowClient, experiment_id: str, study: str) -> Run | None:
    """The study's run; None if there is none."""
    own = f"tags.`{KIND}` = 'study' and tags.`{STUDY_KEY}` = '{study}'"
    return next(search(client, experiment_id, own), None)


def find_child(
    client: MlflowClient, experiment_id: str, parent_run_id: str, number: int
) -> Run | None:
    """The run of one trial of a study; None if there is none."""
    own = f"tags.`{PARENT}` = '{parent_run_id}' and tags.`{TRIAL}` = '{number}'"
    return next(search(client, experiment_id, own), None)


def open_children(
    client: MlflowClient, experiment_id: str, parent_run_id: str
) -> Iterator[Run]:
    """The runs of a study's trials that have not ended."""
    of = f"tags.`{PARENT}` = '{parent_run_id}' and tags.`{KIND}` = 'trial'"
    for status in ("RUNNING", "SCHEDULED"):
        own = f"{of} and status = '{status}'"
        yield from list(search(client, experiment_id, own))


def search(
    client: MlflowClient, experiment_id: str, filter_string: str
) -> Iterator[Run]:
    """Every run of an experiment that a filter of MLflow's lets through."""
    token: str | None = None
    while True:
        page = client.search_runs([experiment_id], filter_string, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
