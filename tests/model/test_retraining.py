"""`best --retrain`: against training by hand, and beside the trials' runs."""

import json
import statistics

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits  # type: ignore[import-untyped]

from fcnet import FullyConnectedNet, Preprocess, Solver
from fcnet.image_data import Data
from stores import assert_stores_agree
from sweep.api.result import Result
from sweep.model import retraining
from sweep.model.best import find_best
from sweep.model.retraining import retrain
from sweep.plots.spans import read_spans
from swept import Swept, held_out_digits


def train_by_hand(swept: Swept, seed: int) -> float:
    """Test accuracy after the best epoch, by the readable steps in float64."""
    best = find_best(swept.experiment).trial
    digits = load_digits()
    images = np.rint(digits.images[:1437] * (255 / 16)).astype(np.uint8)
    whole = torch.from_numpy(images.reshape(-1, 64))
    labels = torch.from_numpy(digits.target[:1437])
    mean = whole.double().mean() / 255
    preprocess = Preprocess(
        torch.full((64,), 1 / 255, dtype=torch.float64),
        -mean.expand(64).contiguous(),
        (1, 8, 8),
    )
    width = int(best.hparams["hidden_dim"])
    net = FullyConnectedNet(
        (width,), 64, 10, weight_scale=0.1, seed=seed, dtype=torch.float64
    )
    solver = Solver(
        net,
        {"X_train": whole, "y_train": labels, "X_val": whole, "y_val": labels},
        optim_config={"learning_rate": float(best.hparams["learning_rate"])},
        batch_size=100,
        num_epochs=3,
        seed=seed,
        fast=False,
        preprocess=preprocess,
    )
    for _ in range(best.epoch or 0):
        solver.train_epoch()
    held_out, truth = held_out_digits()
    rows = torch.from_numpy(held_out.reshape(-1, 64))
    return solver.check_accuracy(rows, torch.from_numpy(truth))


def test_the_best_setting_is_trained_anew_on_all_but_the_test_split(
    swept: Swept,
) -> None:
    """Seeds that are new, the best epoch's number of epochs, mean and deviation."""
    said = json.loads(swept.call("best", "--retrain", "2", "--json").stdout)
    done = said["retraining"]

    assert done["seeds"] == [1, 2]
    assert done["images"] == 1437
    assert done["epochs"] == said["epoch"]
    by_hand = [train_by_hand(swept, seed) for seed in (1, 2)]
    assert done["accuracies"] == pytest.approx(by_hand, abs=2 / 360)
    assert done["mean"] == statistics.mean(done["accuracies"])
    assert done["std"] == statistics.stdev(done["accuracies"])


def test_it_is_recorded_beside_the_trials_and_not_done_again(
    swept: Swept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A nested run for each seed; trials and stores are as they were."""
    first = json.loads(swept.call("best", "--retrain", "2", "--json").stdout)
    monkeypatch.setattr(retraining, "load_whole", None)
    again = swept.call("best", "--retrain", "2")
    client, parent = swept.stores.client, swept.stores.runs()[0]
    own = "tags.`sweep.kind` = 'retraining'"
    runs = client.search_runs([parent.info.experiment_id], own)
    done = first["retraining"]

    assert "not trained again" in again.stdout
    assert f"{done['mean']:.4f} ± {done['std']:.4f}" in again.stdout
    assert len(swept.stores.runs()[1]) == 4
    assert_stores_agree(swept.stores)
    accuracies = {int(r.data.params["seed"]): r.data.metrics for r in runs}
    for seed, accuracy in zip(done["seeds"], done["accuracies"], strict=True):
        assert accuracies.pop(seed)["test_accuracy"] == accuracy
    assert accuracies == {}
    for run in runs:
        assert run.info.status == "FINISHED"
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.tags["sweep.retrained_trial"] == str(first["number"])


def test_what_was_trained_before_an_interruption_is_kept(young: Swept) -> None:
    """Seeds that are recorded are not trained again; only the missing ones are."""
    best, trained = find_best(young.experiment), list[int]()

    def interrupt(seed: int, _epoch: int) -> None:
        if seed == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retrain(young.experiment, best, 3, interrupt)
    done, is_new = retrain(
        young.experiment, best, 3, lambda seed, _epoch: trained.append(seed)
    )

    assert is_new
    assert set(trained) == {2, 3}
    assert [network.seed for network in done.networks] == [1, 2, 3]


def test_a_driver_leaves_runs_alone_that_are_no_trials(
    young: Swept, digits: Data
) -> None:
    """A sweep goes on although something else is RUNNING below its run."""
    parent = young.stores.runs()[0]
    tags = {"mlflow.parentRunId": parent.info.run_id, "sweep.kind": "retraining"}
    client = young.stores.client
    other = client.create_run(parent.info.experiment_id, tags=tags)
    young.run(2, digits)

    assert client.get_run(other.info.run_id).info.status == "RUNNING"
    assert len(young.stores.runs()[1]) == 2


def test_what_is_trained_anew_is_no_trial_of_the_study(swept: Swept) -> None:
    """Neither in its table of trials nor in its timeline."""
    swept.call("best", "--retrain", "2")
    result = Result.read(swept.experiment)

    assert list(result.trials.index) == [0, 1, 2, 3]
    spans = read_spans(swept.experiment, result.summary.study)
    assert {span.number for span in spans} <= {0, 1, 2, 3}
