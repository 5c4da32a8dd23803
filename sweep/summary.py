"""What a study's trials say in our words, from memory or from the storage."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from optuna.trial import FrozenTrial, TrialState

from sweep.experiment import Experiment
from sweep.paths import sqlite_file
from sweep.storage import find_study, open_storage, study_key
from sweep.trial import (
    Ending,
    PastTrial,
    State,
    StudySummary,
    TrialEnded,
    TrialRecord,
    TrialSpec,
)
from sweep.variables import filled
from sweep.verdict import ATTEMPT, DIVERGED

DONE = (TrialState.COMPLETE, TrialState.PRUNED)
REASON = "reason"  # attribute of a trial
_ENDINGS = {
    TrialState.COMPLETE: Ending.COMPLETE,
    TrialState.PRUNED: Ending.PRUNED,
    TrialState.FAIL: Ending.FAILED,
}


def read_summary(experiment: Experiment) -> StudySummary | None:
    """What the storage says of an experiment, without changing it.

    Returns:
        The summary, or None if the storage holds no such study.

    Raises:
        StoreError: if the storage cannot be read.
    """
    path = sqlite_file(filled("study.storage", experiment.study.storage))
    if path is not None and not path.exists():
        return None
    storage = open_storage(experiment.study.storage)
    study_id = find_study(storage, experiment.name)
    if study_id is None:
        return None
    trials = storage.get_all_trials(study_id)
    return summarise(experiment, trials, study_key(storage, study_id))


def summarise(
    experiment: Experiment, trials: Sequence[FrozenTrial], study: str
) -> StudySummary:
    """Count and rank trials.

    Args:
        experiment: Whose trials they are.
        trials: All of them.
        study: What tells the study from others of its name.
    """
    counts = Counter(State(trial.state.name) for trial in trials)
    ranked = [to_record(experiment, trial) for trial in trials if trial.state in DONE]
    ranked = [record for record in ranked if record.value is not None]
    ranked.sort(key=lambda record: (-(record.value or 0.0), record.number))
    by_state = {state: counts[state] for state in State}
    return StudySummary(by_state, tuple(ranked), study)


def to_record(experiment: Experiment, trial: FrozenTrial) -> TrialRecord:
    """What is known of a trial."""
    curve = trial.intermediate_values
    return TrialRecord(
        number=trial.number,
        state=State(trial.state.name),
        value=trial.value,
        # the first of several equal ones, as the worker that kept it decides too
        epoch=max(curve, key=lambda epoch: (curve[epoch], -epoch), default=None),
        hparams=experiment.hparams(trial.params),
        reason=trial.user_attrs.get(REASON),
    )


def to_ended(experiment: Experiment, trial: FrozenTrial) -> TrialEnded:
    """How a finished trial ended, as far as the study knows."""
    record, curve = to_record(experiment, trial), trial.intermediate_values
    is_diverged = record.reason == DIVERGED
    return TrialEnded(
        trial.number,
        int(trial.user_attrs.get(ATTEMPT, 0)),
        Ending.DIVERGED if is_diverged else _ENDINGS[trial.state],
        best_val_accuracy=max(curve.values(), default=None),
        best_epoch=record.epoch,
        reason=record.reason,
    )


def to_past(experiment: Experiment, trial: FrozenTrial) -> PastTrial:
    """All that the study knows of a finished trial."""
    began, end = trial.datetime_start, trial.datetime_complete
    assert began is not None
    assert end is not None
    record, ended = to_record(experiment, trial), to_ended(experiment, trial)
    return PastTrial(
        TrialSpec(trial.number, ended.attempt, record.hparams, experiment.study.seed),
        replace(ended, seconds=(end - began).total_seconds()),
        record,
        curve=trial.intermediate_values,
        began_ms=int(began.timestamp() * 1000),
        ended_ms=int(end.timestamp() * 1000),
    )
