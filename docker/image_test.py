"""Builds the image, runs all that compose.yaml describes, and sweeps the digits there.

    make image-test

There is no container engine in this: buildah makes images and gives processes their
files, network namespaces give them addresses, and every command, variable, volume and
health check is read from compose.yaml. `make image-test KEEP=1` leaves the images that
it built, and takes those that are there. Needs root, and of Debian's packages buildah,
debootstrap, iproute2 and curl.
"""

import argparse
import os
import secrets
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from compose_file import Service, read_services
from containers import Container, addresses, inside, network
from images import (
    HERE,
    IMAGE,
    REPOSITORY,
    build_base,
    build_image,
    build_postgres,
    buildah,
    remove_images,
)
from processes import wait_until

STORES = (
    "study.storage=postgresql+psycopg://optuna:${OPTUNA_PASSWORD}@postgres/optuna",
    "study.folder=/sweeps",
    "mlflow.tracking_uri=http://mlflow:5000",
)
SUBMIT = (
    *("-m", "sweep", "submit", "experiments/digits.yaml"),
    *("--address", "http://127.0.0.1:8265"),
    *(word for setting in STORES for word in ("--set", setting)),
)
_SUPPORT = REPOSITORY / "tests" / "support"


def main() -> None:
    """Do it all, and leave nothing running."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--keep-images", action="store_true")
    # what is running ends with this process, also when it is asked to end
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with ExitStack() as stack:
        if not parser.parse_args().keep_images:
            stack.callback(remove_images)
        for step in (build_base, build_postgres, build_image):
            _timed(step.__name__.replace("_", " "), step)
        size = buildah("images", "--format={{.Size}}", f"localhost/{IMAGE}")
        _say(f"the image takes {size}")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory("fcnet-sweep")))
        passwords = make_passwords()
        services = read_services(HERE / "compose.yaml", passwords)
        parts = stack.enter_context(running(services, folder))
        show_users(parts)
        check_refusals(parts)
        sweep(parts, passwords)
        check_stores(parts)
        check_ray_logs(parts["head"])
        for part in reversed(parts.values()):
            stop(part)
        check_logs(parts, passwords)


def make_passwords() -> dict[str, str]:
    """A new value for each name that .env.example leaves empty."""
    lines = (HERE / ".env.example").read_text().splitlines()
    return {line[:-1]: secrets.token_hex(32) for line in lines if line.endswith("=")}


@contextmanager
def running(
    services: Sequence[Service], folder: Path
) -> Iterator[dict[str, Container]]:
    """Every part by its host's name, started in order and healthy."""
    named = {
        f"{s.name}-{i}" if s.replicas > 1 else s.name: s
        for s in services
        for i in range(1, s.replicas + 1)
    }
    hosts = addresses(list(named))
    with network(hosts), ExitStack() as stack:
        parts: dict[str, Container] = {}
        for name, service in named.items():
            parts[name] = Container(name, service, hosts, folder)
            stack.callback(parts[name].remove)
            _say(f"{name}: {' '.join(service.command)}")
            _timed(f"{name}: healthy", parts[name].start)
        yield parts


def check_refusals(parts: dict[str, Container]) -> None:
    """Nobody gets in without a token, a password, or under another name."""
    jobs, runs = (
        "http://127.0.0.1:8265/api/jobs/",
        "http://127.0.0.1:5000/api/2.0/mlflow",
    )
    search = f"{runs}/experiments/search?max_results=1"
    for name, expected, words in (
        ("head", 401, [jobs]),
        ("head", 403, [jobs, "--header", "Authorization: Bearer wrong"]),
        ("mlflow", 401, [search]),
        ("mlflow", 403, [search, "--header", "Host: elsewhere:5000"]),
    ):
        found = _status(parts[name], words)
        _say(f"{name}: {' '.join(words)}: {found}")
        assert found == expected, f"{name} answered {found}, not {expected}"


def sweep(parts: dict[str, Container], passwords: dict[str, str]) -> None:
    """Submit the digits from this machine, as its owner would."""
    _say("$ python", shlex.join(SUBMIT))
    environment = {
        **os.environ,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": passwords["RAY_AUTH_TOKEN"],
    }
    # where Docker publishes it: 127.0.0.1 is the head's own here
    done = subprocess.run(
        [*inside("head"), sys.executable, *SUBMIT],
        cwd=REPOSITORY,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, f"submit ended with {done.returncode}"


def check_stores(parts: dict[str, Container]) -> None:
    """Both stores, asked by their own clients, have the study, and the same one."""
    print(
        parts["head"].execute(
            "python",
            "/check/check_stores.py",
            mounts=(f"{HERE}:/check:ro", f"{_SUPPORT}:/support:ro"),
        ),
        end="",
    )


def check_ray_logs(head: Container) -> None:
    """Ray's own logs, and what it unpacked for the job, hold none of its passwords."""
    for name in ("RAY_AUTH_TOKEN", "OPTUNA_PASSWORD", "MLFLOW_TRACKING_PASSWORD"):
        head.execute("sh", "-c", is_nowhere(f"${name}", "/tmp/ray"))
    _say("no password in Ray's logs on the head")


def is_nowhere(text: str, folder: str) -> str:
    """A shell command that succeeds if a folder was read and has no such text."""
    grep = "grep --recursive --devices=skip --fixed-strings"
    return f'test -d {folder} || exit; {grep} "{text}" {folder}; test $? -eq 1'


def stop(part: Container) -> None:
    """Send the one signal that an engine sends; all of the part ends, well in time."""
    seconds, code = part.stop()
    _say(f"{part.name}: asked to end, did after {seconds:.1f} s, exit {code}")
    wait_until(lambda: not part.processes(), 30, f"nothing of {part.name} is left")
    # Ray ends with 1 when it was asked to and has taken down its processes
    assert code == (1 if part.service.command[0] == "ray" else 0)


def check_logs(parts: dict[str, Container], passwords: dict[str, str]) -> None:
    """No part has printed a password."""
    for part in parts.values():
        printed = part.log.read_text()
        for name, value in passwords.items():
            assert value not in printed, f"{part.name} printed {name}"
    _say(f"no password in the logs of {', '.join(parts)}")


def show_users(parts: dict[str, Container]) -> None:
    """Who runs what."""
    for part in parts.values():
        user = part.execute("id").strip()
        _say(f"{part.name}: {user}")


def _status(part: Container, words: Sequence[str]) -> int:
    done = subprocess.run(
        [
            *inside(part.name),
            *("curl", "--silent", "--output", "/dev/null"),
            *("--write-out", "%{http_code}", *words),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def _timed(what: str, do: Callable[[], None]) -> None:
    began = time.monotonic()
    do()
    _say(f"{what}: {time.monotonic() - began:.0f} s")


def _say(*words: str) -> None:
    print("==", *words, flush=True)


if __name__ == "__main__":
    main()
