"""Fixtures that several test files share."""

import shutil
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from browser import Browser
from fcnet.image_data import Data
from servers import MlflowServer, Postgres
from stores import STORES, MakeStores, Stores
from support import make_experiment
from sweep.data import load_data
from swept import Swept

# the background of a shell ignores Ctrl-C, and what is started there would, too
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["fault_table"]


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without runs: making one takes seconds, copying it none."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path


@pytest.fixture
def folder(tmp_path: Path, empty_mlflow: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder of one's own, with an MLflow database ready in it."""
    shutil.copy(empty_mlflow, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """The handwritten digits, ready for training."""
    return load_data(make_experiment(tmp_path_factory.mktemp("digits")))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server; tests make databases of their own in it."""
    server = Postgres()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def mlflow_server(
    tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path
) -> Iterator[MlflowServer]:
    """An MLflow server; tests make experiments of their own in it."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(empty_mlflow, folder / "mlflow.db")
    server = MlflowServer(folder, f"sqlite:///{folder}/mlflow.db")
    yield server
    server.kill()


@pytest.fixture
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A Chromium of the test's own."""
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def empty_mlflow_in_postgres(postgres: Postgres) -> str:
    """The name of a database that is one of MLflow's without runs, to be copied."""
    url = postgres.create_database("empty_mlflow")
    client = MlflowClient(url)
    client.search_experiments()
    client._tracking_client.store.engine.dispose()  # else it cannot be copied
    return "empty_mlflow"


@pytest.fixture(scope="session")
def make_stores(request: pytest.FixtureRequest, empty_mlflow: Path) -> MakeStores:
    """SQLite files; databases of PostgreSQL; PostgreSQL and an MLflow server.

    A server is started when the first test wants it.
    """

    def make(kind: str, folder: Path) -> Stores:
        if kind == "sqlite":
            shutil.copy(empty_mlflow, folder / "mlflow.db")
            return Stores.in_files(folder)
        name = folder.name
        postgres: Postgres = request.getfixturevalue("postgres")
        storage = postgres.create_database(f"optuna_{name}")
        if kind == "servers":
            server: MlflowServer = request.getfixturevalue("mlflow_server")
            return Stores(folder, storage, server.uri, name)
        template: str = request.getfixturevalue("empty_mlflow_in_postgres")
        uri = postgres.create_database(f"mlflow_{name}", template)
        return Stores(folder, storage, uri, name)

    return make


@pytest.fixture(params=STORES)
def stores(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    make_stores: MakeStores,
    monkeypatch: pytest.MonkeyPatch,
) -> Stores:
    """New stores of each kind, and their folder as the current one."""
    monkeypatch.chdir(tmp_path)
    return make_stores(request.param, tmp_path)


@pytest.fixture
def young(folder: Path, digits: Data) -> Swept:
    """A sweep that has its first trial alone, the worse one."""
    swept = Swept(folder)
    swept.run(1, digits)
    return swept


@pytest.fixture(scope="module")
def module_folder(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Path:
    """A folder that the tests of a file share, with an MLflow database ready in it."""
    folder = tmp_path_factory.mktemp("module")
    shutil.copy(empty_mlflow, folder / "mlflow.db")
    return folder


@pytest.fixture(scope="module")
def swept(module_folder: Path, digits: Data) -> Swept:
    """A sweep that has its four trials; the tests of a file share what they record."""
    done = Swept(module_folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(module_folder)  # where MLflow puts artifacts
        done.run(4, digits)
    return done
