"""Sweeps as jobs of a real Ray cluster with tokens on, as `submit` sends them.

Stores: PostgreSQL and an MLflow server, with passwords that the cluster alone knows.
"""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from processes import wait_until
from ray_cluster import RayCluster
from servers import MlflowServer, Postgres
from stores import Stores, assert_stores_agree
from support import DIGITS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

LONG = ("study.trials=2", "solver.num_epochs=600", "solver.batch_size=5")
ID = re.compile(r"^job +(\S+)$", re.MULTILINE)


@dataclass
class Submitter:
    """Somebody with a terminal, who has the cluster's token and no password.

    Attributes:
        cluster: Where to submit to.
        stores: With the passwords in their addresses.
        secrets: What may be read nowhere.
        told: The stores' addresses, with names in the place of passwords.
        printed: All that the commands have printed.
    """

    cluster: RayCluster
    stores: Stores
    secrets: tuple[str, ...]
    told: tuple[str, ...]
    printed: list[str] = field(default_factory=list)

    def start(self, *words: str, **environment: str) -> "subprocess.Popen[str]":
        """Type `submit`, with some words behind it."""
        # neither the cluster's Python nor its secrets are in this one's environment
        own = {**os.environ, "PATH": "/usr/bin:/bin", **self.cluster.environment}
        command = [sys.executable, "-m", "sweep", "submit", *words]
        return subprocess.Popen(
            [*command, "--address", self.cluster.dashboard],
            cwd=self.stores.folder,
            env={**own, **environment},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def type(self, *words: str, **environment: str) -> tuple[int, str]:
        """Type it and wait for its end; exit code and what it printed."""
        return self.finish(self.start(*words, **environment))

    def finish(
        self, process: "subprocess.Popen[str]", seen: str = ""
    ) -> tuple[int, str]:
        """Wait for a command's end; exit code and what it printed, `seen` before."""
        printed = seen + process.communicate(timeout=400)[0]
        self.printed.append(printed)
        return process.returncode, printed

    def submit(self, *settings: str, more: tuple[str, ...] = ()) -> tuple[int, str]:
        """Submit the digits with settings over them."""
        return self.type("digits.yaml", *self.options(*settings), *more)

    def options(self, *settings: str) -> list[str]:
        """`--set` for the stores and for each of some settings."""
        return [word for one in (*self.told, *settings) for word in ("--set", one)]

    def ask(self, path: str) -> bytes:
        """What the dashboard's own API answers."""
        headers = {"Authorization": f"Bearer {self.cluster.token}"}
        url = f"{self.cluster.dashboard}{path}"
        with urlopen(Request(url, headers=headers), timeout=30) as answer:
            content: bytes = answer.read()
        return content


@pytest.fixture(scope="module")
def submitter(
    postgres: Postgres,
    mlflow_server: MlflowServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Submitter]:
    """A cluster of one node, and somebody who may submit to it."""
    folder = tmp_path_factory.mktemp("submitter")
    (folder / "digits.yaml").write_text(DIGITS)
    storage = postgres.create_database("optuna_jobs")
    database = str(urlsplit(storage).password)
    runs = secrets.token_hex(16)
    # nothing but Ray itself says which Python the cluster runs with
    with RayCluster(
        2,
        include_dashboard=True,
        PATH="/usr/bin:/bin",
        OPTUNA_PASSWORD=database,
        MLFLOW_PASSWORD=runs,
    ) as cluster:
        uri = mlflow_server.uri.replace("//", "//sweep:${MLFLOW_PASSWORD}@")
        yield Submitter(
            cluster,
            Stores(folder, storage, mlflow_server.uri),
            (database, runs, cluster.token),
            (
                f"study.storage={storage.replace(database, '${OPTUNA_PASSWORD}')}",
                f"mlflow.tracking_uri={uri}",
                f"study.folder={folder}/sweeps",
            ),
        )


@dataclass(frozen=True)
class Done:
    """A sweep that was stopped, submitted again, and went on to its end.

    Attributes:
        job: The first job's id.
        detached: Exit code and output of the first submission.
        running: Of asking how it is, while it runs.
        watched: Of reading its log, until Ctrl-C.
        stopped: Of stopping it.
        after: Of asking how it is after that.
        states: Of trials and runs then, by the stores' own names.
        log: The sweep's own log then.
        again: Of the second submission.
    """

    job: str
    detached: tuple[int, str]
    running: tuple[int, str]
    watched: tuple[int, str]
    stopped: tuple[int, str]
    after: tuple[int, str]
    states: tuple[set[str], set[str]]
    log: str
    again: tuple[int, str]


@pytest.fixture(scope="module")
def done(submitter: Submitter) -> Done:
    """Submit, look, watch, stop, submit again."""
    stores = submitter.stores
    detached = submitter.submit(*LONG, more=("--detach",))
    found = ID.search(detached[1])
    assert found is not None, detached[1]
    job = found[1]
    # while its sweep starts, so that it is stopped long before it ends
    asking, watching = submitter.start("--status", job), submitter.start("--logs", job)
    running = submitter.finish(asking)
    watched = _watch(submitter, watching)
    wait_until(lambda: stores.reported() > 0, 200, "it trains")
    stopped = submitter.type("--stop", job)
    after = submitter.type("--status", job)
    parent, children = stores.runs()
    states = (
        {trial.state.name for trial in stores.trials()},
        {run.info.status for run in (parent, *children.values())},
    )
    logs = (stores.folder / "sweeps").rglob("events.jsonl")
    log = "".join(path.read_text() for path in logs)
    again = submitter.submit(*LONG)
    return Done(job, detached, running, watched, stopped, after, states, log, again)


def _watch(submitter: Submitter, process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Read a job's log until it has said something, then press Ctrl-C."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if "images to train on" in line:
            break
    process.send_signal(signal.SIGINT)
    return submitter.finish(process, seen)


def test_a_detached_submission_says_what_was_sent_and_how_to_go_on(
    submitter: Submitter, done: Done
) -> None:
    """The size of the package, the job's id, and the three next commands."""
    code, printed = done.detached

    assert code == 0
    assert re.search(r"^package +\d+ files, \d+ kB: fcnet \(", printed, re.MULTILINE)
    assert "checked: the cluster has all that this sweep needs" in printed
    for option in ("--status", "--logs", "--stop"):
        next_command = f"submit {option} {done.job} --address"
        assert f"{next_command} {submitter.cluster.dashboard}" in printed


def test_the_status_says_how_a_job_is(done: Done) -> None:
    """While it runs, and when it was stopped, which is resumable."""
    assert done.running[0] == done.after[0] == 0
    assert re.search(r"^state +RUNNING$", done.running[1], re.MULTILINE)
    assert re.search(r"^name +digits$", done.running[1], re.MULTILINE)
    assert re.search(r"^state +STOPPED$", done.after[1], re.MULTILINE)
    assert re.search(r"^exit code +130$", done.after[1], re.MULTILINE)


def test_ctrl_c_leaves_the_job_alone(done: Done) -> None:
    """Who looks on no more is told that it goes on, and how to stop it."""
    code, printed = done.watched

    assert code == 130
    assert "the job goes on" in printed
    assert f"--stop {done.job}" in printed
    assert "Traceback" not in printed


def test_a_stopped_sweep_has_clean_stores_and_goes_on(
    submitter: Submitter, done: Done
) -> None:
    """Nothing is left RUNNING; the same submission trains the trials to their end."""
    code, printed = done.stopped
    assert code == 0, printed
    assert "stopped: nothing is left running" in printed
    trials, runs = done.states
    assert "WAITING" in trials
    assert "RUNNING" not in trials | runs

    code, printed = done.again
    assert code == 0, printed
    assert [t.state.name for t in submitter.stores.trials()] == ["COMPLETE"] * 2
    assert_stores_agree(submitter.stores)
    parent, children = submitter.stores.runs()
    assert parent.info.status == "FINISHED"
    assert "1" in {run.data.tags["sweep.attempt"] for run in children.values()}


def test_the_log_is_streamed_to_its_end_each_line_once(done: Done) -> None:
    """From the check of the cluster to the table of the best trials."""
    printed = done.again[1]

    for line in (
        "checked: the cluster has all",
        "images to train on",
        "trial 0000  COMPLETE",
        "trial 0001  COMPLETE",
        "digits: 2 COMPLETE",
        "SUCCEEDED, exit code 0",
    ):
        assert printed.count(line) == 1, line


def test_a_log_can_be_read_when_the_job_has_ended(
    submitter: Submitter, done: Done
) -> None:
    """With the exit code that the submission had; stopping it then changes nothing."""
    code, printed = submitter.type("--logs", done.job)
    assert code == 130
    assert "stopping: running trials end with their epoch" in printed

    code, printed = submitter.type("--stop", done.job)
    assert code == 0
    assert "has ended before: STOPPED" in printed


def test_secrets_are_to_be_read_nowhere(submitter: Submitter, done: Done) -> None:
    """Logs, jobs, packages, attributes, params, tags, artifacts and the terminal."""
    stores, places = submitter.stores, dict[str, str]()
    places["terminal"] = "\n".join(submitter.printed)
    places["event log"] = done.log
    places["jobs"] = submitter.ask("/api/jobs/").decode()
    for job in json.loads(places["jobs"]):
        path = f"/api/jobs/{job['submission_id']}/logs"
        places[path] = submitter.ask(path).decode()
    for trial in stores.trials():
        places[f"Optuna {trial.number}"] = repr(trial)
    parent, children = stores.runs()
    for run in (parent, *children.values()):
        places[f"MLflow {run.info.run_name}"] = json.dumps(run.to_dictionary())
        fetched = stores.artifact(run, "", stores.folder)
        for file in filter(Path.is_file, fetched.rglob("*")):
            places[str(file)] = file.read_bytes().decode(errors="replace")

    assert any("${OPTUNA_PASSWORD}" in text for text in places.values()), "as written"
    assert any(name.endswith("experiment.yaml") for name in places)
    events = map(json.loads, done.log.splitlines())
    assert {event["said"]["number"] for event in events} == {0, 1}
    found = [n for n, t in places.items() for s in submitter.secrets if s in t]
    assert not found


def test_ray_itself_keeps_no_secret_on_disk(submitter: Submitter, done: Done) -> None:
    """What it unpacked, and all of its own logs."""
    del done
    folder = Path(submitter.cluster.head.log).parent
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.name == "experiment.yaml" for path in files)
    found = {
        path
        for path in files
        for secret in submitter.secrets
        if secret.encode() in path.read_bytes()
    }
    assert not found


@pytest.mark.parametrize(
    ("setting", "code", "reason"),
    [
        ("ray.cpus_per_worker=64", 1, "it needs 64 CPU"),
        ("solver.batch_size=50", 2, "that was made with other settings"),
    ],
)
def test_a_sweep_that_fails_has_the_exit_code_of_its_reason(
    submitter: Submitter,
    done: Done,
    setting: str,
    code: int,
    reason: str,
) -> None:
    """The same that `run` has, and the reason in the terminal; no trial is begun."""
    before = len(submitter.stores.trials())
    del done
    found, printed = submitter.submit(setting)

    assert found == code, printed
    assert reason in printed
    assert len(submitter.stores.trials()) == before


def test_a_detached_submission_waits_for_the_verdict(submitter: Submitter) -> None:
    """All that the cluster refuses is told by who submitted it."""
    lacking = (
        "study.storage=postgresql+psycopg://me:${NOT_THERE}@127.0.0.1/o",
        "mlflow.tracking_uri=sqlite:////home/of/somebody/mlflow.db",
        "data={dataset: image_folder, root: /home/of/somebody/images}",
    )
    code, printed = submitter.submit(*lacking, more=("--detach",))

    assert code == 2
    for key in ("study.storage", "mlflow.tracking_uri", "data"):
        assert f"\n{key}: " in printed


def test_files_of_the_head_are_stores_like_others(
    submitter: Submitter, tmp_path: Path, empty_mlflow: Path
) -> None:
    """With absolute paths; artifacts lie beside the database, not in the job."""
    (tmp_path / "mlflow.db").write_bytes(empty_mlflow.read_bytes())
    stores = Stores.in_files(tmp_path)
    code, printed = submitter.submit(
        f"study.storage={stores.storage}",
        f"mlflow.tracking_uri={stores.tracking_uri}",
        f"study.folder={tmp_path}/sweeps",
    )

    assert code == 0, printed
    assert_stores_agree(stores)
    parent, _ = stores.runs()
    assert parent.info.status == "FINISHED"
    best = stores.artifact(parent, "best/best.safetensors", tmp_path)
    assert best.stat().st_size > 0
    assert (tmp_path / "mlruns").is_dir()


@pytest.mark.parametrize("token", ["wrong" * 10, ""])
def test_a_wrong_token_is_told_at_once(submitter: Submitter, token: str) -> None:
    """In one line, without the token; so is a missing one."""
    home = str(submitter.stores.folder)
    code, printed = submitter.type("--status", "a", RAY_AUTH_TOKEN=token, HOME=home)

    assert code == 1
    assert "does not let this in" in printed
    assert "RAY_AUTH_TOKEN_PATH" in printed
    assert len(printed.splitlines()) == 1
    assert "wrongwrong" not in printed


def test_a_job_that_is_not_there_is_told(submitter: Submitter) -> None:
    """With exit code 2, and how to find those that are."""
    for option in ("--status", "--logs", "--stop"):
        code, printed = submitter.type(option, "raysubmit_nowhere")

        assert code == 2
        assert "there is no job raysubmit_nowhere" in printed


def test_the_next_study_of_a_name_can_be_begun(
    submitter: Submitter, done: Done
) -> None:
    """`--fresh` reaches the sweep; the former study is kept."""
    del done
    short = "solver.batch_size=50", "solver.num_epochs=1", "study.trials=1"
    code, printed = submitter.submit(*short, more=("--fresh",))

    assert code == 0, printed
    assert "the former study is kept as digits@1" in printed
