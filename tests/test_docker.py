"""What docker/ says, as far as it can be known unrun; `make image-test` runs it."""

import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from compose_file import Service, interpolate, read_services
from containers import Container
from image_test import SUBMIT, is_nowhere
from sweep.cli import app
from sweep.config import load

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "docker"
COMPOSE = DOCKER / "compose.yaml"
DOCKERFILE = (DOCKER / "Dockerfile").read_text()
REFERENCE = re.compile(r"\$\{(\w+)([^}]*)\}")


WHOLE: Any = YAML(typ="safe").load(COMPOSE)
SERVICES: dict[str, Any] = WHOLE["services"]


def strings(value: Any) -> Iterator[str]:
    """Every text in a tree of mappings and lists."""
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from strings(item)
        case dict():
            yield from strings(list(value.values()))


def references() -> dict[str, str]:
    """What follows each variable's name in the compose file."""
    found = (REFERENCE.findall(text) for text in strings(WHOLE))
    return {name: rest for pairs in found for name, rest in pairs}


def passwords() -> dict[str, str]:
    """A value for each variable that has no default."""
    return {n: f"{n.lower()}-1" for n, rest in references().items() if ":?" in rest}


def kubernetes(kind: str) -> Any:
    [found] = [d for d in documents() if d["kind"] == kind]
    return found


def documents() -> list[Any]:
    return list(YAML(typ="safe").load_all(DOCKER / "kuberay.yaml"))


def complain_of(file: Path) -> str:
    """What the Compose specification's schema has against a file."""
    words = ["--builtin-schema", "vendor.compose-spec", str(file)]
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr if done.returncode else ""


def test_the_compose_file_follows_the_specification() -> None:
    """The specification's own schema has nothing against it."""
    assert complain_of(COMPOSE) == ""


def test_a_misspelt_key_does_not_follow_the_specification(tmp_path: Path) -> None:
    """The test above can fail."""
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(COMPOSE.read_text().replace("depends_on:", "depend_on:"))

    assert "depend_on" in complain_of(wrong)


@pytest.mark.parametrize("name", sorted(passwords()))
def test_a_variable_without_a_default_is_refused_when_it_is_empty(name: str) -> None:
    """Nothing starts, the message names it, and .env.example has it without a value."""
    with pytest.raises(ValueError, match=f"{name}: set it in docker/.env"):
        read_services(COMPOSE, {**passwords(), name: ""})
    assert f"\n{name}=\n" in (DOCKER / ".env.example").read_text()


def test_every_other_variable_has_a_default_that_the_example_tells() -> None:
    """It stands there as a comment, so that a copy of the file changes nothing."""
    example = (DOCKER / ".env.example").read_text()
    for name in references().keys() - passwords().keys():
        assert references()[name].startswith(":-"), name
        assert f"\n#{name}=" in example, name


def test_no_password_is_in_the_compose_file() -> None:
    """Whatever is named a password, token or key is a variable without a default."""
    for service in SERVICES.values():
        for name, value in service["environment"].items():
            if re.search("PASSWORD|TOKEN|SECRET", name):
                assert ":?" in value, name


def test_git_does_not_know_the_passwords() -> None:
    """docker/.env is ignored, its example is not."""
    for name, code in ((".env", 0), (".env.example", 1)):
        asked = ["git", "check-ignore", "--quiet", f"docker/{name}"]
        assert subprocess.run(asked, cwd=ROOT, check=False).returncode == code


def test_ports_are_published_on_this_machine_alone() -> None:
    """The dashboard and MLflow, on 127.0.0.1, and no other."""
    published = [port for s in SERVICES.values() for port in s.get("ports", ())]

    assert [interpolate(port, {}) for port in published] == [
        "127.0.0.1:8265:8265",
        "127.0.0.1:5000:5000",
    ]


def test_every_part_of_ray_asks_for_a_token() -> None:
    """Ray 2.60 would start without, and say nothing."""
    for name, service in SERVICES.items():
        if service["command"][:2] == ["ray", "start"]:
            assert service["environment"]["RAY_AUTH_MODE"] == "token", name


def test_every_service_is_asked_for_its_health_and_awaited() -> None:
    """Who is needed is needed healthy."""
    for name, service in SERVICES.items():
        assert service["healthcheck"]["test"][0] == "CMD", name
        for needed in service.get("depends_on", {}).values():
            assert needed == {"condition": "service_healthy"}


def test_services_start_after_those_they_need() -> None:
    """The compose file names them in another order."""
    services = read_services(COMPOSE, passwords())

    assert [s.name for s in services] == ["postgres", "mlflow", "head", "worker"]
    assert next(s.replicas for s in services if s.name == "worker") == 2


@pytest.mark.parametrize("needed", ["worker", "worker-gpu", "nobody"])
def test_services_that_cannot_all_start_are_refused(
    tmp_path: Path, needed: str
) -> None:
    """Those that wait for each other, and one that waits for who is not started."""
    whole = deepcopy(WHOLE)
    whole["services"]["postgres"]["depends_on"] = {needed: {}}
    wrong = tmp_path / "compose.yaml"
    YAML().dump(whole, wrong)

    with pytest.raises(ValueError, match=f"'{needed}'|postgres: needs {needed}, which"):
        read_services(wrong, passwords())


def plain_services() -> list[Service]:
    return read_services(COMPOSE, passwords())


