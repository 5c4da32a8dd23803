"""Where a model is that people name: a folder, a file, or a place in a registry."""

import tempfile
from pathlib import Path
from typing import Any

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracking import MlflowClient

from sweep.checkpoint import read_checkpoint
from sweep.databases import DatabaseError, check_sqlite
from sweep.errors import ModelError, first_line
from sweep.model.classifier import Classifier
from sweep.model.onnx_graph import onnx_model
from sweep.paths import ONNX, sqlite_file, without_password

_ALLOWED = (
    "the folder of an export, a .onnx or .safetensors file, or models:/NAME@champion"
)


def open_model(model: str, tracking_uri: str) -> Classifier:
    """Open a model by its name.

    Args:
        model: A folder that `export` wrote, one of its files, a trial's checkpoint, or
            an address in MLflow's model registry, `models:/...`.
        tracking_uri: MLflow's address, for the registry.

    Raises:
        ModelError: There is no such model, or it is none of ours.
        DataError: A .safetensors file is no checkpoint.
        StoreError: The registry's store cannot be opened.
    """
    return Classifier(_content(model, tracking_uri), model)


def _content(model: str, tracking_uri: str) -> bytes:
    """The ONNX file of a model."""
    if model.startswith("models:/"):
        return _registered(model, tracking_uri)
    path = Path(model)
    if path.is_dir():
        path /= ONNX
    if not path.is_file():
        raise ModelError(f"{path}: no such file; allowed: {_ALLOWED}")
    if path.suffix == ".safetensors":
        content: bytes = onnx_model(read_checkpoint(path)).SerializeToString()
        return content
    if path.suffix != ".onnx":
        raise ModelError(f"{path}: not a model; allowed: {_ALLOWED}")
    return path.read_bytes()


def _registered(model: str, tracking_uri: str) -> bytes:
    which = _parse(model)
    check_sqlite("--tracking-uri", tracking_uri)
    database = sqlite_file(tracking_uri)
    if database is not None and not database.exists():
        raise _not_registered(model, tracking_uri, f"no such file: {database}")
    try:
        client = MlflowClient(tracking_uri, registry_uri=tracking_uri)
        found = _find(client, *which)
        # of models:/ itself, MLflow looks in the store that is its default
        uri = client.get_model_version_download_uri(found.name, found.version)
        artifacts: Any = get_artifact_repository(uri, tracking_uri, tracking_uri)
        with tempfile.TemporaryDirectory() as folder:
            return Path(artifacts.download_artifacts(ONNX, folder)).read_bytes()
    except (MlflowException, DatabaseError, OSError) as error:
        raise _not_registered(model, tracking_uri, first_line(error)) from error


def _find(client: MlflowClient, name: str, alias: str, version: str) -> ModelVersion:
    if alias:
        return client.get_model_version_by_alias(name, alias)
    return client.get_model_version(name, version)


def _parse(model: str) -> tuple[str, str, str]:
    """Name, alias and version of a model; one of the last two is empty."""
    place = model.removeprefix("models:/")
    name, _, alias = place.rpartition("@")
    if name and alias:
        return name, alias, ""
    name, _, version = place.rpartition("/")
    if not (name and version.isdigit()):
        raise ModelError(f"{model}: allowed: models:/NAME@ALIAS, models:/NAME/VERSION")
    return name, "", version


def _not_registered(model: str, tracking_uri: str, reason: str) -> ModelError:
    return ModelError(
        f"{model}: MLflow at {without_password(tracking_uri)} does not have it: "
        f"{reason}; what to do: python -m sweep best FILE --register NAME, or another "
        "--tracking-uri"
    )
