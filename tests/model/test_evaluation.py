"""`best` and `best --evaluate`, against Optuna's own word and a pass in numpy."""

import json
from pathlib import Path

import numpy as np
import optuna
import pytest
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load_file

from fcnet.image_data import Data
from sweep.model import evaluation
from sweep.model.best import find_best
from sweep.model.evaluation import Evaluation, recorded_evaluation
from swept import Swept, held_out_digits


def recorded(swept: Swept) -> Evaluation | None:
    """What MLflow has of the test split."""
    return recorded_evaluation(swept.experiment, find_best(swept.experiment))


def predicted(checkpoint: Path) -> NDArray[np.int64]:
    """The classes that a checkpoint gives the test split, without fcnet."""
    net = load_file(checkpoint)
    x = held_out_digits()[0].reshape(-1, 64) * net["input.scale"] + net["input.shift"]
    hidden = np.maximum(x @ net["W1"] + net["b1"], 0)
    classes: NDArray[np.int64] = (hidden @ net["W2"] + net["b2"]).argmax(axis=1)
    return classes


def test_best_prints_the_best_trial(swept: Swept) -> None:
    """Number, value, epoch, settings, run and checkpoint: those of the stores."""
    study = optuna.load_study(study_name="digits", storage=swept.stores.storage)
    run = swept.stores.runs()[1][study.best_trial.number]
    result = swept.call("best")
    said = json.loads(swept.call("best", "--json").stdout)

    assert result.exit_code == 0, result.output
    assert f"{study.best_value:.4f}" in result.stdout
    assert f"checkpoint  runs:/{run.info.run_id}/checkpoint/best.safetensors" in (
        result.stdout
    )
    assert said == {
        "name": "digits",
        "number": study.best_trial.number,
        "value": study.best_value,
        "epoch": run.data.metrics["best_epoch"],
        "hparams": said["hparams"],
        "run_id": run.info.run_id,
        "checkpoint_uri": f"runs:/{run.info.run_id}/checkpoint/best.safetensors",
    }
    assert study.best_params.items() <= said["hparams"].items()


def test_without_a_complete_trial_there_is_no_best_one(folder: Path) -> None:
    """The call came too early: exit code 2, a message, and nothing is made."""
    (folder / "mlflow.db").unlink()
    swept = Swept(folder)
    result = swept.call("best", "--evaluate", "--export", "out")

    assert result.exit_code == 2
    assert "digits: no trial is COMPLETE" in result.stderr
    assert [path.name for path in folder.iterdir()] == ["experiment.yaml"]


def test_the_test_split_is_scored_as_by_hand_and_recorded(
    swept: Swept, tmp_path: Path
) -> None:
    """Accuracy and confusion of the checkpoint in MLflow: metric, file and tag."""
    said = json.loads(swept.call("best", "--evaluate", "--json").stdout)
    parent, children = swept.stores.runs()
    run = children[said["number"]]
    path = swept.stores.artifact(run, "checkpoint/best.safetensors", tmp_path)
    labels, classes = held_out_digits()[1], predicted(path)
    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (labels, classes), 1)
    content = swept.stores.artifact(parent, "evaluation.json", tmp_path).read_text()

    assert said["evaluation"]["accuracy"] == (classes == labels).mean()
    assert said["evaluation"]["confusion"] == confusion.tolist()
    assert parent.data.metrics["test_accuracy"] == (classes == labels).mean()
    assert parent.data.tags["sweep.evaluated_trial"] == str(said["number"])
    assert json.loads(content)["confusion"] == confusion.tolist()
    for mistake in said["evaluation"]["mistakes"]:
        image = mistake["image"]
        assert (mistake["label"], mistake["predicted"]) == (
            labels[image],
            classes[image],
        )
        assert labels[image] != classes[image]


def test_the_test_split_is_scored_once(
    young: Swept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second call has the recorded figure and says so, without looking at images."""
    first = young.call("best", "--evaluate")
    monkeypatch.setattr(evaluation, "load_images", None)
    second = young.call("best", "--evaluate")
    known = recorded(young)

    assert "scored now, and recorded" in first.stdout
    assert "not scored again" in second.stdout
    assert known is not None
    assert f"test accuracy {known.accuracy:.4f} on 360 images" in first.stdout
    assert f"test accuracy {known.accuracy:.4f} on 360 images" in second.stdout
    history = young.stores.curve(young.stores.runs()[0], "test_accuracy")
    assert history == {1: known.accuracy}


def test_a_better_trial_is_scored_in_its_turn(young: Swept, digits: Data) -> None:
    """The message names both; the figure and the tag are the better one's."""
    young.call("best", "--evaluate")
    worse = recorded(young)
    young.run(2, digits)
    result = young.call("best", "--evaluate")
    better = recorded(young)

    assert worse is not None
    assert better is not None
    assert (worse.trial, better.trial) == (0, 1)
    assert "trial 0001: scored now" in result.stdout
    assert f"trial 0000, the best until then, had {worse.accuracy:.4f}" in result.stdout
    parent = young.stores.runs()[0]
    assert parent.data.metrics["test_accuracy"] == better.accuracy
    assert parent.data.tags["sweep.evaluated_trial"] == "1"


@pytest.mark.parametrize(
    ("test", "message"),
    [(None, "has no test split"), ("cat", "was trained on images (1, 8, 8)")],
)
def test_images_that_cannot_be_scored_are_told(
    young: Swept, tmp_path: Path, test: str | None, message: str
) -> None:
    """No test split, or images of another kind: exit code 2, nothing recorded."""
    for part in ("train", "test")[: 1 if test is None else 2]:
        (tmp_path / part / "cat").mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / part / "cat" / "0.png")
    other = ("data.dataset=image_folder", f"data.root={tmp_path}")
    sets = [word for setting in other for word in ("--set", setting)]
    result = young.call("best", "--evaluate", *sets)

    assert result.exit_code == 2
    assert message in result.stderr
    assert "sweep.evaluated_trial" not in young.stores.runs()[0].data.tags


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--export", "experiment.yaml"], "is a file; allowed: a folder"),
        (["--export", "experiment.yaml/out"], "is a file; allowed: a folder"),
        (["--register", "a/b"], "allowed: a name without / and :"),
        (["--register", ""], "allowed: a name without / and :"),
        (["--retrain", "0"], "--retrain"),
    ],
)
def test_a_wrong_wish_ends_with_2_before_anything_is_done(
    swept: Swept, words: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even what was wished for rightly beside it is not done."""
    monkeypatch.chdir(swept.folder)
    monkeypatch.setattr(evaluation, "load_images", None)
    result = swept.call("best", "--evaluate", *words)

    assert result.exit_code == 2
    assert message in result.stderr
