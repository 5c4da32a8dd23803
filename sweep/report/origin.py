"""Where a study's results come from, as its run in MLflow says it."""

import json
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sweep.artifacts import Artifacts
from sweep.experiment import Experiment
from sweep.model.records import Records
from sweep.paths import ENVIRONMENT, EXPERIMENT
from sweep.run_writers import RunId
from sweep.runs import id_of, read_runs
from sweep.stores import tracking_address
from sweep.words import run_command


@dataclass(frozen=True)
class Origin:
    """What is needed to run a study again.

    Attributes:
        yaml: Every setting, as the sweep had it.
        versions: Of machine and packages, by name; empty if MLflow has none.
        commit: The git commit; None if unknown.
        is_dirty: Whether files differed from it.
        command: What repeats the study, for a shell.
        status: How the latest run of it ended, as MLflow says it; empty if unknown.
    """

    yaml: str
    versions: Mapping[str, str]
    commit: str | None
    is_dirty: bool
    command: str
    status: str


def read_origin(
    experiment: Experiment, study: str, file: Path, overrides: Sequence[str]
) -> Origin:
    """Ask MLflow for what the sweep wrote down when it began.

    Args:
        experiment: Whose study it is.
        study: What tells it from others of its name.
        file: The YAML, as it was called.
        overrides: `dotted.key=value` each.

    Raises:
        StoreError: if MLflow cannot be reached.
    """
    parent = read_runs(experiment, study, None).parent_run_id
    tags: Mapping[str, str] = {}
    texts, status = {}, ""
    if parent is not None:
        records = Records(experiment)
        with records.reaching():
            run = records.client.get_run(parent)
            texts = _texts(Artifacts(tracking_address(experiment)), id_of(run))
        tags, status = run.data.tags, run.info.status
    commit = tags.get("mlflow.source.git.commit")
    return Origin(
        yaml=texts.get(EXPERIMENT, experiment.to_yaml()),
        versions=json.loads(texts.get(ENVIRONMENT, "{}")),
        commit=commit,
        is_dirty=tags.get("sweep.git.dirty") == "true",
        command=_command(file, overrides, commit),
        status=status,
    )


def _texts(artifacts: Artifacts, run: RunId) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        return {
            name: artifacts.fetch(run, name, folder).read_text()
            for name in (EXPERIMENT, ENVIRONMENT)
            if artifacts.has(run, name)
        }


def _command(file: Path, overrides: Sequence[str], commit: str | None) -> str:
    checkout = f"git checkout {shlex.quote(commit)}\n" if commit else ""
    return checkout + run_command(file, overrides, "--fresh")
