"""The best network in MLflow's model registry, as a model that needs no code of ours.

It is MLflow's own ONNX flavor: onnxruntime and numpy are all that serves it.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import mlflow.onnx
import numpy as np
from mlflow.entities import LoggedModelOutput, LoggedModelStatus
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model as MlflowModel
from mlflow.models import ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types import Schema, TensorSpec

from sweep.checkpoint import Checkpoint
from sweep.errors import ModelError, first_line
from sweep.model.best import Best
from sweep.model.network import Model
from sweep.model.onnx_graph import INPUT, PROBABILITIES, SCORES, onnx_model
from sweep.model.records import Records

ALIAS = "champion"
_SERVED_BY = ("mlflow", "numpy", "onnx", "onnxruntime")


@dataclass(frozen=True)
class Registered:
    """A version in the model registry.

    Attributes:
        name: The registered model's name.
        version: Which of its versions it is, from 1.
        trial: The number of the trial that it is from.
        is_new: Whether it was made just now.
        former: The version that was the champion before; None if there was none.
    """

    name: str
    version: int
    trial: int
    is_new: bool
    former: int | None

    @property
    def uri(self) -> str:
        """The champion's address, as MLflow spells it."""
        return f"models:/{self.name}@{ALIAS}"


def check_name(name: str) -> None:
    """Find out whether a registered model may have that name, without looking there.

    Raises:
        ModelError: It may not.
    """
    if not name.strip() or set(name) & set("/:"):
        raise ModelError(
            f"--register: found {name!r}; allowed: a name without / and :, "
            "such as digits"
        )


def register(model: Model, name: str) -> Registered:
    """Put the best network into the registry, and make it the champion.

    A trial is registered once under a name: a second time its version is the champion
    again.

    Args:
        model: The network.
        name: Of the registered model; made if there is none.

    Raises:
        ModelError: The registry does not take the name.
        StoreError: MLflow cannot be read or written.
    """
    best, records = model.best, Records(model.experiment)
    client = records.client
    check_name(name)
    with records.reaching():
        former = _open(client, name)
        found = _version_of(client, name, best)
        is_new = found is None
        if found is None:
            found = _create(client, name, best, model.checkpoint)
        client.set_registered_model_alias(name, ALIAS, found.version)
    number = int(found.version)
    other = None if former == number else former
    return Registered(name, number, best.trial.number, is_new, other)


def _open(client: MlflowClient, name: str) -> int | None:
    """Make the registered model if there is none; the champion's version, or None."""
    try:
        known = client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise ModelError(
                f"--register: found {name!r}: {first_line(error)}; what to do: take "
                "another name"
            ) from error
        known = client.get_registered_model(name)
    champion = known.aliases.get(ALIAS)
    return None if champion is None else int(champion)


def _version_of(client: MlflowClient, name: str, best: Best) -> ModelVersion | None:
    versions = client.search_model_versions(f"run_id = '{best.run_id}'")
    return next((v for v in versions if v.name == name), None)


def _create(
    client: MlflowClient, name: str, best: Best, checkpoint: Checkpoint
) -> ModelVersion:
    assert best.run_id is not None
    run = client.get_run(best.run_id)
    facts = _facts(best)
    logged = client.create_logged_model(
        run.info.experiment_id,
        name=f"{best.name}-{best.trial.number:04d}",
        source_run_id=best.run_id,
        tags=facts,
        params={key: str(value) for key, value in best.trial.hparams.items()},
    )
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "model")
        model = MlflowModel(
            artifact_path=logged.artifact_location,
            run_id=best.run_id,
            model_uuid=logged.model_id,
            model_id=logged.model_id,
        )
        save_mlflow_model(checkpoint, path, model, facts)
        client.log_model_artifacts(logged.model_id, path)
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    output = LoggedModelOutput(logged.model_id, step=checkpoint.info.epoch)
    client.log_outputs(best.run_id, [output])
    return client.create_model_version(
        name,
        # not models:/..., which MLflow looks up in the store that is its default
        logged.artifact_location,
        run_id=best.run_id,
        tags=facts,
        description=_sentence(best),
        model_id=logged.model_id,
    )


def save_mlflow_model(
    checkpoint: Checkpoint, path: str, model: MlflowModel, facts: Mapping[str, str]
) -> None:
    """Write the folder of MLflow's ONNX flavor.

    Args:
        checkpoint: The network.
        path: The folder, which must not be there.
        model: What MLflow knows of it already.
        facts: Kept beside it.
    """
    shape, classes = checkpoint.info.image_shape, len(checkpoint.info.classes)
    images = TensorSpec(np.dtype(np.uint8), (-1, *shape), INPUT)
    scores, probabilities = (
        TensorSpec(np.dtype(np.float32), (-1, classes), name)
        for name in (SCORES, PROBABILITIES)
    )
    mlflow.onnx.save_model(
        onnx_model(checkpoint),
        path,
        mlflow_model=model,
        signature=ModelSignature(Schema([images]), Schema([scores, probabilities])),
        input_example={INPUT: np.zeros((1, *shape), np.uint8)},
        pip_requirements=[f"{name}=={version(name)}" for name in _SERVED_BY],
        metadata={"classes": list(checkpoint.info.classes), **facts},
        onnx_execution_providers=["CPUExecutionProvider"],
        save_as_external_data=False,
    )


def _facts(best: Best) -> dict[str, str]:
    return {
        "sweep.study": best.name,
        "sweep.trial": str(best.trial.number),
        "val_accuracy": repr(best.trial.value),
    }


def _sentence(best: Best) -> str:
    return (
        f"Trial {best.trial.number} of {best.name}: validation accuracy "
        f"{best.trial.value:.4f} after epoch {best.trial.epoch}."
    )
