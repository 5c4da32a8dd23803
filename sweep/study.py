"""The study: proposes trials, judges them, and keeps what it was told.

Knows Optuna, as search.py, storage.py and trial_tables.py do beside it. Sampler and
pruner work on a copy of the study in memory; each change is written to the storage in
one transaction before the loop goes on.
"""

from collections import Counter
from typing import Any, assert_never

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from sweep.databases import tune_sqlite
from sweep.experiment import Experiment
from sweep.memory import Memory
from sweep.paths import sqlite_file
from sweep.search import make_pruner, make_sampler, suggest, to_optuna
from sweep.storage import find_or_create, open_storage
from sweep.trial import (
    Ending,
    EpochReport,
    State,
    StudySummary,
    TrialEnded,
    TrialRecord,
    TrialSpec,
)
from sweep.trial_tables import TrialTables

MAX_LOST = 3  # workers that may die under one trial before it counts as failed

_DONE = (TrialState.COMPLETE, TrialState.PRUNED)
_ATTEMPT = "attempt"  # attributes of a trial
_LOST = "lost"
_REASON = "reason"
_SAME_AS = "same_as"
_DIVERGED = "diverged"

Params = frozenset[tuple[str, Any]]


class OptunaStudy:
    """A stored study, opened by its one driver.

    Trials that a former driver left running are made to wait for their next attempt,
    settings that the YAML enqueues are added once.
    """

    def __init__(self, experiment: Experiment) -> None:
        """Open the experiment's study, or create it.

        Raises:
            StoreError: if the storage cannot be opened, or its study of this name was
                made with other settings.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        tune_sqlite()
        self._experiment = experiment
        storage = open_storage(experiment.study.storage)
        study_id = find_or_create(storage, experiment)
        _release_running(storage, study_id)
        stored = storage.get_all_trials(study_id)
        self._tables = TrialTables(storage, study_id, stored)
        self._running: dict[int, Trial] = {}
        self._memory = Memory()
        self._study = optuna.create_study(
            study_name=experiment.name,
            storage=self._memory,
            direction="maximize",
            sampler=make_sampler(experiment, len(stored)),
            pruner=make_pruner(experiment),
        )
        self._study.add_trials(stored)
        for hparams in experiment.study.enqueue:
            self._study.enqueue_trial(hparams, skip_if_exists=True)
        for trial in self._trials[len(stored) :]:
            self._tables.add(trial)
        if experiment.study.sampler != "grid":  # which asks what it has tried
            self._memory.limit()
        self._done = 0
        self._results: dict[Params, int] = {}
        for trial in stored:
            self._count(trial)

    @property
    def _trials(self) -> list[FrozenTrial]:
        return self._memory.all_trials()

    @property
    def states(self) -> dict[int, State]:
        """The state of every trial, by number."""
        return {trial.number: State(trial.state.name) for trial in self._trials}

    @property
    def done(self) -> int:
        """Number of trials that are COMPLETE or PRUNED."""
        return self._done

    def ask(self) -> TrialSpec:
        """Propose a trial, or hand out one that waits; it is RUNNING from now on."""
        trial = self._propose()
        frozen = self._frozen(trial)
        if trial.number == len(self._tables):
            self._tables.add(frozen)
        else:
            self._tables.start(frozen)
        self._running[trial.number] = trial
        return TrialSpec(
            number=trial.number,
            attempt=frozen.user_attrs.get(_ATTEMPT, 0),
            hparams=self._experiment.hparams(frozen.params),
            seed=self._experiment.study.seed,
        )

    def _propose(self) -> Trial:
        space, condition = self._experiment.space, self._experiment.condition
        always = {k: to_optuna(d) for k, d in space.items() if condition(k) is None}
        trial = self._study.ask(always)
        for name, distribution in space.items():
            depends = condition(name)
            hparams = self._experiment.hparams(trial.params)
            if depends is not None and depends.holds(hparams):
                suggest(trial, name, distribution)
        return trial

    def find_same(self, spec: TrialSpec) -> TrialEnded | None:
        """How a trial will end, if a finished one has the same hyperparameters.

        All of a trial's draws come from hyperparameters and seed, so it would train to
        the very same curve.

        Returns:
            The ending to tell for it; None if there is no such trial.
        """
        params = self._frozen(self._running[spec.number]).params
        number = self._results.get(frozenset(params.items()))
        if number is None:
            return None
        record = _record(self._experiment, self._memory.get_trial(number))
        ending = Ending.COMPLETE if record.state is State.COMPLETE else Ending.PRUNED
        if record.reason == _DIVERGED:
            ending = Ending.DIVERGED
        curve = self._memory.get_trial(number).intermediate_values
        return TrialEnded(
            spec.number,
            spec.attempt,
            ending,
            best_val_accuracy=max(curve.values(), default=None),
            best_epoch=record.epoch,
            same_as=number,
        )

    def report(self, report: EpochReport) -> bool:
        """Store an epoch's validation accuracy; a step that is known stays as it is.

        Returns:
            Whether the pruner gives the trial up.
        """
        number, epoch = report.number, report.epoch
        trial = self._running[number]
        if epoch not in self._frozen(trial).intermediate_values:
            trial.report(report.val_accuracy, epoch)
            self._tables.report(number, epoch, report.val_accuracy)
        return trial.should_prune()

    def tell(self, ended: TrialEnded) -> TrialRecord:
        """Store how an attempt ended.

        Returns:
            What the study knows of the trial now; it is WAITING if it is to be tried
            again.
        """
        trial = self._running.pop(ended.number)
        if ended.same_as is not None:
            self._copy_curve(trial, ended.same_as)
        self._note_ending(trial, ended)
        frozen = self._frozen(trial)
        self._tables.end(frozen)
        self._count(frozen)
        return _record(self._experiment, frozen)

    def _note_ending(self, trial: Trial, ended: TrialEnded) -> None:
        match ended.ending:
            case Ending.COMPLETE:
                self._finish(
                    trial, TrialState.COMPLETE, value=self._value(trial, ended)
                )
            case Ending.PRUNED:
                self._finish(trial, TrialState.PRUNED)
            case Ending.DIVERGED:
                self._finish(trial, TrialState.PRUNED, reason=_DIVERGED)
            case Ending.FAILED:
                self._finish(trial, TrialState.FAIL, reason=ended.reason)
            case Ending.INTERRUPTED:
                self._try_again(trial)
            case Ending.LOST:
                lost = trial.user_attrs.get(_LOST, 0) + 1
                trial.set_user_attr(_LOST, lost)
                if lost > MAX_LOST:
                    self._finish(trial, TrialState.FAIL, reason=ended.reason)
                else:
                    self._try_again(trial)
            case _:
                assert_never(ended.ending)

    def summary(self) -> StudySummary:
        """What the study says now."""
        return _summarise(self._experiment, self._trials)

    def _count(self, trial: FrozenTrial) -> None:
        if trial.state in _DONE:
            self._done += 1
            self._results.setdefault(frozenset(trial.params.items()), trial.number)

    def _copy_curve(self, trial: Trial, number: int) -> None:
        trial.set_user_attr(_SAME_AS, number)
        curve = self._memory.get_trial(number).intermediate_values
        for epoch, value in curve.items():
            trial.report(value, epoch)
            self._tables.report(trial.number, epoch, value)

    def _frozen(self, trial: Trial) -> FrozenTrial:
        return self._memory.get_trial(trial._trial_id)

    def _value(self, trial: Trial, ended: TrialEnded) -> float | None:
        if self._experiment.study.value == "best_val_accuracy":
            return ended.best_val_accuracy
        curve = self._frozen(trial).intermediate_values
        return curve[max(curve)]

    def _finish(
        self,
        trial: Trial,
        state: TrialState,
        value: float | None = None,
        reason: str | None = None,
    ) -> None:
        if reason is not None:
            trial.set_user_attr(_REASON, reason)
        self._study.tell(trial, value, state)

    def _try_again(self, trial: Trial) -> None:
        trial.set_user_attr(_ATTEMPT, trial.user_attrs.get(_ATTEMPT, 0) + 1)
        self._memory.set_trial_state_values(trial._trial_id, TrialState.WAITING)


def read_summary(experiment: Experiment) -> StudySummary | None:
    """What the storage says of an experiment, without changing it.

    Returns:
        The summary, or None if the storage holds no such study.

    Raises:
        StoreError: if the storage cannot be read.
    """
    path = sqlite_file(experiment.study.storage)
    if path is not None and not path.exists():
        return None
    storage = open_storage(experiment.study.storage)
    try:
        study_id = storage.get_study_id_from_name(experiment.name)
    except KeyError:
        return None
    return _summarise(experiment, storage.get_all_trials(study_id))


def _summarise(experiment: Experiment, trials: list[FrozenTrial]) -> StudySummary:
    counts = Counter(State(trial.state.name) for trial in trials)
    ranked = [_record(experiment, trial) for trial in trials if trial.state in _DONE]
    ranked = [record for record in ranked if record.value is not None]
    ranked.sort(key=lambda record: (-(record.value or 0.0), record.number))
    return StudySummary({state: counts[state] for state in State}, tuple(ranked))


def _record(experiment: Experiment, trial: FrozenTrial) -> TrialRecord:
    curve = trial.intermediate_values
    return TrialRecord(
        number=trial.number,
        state=State(trial.state.name),
        value=trial.value,
        # the first of several equal ones, as the worker that kept it decides too
        epoch=max(curve, key=lambda epoch: (curve[epoch], -epoch), default=None),
        hparams=experiment.hparams(trial.params),
        reason=trial.user_attrs.get(_REASON),
    )


def _release_running(storage: RDBStorage, study_id: int) -> None:
    running = storage.get_all_trials(study_id, states=(TrialState.RUNNING,))
    for trial in running:
        attempt = trial.user_attrs.get(_ATTEMPT, 0) + 1
        storage.set_trial_user_attr(trial._trial_id, _ATTEMPT, attempt)
        storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
