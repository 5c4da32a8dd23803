"""The best trial's network, which scores images batch by batch.

Letters: N images, D values of an image, C classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from fcnet import FullyConnectedNet, Preprocess
from sweep.checkpoint import Checkpoint
from sweep.experiment import Experiment
from sweep.model.best import Best, find_best
from sweep.model.records import Records, missing

_BATCH = 1000  # images scored at once; bounds the memory, not the result


@dataclass(frozen=True)
class Model:
    """The best trial with its network.

    Attributes:
        experiment: Whose it is.
        best: The trial.
        checkpoint: The network after the trial's best epoch.
    """

    experiment: Experiment
    best: Best
    checkpoint: Checkpoint


def best_model(experiment: Experiment) -> Model:
    """Bring the best trial's network from MLflow.

    Raises:
        ModelError: No trial is complete, or MLflow does not have its checkpoint.
        StoreError: A store cannot be read.
    """
    return bring(experiment, find_best(experiment))


def bring(experiment: Experiment, best: Best) -> Model:
    """Bring the network of what was found to be the best trial; see best_model."""
    if best.run_id is None:
        raise missing(best, f"the run of trial {best.trial.number}")
    return Model(experiment, best, Records(experiment).checkpoint(best))


def network_of(checkpoint: Checkpoint) -> FullyConnectedNet:
    """The checkpoint's network, on the CPU."""
    params = checkpoint.params
    layers = range(1, len(params) // 2 + 1)
    *hidden, classes = (params[f"W{layer}"].shape[1] for layer in layers)
    network = FullyConnectedNet(hidden, params["W1"].shape[0], classes, weight_scale=0)
    network.params = dict(params)
    return network


def score(checkpoint: Checkpoint, images: Tensor) -> Tensor:
    """Score images as they are stored.

    Args:
        checkpoint: The network, and what makes inputs of images.
        images: Of shape (N, D), uint8, each in the order channel, row, column.

    Returns:
        The scores, of shape (N, C), in the dtype of the weights.
    """
    return torch.cat(list(_scores(checkpoint, images)))


def _scores(checkpoint: Checkpoint, images: Tensor) -> Iterator[Tensor]:
    network = network_of(checkpoint)
    shape = checkpoint.info.image_shape
    preprocess = Preprocess(checkpoint.scale, checkpoint.shift, shape)
    for batch in torch.split(images, _BATCH):
        yield network.loss(preprocess(batch))
