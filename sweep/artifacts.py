"""Files beside the runs of MLflow: put there, and copied from one run to another."""

import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from sweep.run_writers import RunId


class Artifacts:
    """The artifacts of an MLflow store's runs.

    They are reached straight through each run's own address: MLflow's client would look
    the run up each time.
    """

    def __init__(self, tracking_uri: str) -> None:
        """Take MLflow's address."""
        self._tracking_uri = tracking_uri

    def put_text(self, run: RunId, name: str, content: str) -> None:
        """Write a text file; its name may have folders."""
        self.put_bytes(run, name, content.encode())

    def put_bytes(self, run: RunId, name: str, content: bytes) -> None:
        """Write a file; its name may have folders."""
        with tempfile.TemporaryDirectory() as temporary:
            local = Path(temporary) / PurePosixPath(name).name
            local.write_bytes(content)
            self.put_file(run, name, local)

    def put_file(self, run: RunId, name: str, local: Path) -> None:
        """Copy a file that has that name already, but for its folders."""
        self._of(run).log_artifact(str(local), _folder(name))

    def has(self, run: RunId, name: str) -> bool:
        """Whether a run has a file of that name."""
        return name in self.names(run, _folder(name))

    def names(self, run: RunId, folder: str | None) -> list[str]:
        """The files in a folder of a run, by their whole names; None for its root."""
        return [file.path for file in self._of(run).list_artifacts(folder)]

    def fetch(self, run: RunId, name: str, folder: str) -> Path:
        """Bring a file of a run into a local folder; returns where it is there."""
        return Path(self._of(run).download_artifacts(name, folder))

    def copy(self, source: RunId, name: str, target: RunId, new_name: str) -> None:
        """Copy a file from one run to another; the last part of its name stays."""
        with tempfile.TemporaryDirectory() as temporary:
            self.put_file(target, new_name, self.fetch(source, name, temporary))

    def _of(self, run: RunId) -> Any:
        return get_artifact_repository(run.artifact_uri, self._tracking_uri)


def _folder(name: str) -> str | None:
    """The folder that a file is in; None for the root, as a server wants it."""
    folder = PurePosixPath(name).parent
    return str(folder) if folder.name else None
