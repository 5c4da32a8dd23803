"""What compose.yaml says, for the image test: it runs these commands and no others.

Reads of the Compose specification what our file uses, and knows nothing of containers.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

_REFERENCE = re.compile(r"\$\{(?P<name>\w+)(?:(?P<how>:[-?])(?P<rest>[^}]*))?\}")


@dataclass(frozen=True)
class Service:
    """One part, as the file describes it.

    Attributes:
        name: By which the others find it.
        command: Its words.
        environment: What its process is told.
        volumes: Sources by the path inside: a named volume, or `./file`.
        healthcheck: The words of a command that succeeds when it is well.
        replicas: How many of it there are.
        needs: The services that are well before it starts.
        stop_grace_s: How long it may take to end, in seconds.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    volumes: Mapping[str, str]
    healthcheck: tuple[str, ...]
    replicas: int
    needs: tuple[str, ...]
    stop_grace_s: float


def read_services(path: Path, environment: Mapping[str, str]) -> list[Service]:
    """The services that a plain `up` starts, each after those it needs.

    Args:
        path: The compose file.
        environment: Values of the variables that the file refers to.

    Raises:
        ValueError: with the file's own message, for a variable that has to be set; and
            for services that need each other, or one that is not started.
    """
    found: dict[str, Any] = YAML(typ="safe").load(path)["services"]
    started = {n: _service(n, s, environment) for n, s in found.items() if _is_plain(s)}
    for service in started.values():
        for needed in set(service.needs) - started.keys():
            raise ValueError(f"{service.name}: needs {needed}, which is not started")
    order = TopologicalSorter({name: s.needs for name, s in started.items()})
    return [started[name] for name in order.static_order()]


def interpolate(text: str, environment: Mapping[str, str]) -> str:
    """Fill in `${NAME}`, `${NAME:-default}` and `${NAME:?message}`.

    Raises:
        ValueError: for a variable of the last kind that is not set, or empty.
    """

    def value(found: re.Match[str]) -> str:
        value = environment.get(found["name"], "")
        if not value and found["how"] == ":?":
            raise ValueError(f"{found['name']}: {found['rest']}")
        return value or (found["rest"] or "" if found["how"] == ":-" else "")

    return _REFERENCE.sub(value, text)


def _is_plain(service: Mapping[str, Any]) -> bool:
    return "profiles" not in service


def _service(name: str, raw: dict[str, Any], environment: Mapping[str, str]) -> Service:
    said = _filled(raw, environment)
    kind, *check = said["healthcheck"]["test"]
    assert kind == "CMD", f"{name}: found {kind}; allowed: CMD, which needs no shell"
    volumes = [volume.removesuffix(":ro") for volume in said.get("volumes", ())]
    return Service(
        name=name,
        command=tuple(said["command"]),
        environment=said["environment"],
        volumes={inside: source for source, _, inside in map(_parted, volumes)},
        healthcheck=tuple(check),
        replicas=int(said.get("deploy", {}).get("replicas", 1)),
        needs=tuple(said.get("depends_on", ())),
        stop_grace_s=float(said.get("stop_grace_period", "10s").removesuffix("s")),
    )


def _parted(volume: str) -> tuple[str, str, str]:
    return volume.rpartition(":")


def _filled(value: Any, environment: Mapping[str, str]) -> Any:
    """The same value with every reference in it filled in."""
    match value:
        case str():
            return interpolate(value, environment)
        case list():
            return [_filled(item, environment) for item in value]
        case dict():
            return {key: _filled(item, environment) for key, item in value.items()}
    return value
