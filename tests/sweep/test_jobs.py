"""A job's package, and what is refused before there is one; without a cluster."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest
from typer.testing import CliRunner, Result

import sweep
from processes import free_port
from support import DIGITS, make_experiment
from sweep.cli import app
from sweep.config import load
from sweep.errors import UsageError
from sweep.experiment import Experiment
from sweep.jobs.package import ENTRYPOINT, EXPERIMENT, VERSIONS, write_package
from sweep.jobs.places import relative_stores
from sweep.jobs.preflight import check_cluster
from sweep.jobs.versions import differences, from_json, versions

NOWHERE = ("--address", "http://127.0.0.1:1")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, ("submit", *arguments))


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A right experiment, alone in the current folder, and no cluster in sight."""
    monkeypatch.chdir(tmp_path)
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    path = tmp_path / "digits.yaml"
    path.write_text(DIGITS)
    return path


def absolute(folder: Path) -> list[str]:
    """Overrides with which everything has a place that a job can find."""
    settings = (
        f"study.storage=sqlite:///{folder}/optuna.db",
        f"mlflow.tracking_uri=sqlite:///{folder}/mlflow.db",
        f"study.folder={folder}/sweeps",
    )
    return [word for setting in settings for word in ("--set", setting)]


def test_a_package_has_the_code_and_the_experiment_and_nothing_else(
    tmp_path: Path,
) -> None:
    """Both packages, whole; the settings with their overrides, on the job's cluster."""
    experiment = make_experiment(tmp_path, "study.trials=77", "ray.address=local")
    package = write_package(tmp_path / "package.zip", experiment)
    with ZipFile(package.file) as archive:
        archive.extractall(tmp_path / "job")
        names = set(archive.namelist())
    there = load(tmp_path / "job" / EXPERIMENT)
    root = Path(sweep.__file__).parents[1]
    code = {
        path.relative_to(root).as_posix()
        for name in ("sweep", "fcnet")
        for path in (root / name).rglob("*.py")
    }

    assert code <= names
    others = {name for name in names if not name.startswith(("sweep/", "fcnet/"))}
    assert others == {EXPERIMENT, VERSIONS, ENTRYPOINT}
    assert there.study.trials == 77
    assert there.ray.address == "auto"
    assert there.space == experiment.space
    written = from_json((tmp_path / "job" / VERSIONS).read_text())
    assert written == versions()
    assert package.size == package.file.stat().st_size < 2_000_000
    assert f"sweep ({package.counts['sweep']} files)" in str(package)


def test_the_same_experiment_makes_the_same_package(tmp_path: Path) -> None:
    """To the byte, so that a cluster has it once."""
    experiment = make_experiment(tmp_path)
    first, second = tmp_path / "1.zip", tmp_path / "2.zip"
    write_package(first, experiment)
    write_package(second, experiment)

    assert first.read_bytes() == second.read_bytes()


def test_packed_code_runs_from_its_folder(tmp_path: Path) -> None:
    """The package, unpacked elsewhere, is what a job's Python imports."""
    package = write_package(tmp_path / "package.zip", make_experiment(tmp_path))
    with ZipFile(package.file) as archive:
        archive.extractall(tmp_path / "job")
    code = "import fcnet, sweep; print(fcnet.__file__, sweep.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "job",
        capture_output=True,
        text=True,
        check=True,
    )

    assert found.stdout.count(str(tmp_path / "job")) == 2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("study.storage=sqlite:///optuna.db", "study.storage: found sqlite:///optuna"),
        ("mlflow.tracking_uri=sqlite:///m.db", "such as http://HOST:5000"),
        ("mlflow.tracking_uri=mlruns", "mlflow.tracking_uri: found mlruns"),
        ("study.folder=sweeps", "such as /shared/sweeps"),
        ("study.folder='${HOME}/sweeps'", "study.folder: found ${HOME}/sweeps"),
        ("data={dataset: cifar10}", "data.root: found data"),
        ("data={dataset: image_folder, root: images}", "such as /shared/images"),
        ("study.storage=postgresql+psycopg://me:hush@db/o", "me:${PASSWORD}@db/o"),
        ("study.storage=postgresql+psycopg://me:hu/sh@db/o", "me:${PASSWORD}@db/o"),
        ("mlflow.tracking_uri=http://me:hush@host:5000", "write http://me:${PASSW"),
        ("study.trails=3", "study.trails: unknown key"),
    ],
)
def test_what_only_this_machine_has_is_refused_here(
    file: Path, override: str, message: str
) -> None:
    """With what to do instead, before the cluster is so much as looked for."""
    own = absolute(file.parent)
    result = call(str(file), *NOWHERE, *own, "--set", override)

    assert result.exit_code == 2
    assert message in result.stderr
    assert "hush" not in result.output
    assert "hu/sh" not in result.output
    assert list(file.parent.iterdir()) == [file]


def test_a_store_in_a_variable_s_folder_is_for_the_cluster_to_judge() -> None:
    """Here nobody knows what the variable says there."""
    stores = {"study.storage": "sqlite:///${DISK}/o.db", "mlflow.tracking_uri": "${M}"}

    assert not list(relative_stores(stores))


