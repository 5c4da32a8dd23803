"""What a study's trials say in our words, from memory or from the storage."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from optuna.trial import FrozenTrial, TrialState

from sweep.experiment import Experiment
from sweep.storage import (
    count_trials,
    find_study,
    open_storage,
    reading,
    study_key,
)
from sweep.stores import is_missing, storage_address
from sweep.trial import (
    Ending,
    EpochReport,
    Event,
    PastTrial,
    State,
    StudySummary,
    TrialEnded,
    TrialRecord,
    TrialSpec,
)
from sweep.verdict import ATTEMPT, DIVERGED

DONE = (TrialState.COMPLETE, TrialState.PRUNED)
REASON = "reason"  # attribute of a trial
_ENDINGS = {
    TrialState.COMPLETE: Ending.COMPLETE,
    TrialState.PRUNED: Ending.PRUNED,
    TrialState.FAIL: Ending.FAILED,
}


def read_summary(experiment: Experiment) -> StudySummary | None:
    """What the storage says of an experiment, without changing it; see read_trials.

    Returns:
        The summary, or None if the storage holds no such study.
    """
    found = read_trials(experiment)
    return None if found is None else summarise(experiment, *found)


def read_trials(experiment: Experiment) -> tuple[list[FrozenTrial], str] | None:
    """Copy an experiment's study out of its storage, without changing it.

    Returns:
        All trials, and what tells the study from others of its name; None if the
        storage holds no such study.

    Raises:
        StoreError: if the storage cannot be opened.
        StoreUnavailable: if it cannot be read.
    """
    url = experiment.study.storage
    if is_missing(storage_address(experiment)):
        return None
    storage = open_storage(url)
    with reading(url):
        study_id = find_study(storage, experiment.name)
        if study_id is None:
            return None
        return storage.get_all_trials(study_id), study_key(storage, study_id)


def count_done(experiment: Experiment) -> int:
    """How many trials of an experiment are COMPLETE or PRUNED; 0 without a study.

    Raises:
        StoreError: if the storage cannot be opened.
        StoreUnavailable: if it cannot be read.
    """
    url = experiment.study.storage
    if is_missing(storage_address(experiment)):
        return 0
    storage = open_storage(url)
    with reading(url):
        study_id = find_study(storage, experiment.name)
        return 0 if study_id is None else count_trials(storage, study_id, DONE)


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


def to_events(experiment: Experiment, trial: FrozenTrial, now_ms: int) -> list[Event]:
    """What has happened to a trial, as far as the study knows; none while it waits.

    Optuna keeps no times of epochs: they are spread evenly over the trial's time.

    Args:
        experiment: Whose trial it is.
        trial: The trial.
        now_ms: The time, in milliseconds since 1970, for one that runs.
    """
    began, end = trial.datetime_start, trial.datetime_complete
    if began is None or trial.state == TrialState.WAITING:
        return []
    began_ms = int(began.timestamp() * 1000)
    ended_ms = now_ms if end is None else int(end.timestamp() * 1000)
    record, attempt = to_record(experiment, trial), trial.user_attrs.get(ATTEMPT, 0)
    spec = TrialSpec(trial.number, attempt, record.hparams, seed=experiment.study.seed)
    curve = sorted(trial.intermediate_values.items())
    each_ms = (ended_ms - began_ms) / max(len(curve), 1)
    events = [Event(began_ms, spec)]
    for place, (epoch, value) in enumerate(curve, start=1):
        report = _report(trial.number, attempt, epoch, value)
        events.append(Event(began_ms + int(place * each_ms), report))
    if trial.state.is_finished():
        ended = replace(
            to_ended(experiment, trial), seconds=(ended_ms - began_ms) / 1000
        )
        events.append(Event(ended_ms, ended, record))
    return events


def _report(number: int, attempt: int, epoch: int, value: float) -> EpochReport:
    """An epoch of which the study has kept the validation accuracy alone."""
    unknown = math.nan
    return EpochReport(
        number,
        attempt,
        epoch,
        train_loss=unknown,
        train_accuracy=unknown,
        val_accuracy=value,
        learning_rate=unknown,
        losses=(),
        seconds=0.0,
    )
