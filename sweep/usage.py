"""How much of what the workers computed was of use."""

from collections import Counter

from sweep.trial import (
    Ending,
    EpochReport,
    Notice,
    TrialEnded,
    TrialRecord,
    TrialSpec,
)

_KEPT = (Ending.COMPLETE, Ending.PRUNED, Ending.DIVERGED)


class Usage:
    """Counts lane-epochs, an epoch of one trial each; listens to the loop.

    A lane that is pruned or done costs nothing from then on, so what is lost are the
    epochs of attempts that were given up, and those in which a loss stopped being
    finite.
    """

    def __init__(self) -> None:
        """Begin at nothing."""
        self._computed = self._useful = 0
        self._epochs: Counter[int] = Counter()

    @property
    def share(self) -> float | None:
        """The share of computed lane-epochs that count; None before the first one."""
        return self._useful / self._computed if self._computed else None

    def started(self, spec: TrialSpec) -> None:
        """An attempt begins anew."""
        self._epochs[spec.number] = 0

    def reported(self, report: EpochReport) -> None:
        """Count an epoch."""
        self._computed += 1
        self._epochs[report.number] += 1

    def ended(self, ended: TrialEnded, record: TrialRecord) -> None:
        """Count the attempt's epochs as useful if its result is kept."""
        del record
        self._computed += ended.ending is Ending.DIVERGED
        if ended.ending in _KEPT:
            self._useful += self._epochs[ended.number]

    def noticed(self, notice: Notice) -> None:
        """Nothing to count."""
