"""A checkpoint as a network that scores images, batch by batch.

Letters: N images, D values of an image, C classes.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from fcnet import FullyConnectedNet, Preprocess
from sweep.checkpoint import Checkpoint

_BATCH = 1000  # images scored at once; bounds the memory, not the result


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
