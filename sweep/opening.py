"""What has to be known of a study when its runs in MLflow are opened."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sweep.provenance import Commit
from sweep.trial import State, StudySummary


@dataclass(frozen=True)
class Opening:
    """A study, for a tracker that opens its runs.

    Attributes:
        folder: The sweep's folder, in which its log is.
        states: The state of every trial, by number.
        summary: What the study says.
        environment: Versions by name, kept as an artifact.
        commit: The git commit; None if unknown.
        former: The study that was set aside for this one; None if none was.
    """

    folder: Path
    states: Mapping[int, State]
    summary: StudySummary
    environment: Mapping[str, str]
    commit: Commit | None = None
    former: str | None = None
