"""Where an experiment is in MLflow's UI."""

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from sweep.databases import DatabaseError
from sweep.experiment import Experiment
from sweep.runs import cannot_open, find_experiment
from sweep.saved_view import VIEW_TAG, trials_page


def find_page(experiment: Experiment) -> str | None:
    """The address of an experiment's trials, relative to where the UI is served.

    Returns:
        The address, or None if MLflow has no such experiment.

    Raises:
        StoreError: if MLflow cannot be reached, or the experiment was deleted there.
    """
    uri = experiment.mlflow.tracking_uri
    try:
        client = MlflowClient(uri)
        experiment_id = find_experiment(client, experiment)
        if experiment_id is None:
            return None
        tags = client.get_experiment(experiment_id).tags
    except (MlflowException, DatabaseError, OSError) as error:
        raise cannot_open(uri, error) from error
    # people may have deleted the view
    has_view = VIEW_TAG in tags
    return trials_page(experiment_id) if has_view else _runs_page(experiment_id)


def _runs_page(experiment_id: str) -> str:
    return f"#/experiments/{experiment_id}/runs"
