"""One network's weights with what is needed to use them, as a safetensors file.

Tensors and plain numbers only: reading one runs no code of whoever wrote it.
The only file that knows safetensors.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from sweep.errors import DataError
from sweep.trial import HParams

_KEY = "sweep"
_SCALE, _SHIFT = "input.scale", "input.shift"


@dataclass(frozen=True)
class CheckpointInfo:
    """The plain numbers beside the weights.

    Attributes:
        number: The trial's number.
        epoch: The epoch after which the weights were taken, from 1.
        val_accuracy: Accuracy on the validation split at that epoch.
        hparams: The trial's settings.
        seed: The trial's seed.
        classes: Names of the classes, in the order of the scores.
        image_shape: Channels, height and width of an image.
    """

    number: int
    epoch: int
    val_accuracy: float
    hparams: HParams
    seed: int
    classes: tuple[str, ...]
    image_shape: tuple[int, ...]


@dataclass(frozen=True)
class Checkpoint:
    """A network, and what makes inputs of images: scale * image + shift.

    Attributes:
        params: Weights by name: `W1`, `b1`, ...
        scale: Factor of each value of an image, from 0 to 255, in the order channel,
            row, column.
        shift: What is added to each, of scale's shape and dtype.
        info: The plain numbers beside them.
    """

    params: Mapping[str, torch.Tensor]
    scale: torch.Tensor
    shift: torch.Tensor
    info: CheckpointInfo


def encode(checkpoint: Checkpoint) -> bytes:
    """The bytes of the checkpoint's file."""
    inputs = {_SCALE: checkpoint.scale, _SHIFT: checkpoint.shift}
    text = json.dumps(asdict(checkpoint.info))
    return pack_tensors({**checkpoint.params, **inputs}, text)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint's file.

    Raises:
        DataError: if it is missing or not a checkpoint of a sweep.
    """
    try:
        params, text = unpack_tensors(path.read_bytes())
        info = json.loads(text)
        scale, shift = params.pop(_SCALE), params.pop(_SHIFT)
        lists = {key: tuple(info[key]) for key in ("classes", "image_shape")}
        return Checkpoint(params, scale, shift, CheckpointInfo(**{**info, **lists}))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, DataError) as error:
        raise DataError(
            f"{path}: not a checkpoint of a sweep ({error}); allowed: a .safetensors "
            "file that a sweep has written"
        ) from None


def pack_tensors(tensors: Mapping[str, torch.Tensor], text: str) -> bytes:
    """The bytes of a safetensors file of tensors on any device, with a text beside."""
    ready = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    return save(ready, {_KEY: text})


def unpack_tensors(content: bytes) -> tuple[dict[str, torch.Tensor], str]:
    """The tensors and the text that `pack_tensors` put together.

    Raises:
        DataError: The bytes are none of a sweep's safetensors files.
    """
    try:
        size = int.from_bytes(content[:8], "little")
        text = json.loads(content[8 : 8 + size])["__metadata__"][_KEY]
        return load(content), text
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise DataError(str(error)) from None
