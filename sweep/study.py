"""The study: proposes trials, judges them, and keeps what it was told.

Knows Optuna, as search.py, storage.py and trial_tables.py do beside it. Sampler and
pruner work on a copy of the study in memory; each change is written to the storage in
one transaction before the loop goes on.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from sweep.databases import tune_sqlite
from sweep.experiment import Experiment
from sweep.lease import Lease, this_driver
from sweep.memory import Memory
from sweep.paths import sweep_folder, trials_folder
from sweep.search import make_pruner, make_sampler, suggest, to_optuna
from sweep.storage import (
    find_or_create,
    open_storage,
    set_aside,
    study_key,
)
from sweep.summary import DONE, REASON, summarise, to_ended, to_past, to_record
from sweep.trial import (
    Ending,
    EpochReport,
    PastTrial,
    State,
    StudySummary,
    TrialEnded,
    TrialRecord,
    TrialSpec,
)
from sweep.trial_tables import TrialTables
from sweep.verdict import ATTEMPT, Verdict, judge

_SAME_AS = "same_as"  # attribute of a trial


class OptunaStudy:
    """A stored study, opened by its one driver.

    Settings that the YAML enqueues are added once. Trials that a former driver left
    RUNNING stay so until `recover` is called.

    Attributes:
        key: What tells the study from others of its name.
        former: The key of the study that was set aside for this one, if one was.
        folder: Where the sweep keeps what it needs to go on after a crash.
    """

    def __init__(
        self,
        experiment: Experiment,
        say: Callable[[str], None] = print,
        *,
        fresh: bool = False,
    ) -> None:
        """Open the experiment's study, or create it.

        Args:
            experiment: The experiment.
            say: Prints a line for people.
            fresh: Whether a study of this name is set aside, and the next one begun.

        Raises:
            StoreError: if the storage cannot be opened, or its study of this name was
                made with other settings.
            StudyBusy: if another driver runs the study.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        tune_sqlite()
        self._experiment = experiment
        storage, driver = open_storage(experiment.study.storage), this_driver()
        self.former = (
            set_aside(storage, experiment.name, driver, say) if fresh else None
        )
        study_id = find_or_create(storage, experiment)
        self._lease = Lease(storage, study_id, driver)
        self._lease.acquire(say)
        self.key = study_key(storage, study_id)
        self.folder = sweep_folder(experiment.study.folder, experiment.name, self.key)
        stored = storage.get_all_trials(study_id)
        self._tables = TrialTables(storage, study_id, stored, self._lease, say)
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
        self._results: dict[frozenset[tuple[str, Any]], int] = {}
        for trial in stored:
            self._count(trial)

    def recover(self, said: Iterable[TrialSpec | EpochReport | TrialEnded]) -> None:
        """Bring trials that a former driver left RUNNING to where it had them.

        Args:
            said: What it has taken down, in its order; of any trials. A trial of which
                the end is not among it waits for its next attempt.
        """
        for left in self._trials:
            if left.state == TrialState.RUNNING:
                self._running[left.number] = Trial(self._study, left._trial_id)
        for message in said:
            trial = self._running.get(message.number)
            if trial is None or message.attempt != self._attempt(trial):
                continue
            if isinstance(message, EpochReport):
                self._store_report(message)
            elif isinstance(message, TrialEnded):
                self.judge(message)
                self.store(message.number)
        for number, trial in list(self._running.items()):
            self.judge(TrialEnded(number, self._attempt(trial), Ending.INTERRUPTED))
            self.store(number)

    def renew(self) -> None:
        """Show drivers elsewhere that this one lives.

        Raises:
            LeaseLost: One of them has taken the study over.
        """
        self._tables.renew()

    def close(self) -> None:
        """Leave the study to whoever comes."""
        self._lease.release()

    @property
    def _trials(self) -> list[FrozenTrial]:
        return self._memory.all_trials()

    @property
    def states(self) -> dict[int, State]:
        """The state of every trial, by number."""
        return {trial.number: State(trial.state.name) for trial in self._trials}

    @property
    def is_owed(self) -> bool:
        """Whether a trial that was begun waits to go on."""
        return any(
            trial.state == TrialState.WAITING and ATTEMPT in trial.user_attrs
            for trial in self._trials
        )

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
            attempt=self._attempt(trial),
            hparams=self._experiment.hparams(frozen.params),
            seed=self._experiment.study.seed,
            folder=str(trials_folder(self.folder) / f"{trial.number:04d}"),
            known_epochs=max(frozen.intermediate_values, default=0),
        )

    def _attempt(self, trial: Trial) -> int:
        return int(self._frozen(trial).user_attrs.get(ATTEMPT, 0))

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
        ended = to_ended(self._experiment, self._memory.get_trial(number))
        own = replace(ended, number=spec.number, attempt=spec.attempt)
        return replace(own, reason=None, same_as=number)

    def report(self, report: EpochReport) -> bool:
        """Store an epoch's validation accuracy.

        Returns:
            Whether the pruner gives the trial up.
        """
        self._store_report(report)
        return self._running[report.number].should_prune()

    def judge(self, ended: TrialEnded) -> TrialRecord:
        """Make up one's mind about an attempt that ended; `store` comes next.

        Returns:
            What the study knows of the trial now; it is WAITING if it is to be tried
            again.
        """
        trial = self._running.pop(ended.number)
        if ended.same_as is not None:
            self._copy_curve(trial, ended.same_as)
        counts = self._frozen(trial).user_attrs
        verdict = judge(ended, counts, self._experiment.study.max_lost)
        self._apply(verdict, trial, ended)
        frozen = self._frozen(trial)
        self._count(frozen)
        return to_record(self._experiment, frozen)

    def store(self, number: int) -> None:
        """Store what `judge` has made of a trial.

        Raises:
            SweepFailed: The database refuses it, or stays away.
            LeaseLost: Another driver runs the study.
        """
        trial = self._trials[number]
        if _SAME_AS in trial.user_attrs:
            self._tables.report(number, trial.intermediate_values)
        self._tables.end(trial)

    def _store_report(self, report: EpochReport) -> None:
        # a step that is known stays as it is
        trial = self._running[report.number]
        if report.epoch not in self._frozen(trial).intermediate_values:
            trial.report(report.val_accuracy, report.epoch)
            self._tables.report(report.number, {report.epoch: report.val_accuracy})

    def _apply(self, verdict: Verdict, trial: Trial, ended: TrialEnded) -> None:
        for key, count in verdict.counts.items():
            trial.set_user_attr(key, count)
        if verdict.reason is not None:
            trial.set_user_attr(REASON, verdict.reason)
        if verdict.state is State.WAITING:
            self._memory.set_trial_state_values(trial._trial_id, TrialState.WAITING)
            return
        complete = verdict.state is State.COMPLETE
        value = self._value(trial, ended) if complete else None
        self._study.tell(trial, value, TrialState[verdict.state])

    def summary(self) -> StudySummary:
        """What the study says now."""
        return summarise(self._experiment, self._trials, self.key)

    def past(self) -> list[PastTrial]:
        """Every finished trial, by number."""
        finished = (trial for trial in self._trials if trial.state.is_finished())
        return [to_past(self._experiment, trial) for trial in finished]

    def _count(self, trial: FrozenTrial) -> None:
        if trial.state in DONE:
            self._done += 1
            self._results.setdefault(frozenset(trial.params.items()), trial.number)

    def _copy_curve(self, trial: Trial, number: int) -> None:
        trial.set_user_attr(_SAME_AS, number)
        source = self._memory.get_trial(number)
        for epoch, value in source.intermediate_values.items():
            trial.report(value, epoch)

    def _frozen(self, trial: Trial) -> FrozenTrial:
        return self._memory.get_trial(trial._trial_id)

    def _value(self, trial: Trial, ended: TrialEnded) -> float | None:
        if self._experiment.study.value == "best_val_accuracy":
            return ended.best_val_accuracy
        curve = self._frozen(trial).intermediate_values
        return curve[max(curve)]
