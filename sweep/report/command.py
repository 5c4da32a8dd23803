"""`sweep report`: reads the stores, writes one HTML file, and prints its path."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from sweep.config import load
from sweep.databases import check_sqlite
from sweep.errors import UsageError
from sweep.files import write_whole
from sweep.report.contents import gather
from sweep.report.render import STUDY_TAG, render

_HEAD_BYTES = 4096  # in which a report says whose it is


def report(file: Path, overrides: Sequence[str], output: Path) -> Path:
    """Write the report of an experiment's study.

    Args:
        file: The YAML.
        overrides: `dotted.key=value` each.
        output: The folder; made if it is not there.

    Returns:
        The report's path.

    Raises:
        UsageError: There is no such study, or something else lies at the path.
    """
    experiment = load(file, overrides)
    check_sqlite("study.storage", experiment.study.storage)
    check_sqlite("mlflow.tracking_uri", experiment.mlflow.tracking_uri)
    contents = gather(experiment, file, overrides)
    path = output / f"{quote(experiment.name, safe=' ')}-{contents.key}.html"
    _check(path, contents.key)
    try:
        write_whole(path, render(contents).encode())
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written: {error.strerror or error}; what to do: name "
            "another folder with --output"
        ) from error
    return path


def _check(path: Path, key: str) -> None:
    """Refuse to overwrite what is not a report of this study."""
    if not path.exists():
        return
    tag = STUDY_TAG.format(key=key).encode()
    if path.is_file():
        with path.open("rb") as file:
            if tag in file.read(_HEAD_BYTES):
                return
    raise UsageError(
        f"{path}: is there, and is not a report of this study; what to do: move it "
        "away, or name another folder with --output"
    )
