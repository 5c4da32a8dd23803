"""Which trial of a study is the best, and where it is to be found."""

from dataclasses import dataclass

from sweep.errors import ModelError
from sweep.experiment import Experiment
from sweep.paths import CHECKPOINT
from sweep.status import read_status
from sweep.trial import TrialRecord


@dataclass(frozen=True)
class Best:
    """The best trial of a study that is complete.

    Attributes:
        name: The experiment's name.
        trial: What the study knows of it; its value is not None.
        done: Number of trials that are COMPLETE or PRUNED.
        parent_run_id: The study's run in MLflow; None if MLflow has none yet.
        run_id: The trial's run in MLflow; None if MLflow has none yet.
    """

    name: str
    trial: TrialRecord
    done: int
    parent_run_id: str | None
    run_id: str | None

    @property
    def checkpoint_uri(self) -> str | None:
        """Where its checkpoint is, as MLflow spells it; None without a run."""
        return f"runs:/{self.run_id}/{CHECKPOINT}" if self.run_id else None


def find_best(experiment: Experiment) -> Best:
    """Look up the best trial that is complete, without changing anything.

    Raises:
        ModelError: No trial is complete.
        StoreError: A store cannot be read.
    """
    summary, runs = read_status(experiment)
    if summary.best is None:
        raise ModelError(
            f"{experiment.name}: no trial is COMPLETE, so there is no best one yet; "
            "what to do: python -m sweep run FILE"
        )
    return Best(
        experiment.name,
        summary.best,
        summary.done,
        runs.parent_run_id,
        runs.best_run_id,
    )
