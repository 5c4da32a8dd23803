"""What is kept beside the trials, on an MLflow server as in files."""

from pathlib import Path

import pytest
from optuna.trial import TrialState

from fcnet.image_data import Data
from servers import MlflowServer
from studies import Made, make_study
from support import make_experiment
from sweep.experiment import Experiment
from sweep.model.best import find_best
from sweep.model.evaluation import evaluate, recorded_evaluation
from sweep.model.export import describe
from sweep.model.network import best_model
from sweep.model.retraining import retrain
from sweep.plots.study_data import read_study
from sweep.report.origin import read_origin

TRIAL = Made(TrialState.COMPLETE, {"hidden_dim": 8, "learning_rate": 0.1}, (0.1, 0.2))


@pytest.fixture
def served(folder: Path, mlflow_server: MlflowServer, digits: Data) -> Experiment:
    """A study of one trial, whose runs and artifacts are on a server."""
    where = (f"name={folder.name}", f"mlflow.tracking_uri={mlflow_server.uri}")
    experiment = make_experiment(folder, *where)
    make_study(experiment, [TRIAL], digits)
    return experiment


def test_a_server_says_what_it_has(served: Experiment) -> None:
    """The test split is scored once, and the setting trained anew once."""
    best = find_best(served)
    epochs: list[tuple[int, int]] = []
    first, _ = retrain(served, best, 1, lambda *epoch: epochs.append(epoch))
    trained = len(epochs)

    assert evaluate(best_model(served))[1]
    assert not evaluate(best_model(served))[1]
    again = retrain(served, best, 1, lambda *epoch: epochs.append(epoch))
    assert again == (first, False)
    assert len(epochs) == trained


def test_a_server_s_versions_are_told(served: Experiment) -> None:
    """Those that the sweep wrote down, in an export and in a report."""
    exported = describe(best_model(served))
    study = read_study(served).summary.study
    origin = read_origin(served, study, Path("experiment.yaml"), ())

    assert exported["provenance"]["environment"] == {"python": "3"}
    assert origin.versions == {"python": "3"}


def test_what_is_done_with_the_best_trial_is_done_with_one(
    folder: Path, digits: Data
) -> None:
    """The study is not read again: meanwhile another trial may be the best."""
    experiment = make_experiment(folder)
    make_study(experiment, [TRIAL], digits)
    model = best_model(experiment)
    (folder / "optuna.db").unlink()

    evaluation, _ = evaluate(model)
    assert recorded_evaluation(experiment, model.best) == evaluation
    assert describe(model)["accuracy"]["test"] == evaluation.accuracy
