"""Which versions a sweep was submitted with, and whether a cluster has the same."""

import json
import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import version

_PACKAGES = ("ray", "torch", "optuna", "mlflow")


def versions() -> dict[str, str]:
    """Of Python and of the libraries that a sweep's results and stores depend on."""
    return {"python": platform.python_version()} | {n: version(n) for n in _PACKAGES}


def to_json(found: Mapping[str, str]) -> str:
    """The text of a file with versions."""
    return json.dumps(found, indent=2) + "\n"


def from_json(text: str) -> dict[str, str]:
    """Read a file with versions."""
    return {str(name): str(found) for name, found in json.loads(text).items()}


def differences(there: Mapping[str, str], here: Mapping[str, str]) -> Iterator[str]:
    """What differs in a way that matters: in more than the last part of a version.

    A torch of another minor version trains other curves, a store of another Optuna or
    MLflow may have other tables, and this package is tested with one minor version of
    each; mending releases are what the last part is for.

    Args:
        there: Of the machine where the sweep was submitted.
        here: Of this process.
    """
    for name, wanted in there.items():
        found = here[name]
        if _minor(found) != _minor(wanted):
            yield (
                f"{name}: found {found} on the cluster; it was submitted with "
                f"{wanted}; what to do: install the same {_minor(wanted)} on both"
            )


def _minor(found: str) -> str:
    return ".".join(found.split(".")[:2])