@pytest.mark.parametrize("service", plain_services(), ids=lambda service: service.name)
def test_the_image_test_runs_the_command_of_the_compose_file(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its words and variables reach buildah as the file has them."""
    programs = {
        "buildah": "echo container",
        "ip": "",
        "nsenter": f'printf "%s\\n" "$@" >{tmp_path}/$$.words; exit 7',
    }
    for name, does in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr("os.chown", lambda *_: None)
    with pytest.raises(RuntimeError, match="ended"):
        Container(service.name, service, {}, tmp_path).start()
    runs = [path.read_text().splitlines() for path in tmp_path.glob("*.words")]
    said = SERVICES[service.name]
    command = [interpolate(word, passwords()) for word in said["command"]]
    starts = [run for run in runs if run[-len(command) :] == command]

    assert len(starts) == 3, "one that ends by itself is started again"
    for name, value in said["environment"].items():
        assert f"--env={name}={interpolate(value, passwords())}" in starts[0]
    assert list(service.healthcheck) == said["healthcheck"]["test"][1:]


def health_checks() -> list[list[str]]:
    """Those that ask a server of their own container."""
    worker = kubernetes("RayJob")["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]
    [container] = worker["template"]["spec"]["containers"]
    checks = [list(service.healthcheck) for service in plain_services()]
    checks += [container["livenessProbe"]["exec"]["command"]]
    return [words for words in checks if "python" in words]


@pytest.mark.parametrize("words", health_checks(), ids=lambda words: words[-1])
def test_a_health_check_asks_its_own_container_and_no_proxy(words: list[str]) -> None:
    """Engines hand proxies on to containers, whose 127.0.0.1 no proxy reaches."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.setblocking(False)
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        own = {"http_proxy": address, "no_proxy": "mlflow"}
        path = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        subprocess.run(words, env=path | own, capture_output=True, check=False)

        with pytest.raises(BlockingIOError):
            proxy.accept()


@pytest.mark.parametrize(
    ("line", "code"), [("nothing", 0), ("it is sesame", 1), (None, 1)]
)
def test_a_password_is_nowhere_only_in_a_folder_that_was_read(
    tmp_path: Path, line: str | None, code: int
) -> None:
    """A folder that is not there proves nothing."""
    folder = tmp_path / "ray"
    if line is not None:
        folder.mkdir()
        (folder / "raylet.log").write_text(line)
    search = ["sh", "-c", is_nowhere("$SECRET", str(folder))]
    done = subprocess.run(search, env={"SECRET": "sesame"}, check=False)

    assert done.returncode == code


def documented(first: str) -> list[list[str]]:
    """The commands of docs/cluster.md that begin with some words, each as its words."""
    page = (ROOT / "docs" / "cluster.md").read_text()
    text = "".join(re.findall(r"```sh\n(.*?)```", page, re.DOTALL))
    lines = text.replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line.startswith(first)]


def test_the_documented_commands_of_ray_are_those_of_the_compose_file() -> None:
    """Head and worker, word for word, so that they are the ones that were run."""
    run = {s.name: list(s.command) for s in plain_services()}

    assert documented("ray start") == [run["head"], run["worker"]]


def test_the_documented_submission_is_that_of_the_image_test() -> None:
    """For compose word for word; for three machines but for the head's name."""
    three, compose = documented("python -m sweep submit")
    at = compose.index("http://127.0.0.1:8265")

    assert compose == ["python", *SUBMIT]
    assert three == [*compose[:at], "http://head:8265", *compose[at + 1 :]]


def test_the_image_does_not_run_as_root() -> None:
    """The last USER is a number, which Kubernetes can check, and not 0."""
    assert int(re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE)[-1]) > 0


def test_the_base_is_a_build_argument() -> None:
    """Of every stage."""
    stages = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)

    assert set(stages) == {"${BASE}"}
    assert DOCKERFILE.index("ARG BASE=") < DOCKERFILE.index("FROM")


def test_the_image_is_pinned() -> None:
    """Each installation is held to constraints.txt."""
    installs = re.findall(r"pip install [^&\n]*", DOCKERFILE)

    assert installs
    assert all("--constraint constraints.txt" in install for install in installs)


def test_the_entrypoint_on_kubernetes_is_a_command_of_ours(tmp_path: Path) -> None:
    """It names the mounted experiment, which is one, by a verb that there is."""
    words = kubernetes("RayJob")["spec"]["entrypoint"].split()
    [(name, text)] = kubernetes("ConfigMap")["data"].items()
    (tmp_path / name).write_text(text)

    assert words[:3] == ["python", "-m", "sweep"]
    assert words[4:] == [f"/experiments/{name}"]
    assert CliRunner().invoke(app, [words[3], "--help"]).exit_code == 0
    assert load(tmp_path / name).ray.address == "auto"


def test_the_cluster_on_kubernetes_asks_for_a_token_and_holds_no_password() -> None:
    """The operator makes the token; passwords are of a Secret."""
    cluster = kubernetes("RayJob")["spec"]["rayClusterSpec"]
    [head] = cluster["headGroupSpec"]["template"]["spec"]["containers"]

    assert cluster["authOptions"] == {"mode": "token"}
    for variable in head["env"]:
        if "PASSWORD" in variable["name"]:
            assert variable["valueFrom"]["secretKeyRef"]["name"] == "fcnet-sweep"
    pinned = (ROOT / "constraints.txt").read_text()
    assert f"\nray=={cluster['rayVersion']}\n" in pinned
