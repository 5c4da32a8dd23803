"""The addresses of an experiment's two stores, ready to be opened.

What people see is what the YAML says: `${NAME}` and all.
"""

from sweep.databases import check_sqlite
from sweep.experiment import Experiment
from sweep.paths import sqlite_file
from sweep.variables import filled


def storage_address(experiment: Experiment) -> str:
    """Where Optuna's storage is.

    Raises:
        ConfigError: An environment variable is missing of which it speaks.
    """
    return filled("study.storage", experiment.study.storage)


def tracking_address(experiment: Experiment) -> str:
    """Where MLflow's store is.

    MLflow keeps a connection for each address, so a file's is that of one file,
    whatever the current folder will be.

    Raises:
        ConfigError: An environment variable is missing of which it speaks.
    """
    address = filled("mlflow.tracking_uri", experiment.mlflow.tracking_uri)
    path = sqlite_file(address)
    if path is None or path.is_absolute():
        return address
    return address.replace(str(path), str(path.absolute()), 1)


def is_missing(address: str) -> bool:
    """Whether a store is a SQLite file that nobody has made yet."""
    path = sqlite_file(address)
    return path is not None and not path.exists()


def check_stores(experiment: Experiment) -> None:
    """Find out whether stores that are SQLite files can be written, making none.

    Raises:
        ConfigError: An environment variable is missing of which an address speaks.
        StoreError: naming key, file and reason.
    """
    for key, address in experiment.stores.items():
        check_sqlite(key, filled(key, address))
