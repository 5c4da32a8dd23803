"""The best network as files: weights, what they are, and a model that runs anywhere."""

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from sweep.checkpoint import Checkpoint, encode
from sweep.errors import ModelError
from sweep.files import write_whole
from sweep.model.evaluation import recorded_evaluation
from sweep.model.network import Model
from sweep.model.onnx_graph import INPUT, PROBABILITIES, SCORES, onnx_model
from sweep.model.records import Records
from sweep.paths import ARCHITECTURE, ENVIRONMENT, ONNX, SAFETENSORS, without_password


def check_folder(folder: Path) -> None:
    """Find out whether files can be exported there, without making the folder.

    Raises:
        ModelError: It is a file, or below one.
    """
    there = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not there.is_dir():
        raise ModelError(
            f"--export: found {folder}: {there} is a file; allowed: a folder, which "
            "is made if it is not there"
        )


def export(model: Model, folder: Path) -> tuple[Path, ...]:
    """Write `model.safetensors`, `model.json` and `model.onnx` into a folder.

    The second tells of the first: architecture, preprocessing, classes, accuracies,
    and where it all comes from. The third needs neither; see onnx_graph.py.

    Args:
        model: The network.
        folder: Made if it is not there; files of those names are replaced.

    Returns:
        The three files.

    Raises:
        ModelError: The folder cannot be written.
        StoreError: MLflow cannot be read.
    """
    check_folder(folder)
    text = json.dumps(describe(model), indent=2) + "\n"
    contents = {
        SAFETENSORS: encode(model.checkpoint),
        ARCHITECTURE: text.encode(),
        ONNX: onnx_model(model.checkpoint).SerializeToString(),
    }
    try:
        for name, content in contents.items():
            write_whole(folder / name, content)
    except OSError as error:
        raise ModelError(
            f"--export: {folder} cannot be written: {error.strerror or error}"
        ) from error
    return tuple(folder / name for name in contents)


def describe(model: Model) -> dict[str, Any]:
    """What `model.json` says."""
    best, info, data = model.best, model.checkpoint.info, model.experiment.data
    evaluation = recorded_evaluation(model.experiment, best)
    is_its = evaluation is not None and evaluation.trial == best.trial.number
    channels, rows, columns = info.image_shape
    return {
        "name": best.name,
        "trial": best.trial.number,
        "epoch": info.epoch,
        "accuracy": {
            "validation": info.val_accuracy,
            "test": evaluation.accuracy if evaluation and is_its else None,
        },
        "classes": list(info.classes),
        "architecture": {
            "type": "fully connected",
            "layers": _layers(model.checkpoint),
        },
        "preprocessing": {
            "image": {"channels": channels, "rows": rows, "columns": columns},
            "colours": "RGB" if channels == 3 else "grey",
            "resize": "bilinear",
            "order": ["channel", "row", "column"],
            "normalize": data.normalize,
            "input": "input.scale * byte + input.shift",
        },
        "onnx": {
            "input": {
                "name": INPUT,
                "type": "uint8",
                "shape": ["N", *info.image_shape],
            },
            "outputs": [SCORES, PROBABILITIES],
        },
        "hparams": dict(info.hparams),
        "seed": info.seed,
        "provenance": _provenance(model),
    }


def _layers(checkpoint: Checkpoint) -> list[Mapping[str, Any]]:
    """Each layer's sizes, the names of its tensors, and what follows it."""
    layers = len(checkpoint.params) // 2
    widths = [checkpoint.params[f"W{n}"].shape[1] for n in range(1, layers + 1)]
    sizes = pairwise([checkpoint.params["W1"].shape[0], *widths])
    return [
        {
            "inputs": inputs,
            "outputs": outputs,
            "weights": f"W{number}",
            "biases": f"b{number}",
            "activation": "softmax" if number == layers else "relu",
        }
        for number, (inputs, outputs) in enumerate(sizes, 1)
    ]


def _provenance(model: Model) -> Mapping[str, Any]:
    records = Records(model.experiment)
    parent = records.parent(model.best)
    tags = parent.data.tags
    return {
        "run_id": model.best.run_id,
        "parent_run_id": model.best.parent_run_id,
        "tracking_uri": without_password(model.experiment.mlflow.tracking_uri),
        "git_commit": tags.get("mlflow.source.git.commit"),
        "git_dirty": tags.get("sweep.git.dirty"),
        "environment": records.read(parent, ENVIRONMENT),
    }
