"""What the stores say of an experiment, without changing them."""

from typing import Any

from sweep.experiment import Experiment
from sweep.paths import CHECKPOINT, without_password
from sweep.runs import RunIds, read_runs
from sweep.summary import read_summary
from sweep.trial import State, StudySummary, TrialRecord


def read_status(experiment: Experiment) -> tuple[StudySummary, RunIds]:
    """Read both stores.

    Raises:
        StoreError: if one of them cannot be read.
    """
    empty = StudySummary(dict.fromkeys(State, 0), ())
    summary = read_summary(experiment) or empty
    best = summary.best
    number = None if best is None else best.number
    return summary, read_runs(experiment, summary.study, number)


def status_json(
    experiment: Experiment, summary: StudySummary, runs: RunIds
) -> dict[str, Any]:
    """The object that `status --json` prints."""
    return {
        "name": experiment.name,
        "study_name": experiment.name,
        "storage": without_password(experiment.study.storage),
        "tracking_uri": without_password(experiment.mlflow.tracking_uri),
        "experiment_id": runs.experiment_id,
        "parent_run_id": runs.parent_run_id,
        "trials": {state.value: summary.counts[state] for state in State},
        "best": summary.best and best_json(summary.best, runs.best_run_id),
    }


def best_json(best: TrialRecord, run_id: str | None) -> dict[str, Any]:
    """The best trial in that object."""
    return {
        "number": best.number,
        "value": best.value,
        "epoch": best.epoch,
        "hparams": dict(best.hparams),
        "run_id": run_id,
        "checkpoint_uri": f"runs:/{run_id}/{CHECKPOINT}" if run_id else None,
    }
