"""Where results come from: versions, machine, git commit."""

import os
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import version

COMMIT = "SWEEP_COMMIT"  # environment variable: of the code where a job comes from
PACKAGES = ("torch", "torchvision", "ray", "optuna", "mlflow", "numpy")


@dataclass(frozen=True)
class Commit:
    """The commit that was checked out, and whether files differed from it."""

    sha: str
    dirty: bool

    def __str__(self) -> str:
        return self.sha + ("+" if self.dirty else "")


def environment() -> dict[str, str]:
    """Python, machine and package versions, by name."""
    machine = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpus": str(os.cpu_count()),
    }
    return machine | {name: version(name) for name in PACKAGES}


def git_commit() -> Commit | None:
    """The commit of the current folder; None outside a repository or without git.

    A job has that of the folder where it was submitted.
    """
    submitted = os.environ.get(COMMIT)
    if submitted:
        return Commit(submitted.removesuffix("+"), submitted.endswith("+"))
    sha = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain")
    return None if not sha or changes is None else Commit(sha, bool(changes))


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ("git", *arguments), capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