def test_all_that_is_wrong_is_told_at_once(file: Path) -> None:
    """One line for each of the three settings that keep their defaults."""
    result = call(str(file), *NOWHERE)

    for key in ("study.storage", "mlflow.tracking_uri", "study.folder"):
        assert f"\n{key}: found " in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "found no FILE"),
        (("digits.yaml",), "--address: missing"),
        (("--status", "a", "--stop", "b"), "found --status and --stop"),
        (("digits.yaml", "--logs", "a"), "found --logs and FILE"),
        (("--logs", "a", "--detach"), "found --logs and --detach"),
        (("--stop", "a", "--set", "name=b"), "found --stop and --set"),
        (("--stop", "a"), "--address: missing"),
    ],
)
def test_a_call_that_contradicts_itself_is_refused(
    file: Path, arguments: tuple[str, ...], message: str
) -> None:
    """With exit code 2, naming what was found."""
    result = call(*arguments)

    assert result.exit_code == 2
    assert message in result.stderr


def test_an_address_that_is_none_is_refused(file: Path) -> None:
    """Those of Ray's own drivers and clients among them."""
    for address in ("head:6379", "ray://head:10001", "http://"):
        result = call("--status", "a", "--address", address)

        assert result.exit_code == 2
        assert "allowed: http://HOST:8265" in result.stderr


def test_a_head_that_does_not_answer_is_told_at_once(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With exit code 1; the environment may name the head, as for Ray's own."""
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:1")
    result = call(str(file), *absolute(file.parent))

    assert result.exit_code == 1
    assert "http://127.0.0.1:1: nothing answers there" in result.stderr


def test_the_last_part_of_a_version_may_differ() -> None:
    """What it was submitted with stands beside what was found."""
    here = {"python": "3.11.7", "torch": "2.14.1+cpu"}

    assert not list(differences({"python": "3.11.2", "torch": "2.14.0+cu132"}, here))
    assert list(differences({"python": "3.12.7", "torch": "2.14.1"}, here)) == [
        "python: found 3.11.7 on the cluster; it was submitted with 3.12.7; what to "
        "do: install the same 3.12 on both"
    ]


@pytest.fixture
def job_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job's own folder, as the current one, in a folder with what lasts."""
    own = tmp_path / "job"
    own.mkdir()
    monkeypatch.chdir(own)
    return own


@pytest.fixture
def mute_port() -> Iterator[int]:
    """A port where connections are taken, and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


def problems(experiment: Experiment, **submitted: str) -> str:
    with pytest.raises(UsageError) as caught:
        check_cluster(experiment, {**versions(), **submitted})
    return str(caught.value)


def test_a_cluster_that_has_everything_is_right(job_folder: Path) -> None:
    """Looking makes neither store nor folder."""
    place = job_folder.parent
    check_cluster(make_experiment(place), versions())

    assert {path.name for path in place.iterdir()} == {"job", "experiment.yaml"}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("study.storage=sqlite:////no/such/o.db", "there is no folder /no/such"),
        ("study.storage=postgresql+psycopg://me:${NOPE}@h/o", "found ${NOPE}"),
        ("study.storage=${HERE}", "study.storage: found sqlite:///optuna.db"),
        ("study.storage=sqlite:///{job}/o.db", "in the job's own folder"),
        ("study.storage=postgresql+psycopg://127.0.0.1:{port}/o", "not let this in"),
        ("study.storage=oracle+nothing://h/o", "not let this in"),
        ("mlflow.tracking_uri=sqlite:////no/such/m.db", "mlflow.tracking_uri: found"),
        ("mlflow.tracking_uri=http://127.0.0.1:{port}", "MLflow cannot open it"),
        ("study.folder={job}/sweeps", "study.folder: found"),
        ("study.folder={job}.txt/sweeps", "is no folder"),
        ("data={{dataset: image_folder, root: /no/images}}", "/no/images"),
        ("data={{dataset: mnist, root: '{job}.txt/d'}}", "data.root: found"),
    ],
)
def test_what_the_head_lacks_is_found_there(
    job_folder: Path, monkeypatch: pytest.MonkeyPatch, override: str, message: str
) -> None:
    """Stores, folders, data: each with the key and what was found."""
    job_folder.with_suffix(".txt").touch()
    monkeypatch.setenv("HERE", "sqlite:///optuna.db")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    filled_in = (
        override.replace("{job}", str(job_folder))
        .replace("{port}", str(free_port()))
        .replace("{{", "{")
        .replace("}}", "}")
    )
    found = problems(make_experiment(job_folder.parent, filled_in))

    assert f"found on {socket.gethostname()}" in found
    assert message in found


def test_a_database_that_says_nothing_is_not_waited_for(
    job_folder: Path, mute_port: int
) -> None:
    """It is given five seconds."""
    url = f"postgresql+psycopg://127.0.0.1:{mute_port}/o"
    found = problems(make_experiment(job_folder.parent, f"study.storage={url}"))

    assert "timeout" in found


def test_other_versions_on_the_cluster_are_refused(job_folder: Path) -> None:
    """With everything else that is wrong there."""
    experiment = make_experiment(job_folder.parent, "study.folder=sweeps")
    found = problems(experiment, ray="1.13.0")

    assert "\nray: found " in found
    assert "\nstudy.folder: found sweeps" in found
