"""The loop: ask, submit, report and tell, until the budget is spent.

Knows no library and no clock: it is handed all of them.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from sweep.budget import Budget
from sweep.errors import LeaseLost, SweepFailed
from sweep.trial import (
    Ending,
    EpochReport,
    Message,
    Notice,
    State,
    TrialEnded,
    TrialRecord,
    TrialSpec,
)

_POLL_S = 0.5  # how often an idle loop looks whether it is to stop


class Study(Protocol):
    """Proposes trials, judges them, and keeps what it was told."""

    @property
    def done(self) -> int:
        """Number of trials that are COMPLETE or PRUNED."""

    def ask(self) -> TrialSpec:
        """Propose a trial, or hand out one that waits."""

    def find_same(self, spec: TrialSpec) -> TrialEnded | None:
        """How the trial will end, if one of the same hparams has; None if none has."""

    def report(self, report: EpochReport) -> bool:
        """Store an epoch; whether the trial is to be pruned."""

    def judge(self, ended: TrialEnded) -> TrialRecord:
        """Make up one's mind about an attempt's end; what is known of the trial now."""

    def store(self, number: int) -> None:
        """Store what `judge` has made of a trial."""

    def renew(self) -> None:
        """Show drivers elsewhere that this one lives; called now and then."""


class Pool(Protocol):
    """Trains trials; see workers.RayPool."""

    def room(self) -> int:
        """How many more trials can be submitted now."""

    def submit(self, spec: TrialSpec) -> None:
        """Hand a trial to a worker."""

    def stop(self, number: int, ending: Ending) -> None:
        """End a trial after its current epoch; nothing happens if it has ended."""

    def wait(self, timeout_s: float) -> list[Message]:
        """Let every worker go on, and return what the next ones have to say."""


class Listener(Protocol):
    """Is told what happens, and must not keep the loop waiting."""

    def started(self, spec: TrialSpec) -> None:
        """An attempt begins."""

    def reported(self, report: EpochReport) -> None:
        """A trial finished an epoch."""

    def ended(self, ended: TrialEnded, record: TrialRecord) -> None:
        """An attempt ended, and this is what the study made of it."""

    def noticed(self, notice: Notice) -> None:
        """A worker has something to say."""


class Loop:
    """One sweep in progress: the trials that run now, and the failures in a row."""

    def __init__(
        self,
        study: Study,
        pool: Pool,
        listeners: Sequence[Listener],
        budget: Budget,
        clock: Callable[[], float],
    ) -> None:
        """Join the collaborators.

        Args:
            study: Where trials come from and results go.
            pool: Where they run.
            listeners: Who else is told.
            budget: When to stop.
            clock: Seconds since any fixed moment.
        """
        self._study, self._pool = study, pool
        self._listeners, self._budget = listeners, budget
        self._clock, self._began = clock, clock()
        self._running: dict[int, TrialSpec] = {}
        self._failures = 0
        self._last_reason: str | None = None

    def run(self, is_interrupted: Callable[[], bool]) -> None:
        """Run until the budget is spent and every trial has ended.

        Args:
            is_interrupted: Looked at between epochs; once it is true, running trials
                end with their epoch, to be continued another time.

        Raises:
            SweepFailed: if too many trials failed one after another.
        """
        try:
            while self._step(is_interrupted()):
                pass
        except LeaseLost:
            raise  # the trials are another driver's now
        except BaseException:
            self._abandon()
            raise
        if self._has_failed:
            raise SweepFailed(
                f"{self._failures} trials failed one after another, so the next would "
                f"fail too; the last one said: {self._last_reason}"
            )

    def _step(self, is_interrupted: bool) -> bool:
        """Give the pool work, and take what it says; whether there is more to do."""
        if is_interrupted or self._has_failed:
            for number in self._running:
                self._pool.stop(number, Ending.INTERRUPTED)
            wants_more = False
        else:
            wants_more = self._fill()
        if not self._running and not wants_more:
            return False
        messages = self._pool.wait(_POLL_S)
        self._study.renew()
        for message in messages:
            self._take(message)
        return True

    def _abandon(self) -> None:
        """Leave no trial running in the stores, whatever ended the loop."""
        for spec in list(self._running.values()):
            ended = TrialEnded(spec.number, spec.attempt, Ending.INTERRUPTED)
            self._take_ending(ended)

    @property
    def _has_failed(self) -> bool:
        return self._failures >= self._budget.max_failures

    def _fill(self) -> bool:
        """Start trials while there is room; whether more are wanted."""
        elapsed = self._clock() - self._began
        while self._budget.wants_more(self._study.done, len(self._running), elapsed):
            if not self._pool.room():
                return True
            self._start(self._study.ask())
        return False

    def _start(self, spec: TrialSpec) -> None:
        """Hand a trial to the pool, unless its result is known."""
        self._running[spec.number] = spec
        for listener in self._listeners:
            listener.started(spec)
        ended = self._study.find_same(spec)
        if ended is None:
            self._pool.submit(spec)
        else:
            self._take_ending(ended)

    def _take(self, message: Message) -> None:
        if isinstance(message, Notice):
            for listener in self._listeners:
                listener.noticed(message)
            return
        spec = self._running.get(message.number)
        if spec is None or spec.attempt != message.attempt:
            return  # a late word of an attempt that was given up
        if isinstance(message, EpochReport):
            self._take_report(message)
        else:
            self._take_ending(message)

    def _take_report(self, report: EpochReport) -> None:
        for listener in self._listeners:
            listener.reported(report)
        if self._study.report(report):
            self._pool.stop(report.number, Ending.PRUNED)

    def _take_ending(self, ended: TrialEnded) -> None:
        del self._running[ended.number]
        record = self._study.judge(ended)
        for listener in self._listeners:
            listener.ended(ended, record)
        self._study.store(ended.number)
        if record.state.is_finished:
            failed = record.state is State.FAIL
            self._failures = self._failures + 1 if failed else 0
            self._last_reason = record.reason
