"""Every file that a sweep writes of its own accord, in one place.

The stores are where the YAML says; relative to the folder the command is typed in.
"""

import os
import re
from pathlib import Path
from urllib.parse import quote

CHECKPOINT = "checkpoint/best.safetensors"  # artifact of a trial's run
BEST_CHECKPOINT = "best/best.safetensors"  # artifact of the study's run
EXPERIMENT = "experiment.yaml"  # artifact of the study's run
ENVIRONMENT = "environment.json"  # artifact of the study's run
FAILURE = "failure.txt"  # artifact of a failed trial's run


def dataset_cache() -> Path:
    """The folder of decoded data sets: `$XDG_CACHE_HOME/sweep`, or `~/.cache/sweep`."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "sweep" / "datasets"


def pack_cache() -> Path:
    """The file of measured pack sizes: `packs.json` beside the decoded data sets."""
    return dataset_cache().with_name("packs.json")


def sweep_folder(parent: str, name: str, study: str) -> Path:
    """The folder of what a study needs to go on after a crash, made absolute.

    Args:
        parent: The folder in which studies have theirs.
        name: The experiment's name.
        study: What tells studies of one name apart.
    """
    return Path(parent).absolute() / f"{quote(name, safe=' ')}-{study}"


def trials_folder(sweep: Path) -> Path:
    """The folder of the trials that are in training, by their numbers."""
    return sweep / "trials"


def checkpoint_file(sweep: Path, number: int, attempt: int) -> Path:
    """Where a checkpoint lies until MLflow has it; named as it will be there."""
    return sweep / "ended" / f"{number}-{attempt}" / Path(CHECKPOINT).name


def sqlite_file(url: str) -> Path | None:
    """The file behind a `sqlite:///` address; None for any other kind of store."""
    scheme, _, rest = url.partition("://")
    if scheme.split("+")[0] != "sqlite":
        return None
    return Path(rest.removeprefix("/").split("?")[0])


def without_password(text: str) -> str:
    """A store's address, or text with one in it, as people may see it.

    The name of an environment variable that holds the password is no secret.
    """
    variable = r"(?!\$\{\w+\}(?:@|&|$))"
    hidden = re.sub(rf"(://[^:/@\s]*):{variable}[^@/\s]*@", r"\1:***@", text)
    return re.sub(rf"([?&]password=){variable}[^&\s]*", r"\1***", hidden)
