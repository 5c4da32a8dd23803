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
PLOTS = "plots"  # folder of artifacts of the study's run
EVALUATION = "evaluation.json"  # artifact of the study's run
RETRAINING = "retraining.json"  # artifact of a retraining's run
ONNX = "model.onnx"  # in an export and in a registered model
SAFETENSORS, ARCHITECTURE = "model.safetensors", "model.json"  # in an export
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


# not what stands for a password: the name of a variable that holds it is no secret
_WRITTEN = r"(?!\$\{\w+\}(?:@|&|$))"


def without_password(address: str) -> str:
    """A store's address as people may see it.

    In an `http` address the password ends before the path. In any other one it may hold
    what it likes, as SQLAlchemy reads it, and is taken to end with the last @.
    """
    inside = "[^/?#]" if re.match("https?:", address) else "."
    user = rf"^([^:]+://[^:/]*):{_WRITTEN}{inside}*@"
    hidden = re.sub(user, r"\1:***@", address, flags=re.DOTALL)
    return re.sub(rf"([?&]password=){_WRITTEN}[^&]*", r"\1***", hidden)


def text_without_passwords(text: str) -> str:
    """What a library says, as people may see it, with addresses anywhere in it."""
    hidden = re.sub(rf"(://[^:/@\s]*):{_WRITTEN}[^@/\s]*@", r"\1:***@", text)
    return re.sub(rf"([?&]password=){_WRITTEN}[^&\s]*", r"\1***", hidden)
