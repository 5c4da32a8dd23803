"""What a job cannot take along: passwords, and paths of the machine it comes from."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from sweep.experiment import Experiment
from sweep.paths import sqlite_file, without_password

_LASTING = (
    "is in the job's own folder, which goes with the job; what to do: set the absolute "
    "path that it has on the cluster's head, such as"
)


def passwords(stores: Mapping[str, str]) -> Iterator[str]:
    """A problem for each address that a password is written into.

    Args:
        stores: Addresses, as the YAML has them, by its keys.
    """
    for key, address in stores.items():
        hidden = without_password(address)
        if hidden != address:
            example = hidden.replace("***", "${PASSWORD}")
            yield (
                f"{key}: found {hidden}: a password, which a job would show to all who "
                f"see the cluster; what to do: set PASSWORD where the cluster's head "
                f"is started, and write {example}"
            )


def relative_stores(stores: Mapping[str, str]) -> Iterator[str]:
    """A problem for each store that is a file with a relative path.

    Args:
        stores: Addresses by the YAML's keys; what an environment variable says is not
            known before it is put in its place.
    """
    for key, address in stores.items():
        path = sqlite_file(address)
        if path is None and "://" not in address:
            path = Path(address)
        if path is not None and not str(path).startswith(("/", "${")):
            yield (
                f"{key}: found {address}, which {_LASTING} "
                f"sqlite:////shared/{path.name}, or a server's address, such as "
                f"{_server(key)}"
            )


def relative_folders(experiment: Experiment) -> Iterator[str]:
    """A problem for each folder that is named with a relative path.

    `${NAME}` is one, too: variables are put in their places in addresses alone.
    """
    folders = {"study.folder": experiment.study.folder}
    if experiment.data.dataset != "digits":
        folders["data.root"] = experiment.data.root
    for key, folder in folders.items():
        if not Path(folder).is_absolute():
            yield f"{key}: found {folder}, which {_LASTING} /shared/{Path(folder).name}"


def _server(key: str) -> str:
    if key == "mlflow.tracking_uri":
        return "http://HOST:5000"
    return "postgresql+psycopg://USER:${PASSWORD}@HOST/DATABASE"
