"""A place in the pool: the worker there, its trials, and what it is told next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from sweep.placement import Node
from sweep.trial import Ending, EpochReport, TrialEnded, TrialSpec

_MOST_FAILURES = 3  # in a row, before a worker is replaced, and given up


@dataclass
class Slot:
    """One worker's place.

    Attributes:
        actor: The worker; None after it was lost.
        node: The machine that it runs on.
        number: Its number in the pool, from 0; a worker that replaces it has the same.
        is_placed: Whether the worker has its place there, for which it waits before.
        lanes: Trials that it takes at most; 0 until it is ready.
        trials: Those that it has, by number.
        call: What it is doing; None while it waits for orders.
        called_at: Since when, in seconds by the pool's clock.
        orphans: Trials whose worker was lost here, since there was one that was ready.
        failures: Trials that failed here, and workers that were lost, in a row.
        reason: Why the last of them did.
        is_replaced: Whether the worker is a new one for the reason of such failures.
    """

    actor: Any
    node: Node
    number: int = 0
    is_placed: bool = False
    lanes: int = 0
    trials: dict[int, TrialSpec] = field(default_factory=dict)
    call: Any = None
    called_at: float = 0.0
    orphans: int = 0
    failures: int = 0
    reason: str = ""
    is_replaced: bool = False
    _costs: dict[int, float] = field(default_factory=dict)
    _places: dict[int, int] = field(default_factory=dict)
    _start: list[TrialSpec] = field(default_factory=list)
    _stop: dict[int, Ending] = field(default_factory=dict)
    _too_large: set[int] = field(default_factory=set)

    @property
    def is_ready(self) -> bool:
        """Whether the worker has started, and has its task."""
        return self.lanes > 0

    @property
    def room(self) -> int:
        """How many more trials it takes now; none before it is replaced."""
        if self._is_failing:
            return 0
        return max(0, self.lanes - len(self.trials))

    @property
    def is_to_be_replaced(self) -> bool:
        """Whether a new worker should come, which nobody's trials would suffer from."""
        return self._is_failing and not self.is_replaced and not self.trials

    @property
    def is_hopeless(self) -> bool:
        """Whether the new worker is no better than the old one."""
        return self._is_failing and self.is_replaced and not self.trials

    @property
    def _is_failing(self) -> bool:
        return self.failures >= _MOST_FAILURES * (1 + self.is_replaced)

    @property
    def work(self) -> float:
        """What an epoch of its trials costs, in any unit."""
        return sum(self._costs[number] for number in self.trials)

    def submit(self, spec: TrialSpec, cost: float = 1.0) -> None:
        """Have a trial begun with the next call; an epoch of it costs so much."""
        taken = {self._places[number] for number in self.trials}
        self._places[spec.number] = next(n for n in count() if n not in taken)
        self.trials[spec.number] = spec
        self._costs[spec.number] = cost
        self._start.append(spec)

    def refuses(self, spec: TrialSpec) -> bool:
        """Whether the device had no memory for that trial."""
        return spec.number in self._too_large

    def locate(self, report: EpochReport) -> EpochReport:
        """Say in a report of one of its trials where that was trained."""
        place = self._places[report.number]
        return replace(report, worker=f"{self.node.name}/{self.number}", lane=place)

    def end(self, number: int, ending: Ending) -> None:
        """Have a trial ended with the next call, if it is here."""
        if number in self.trials:
            self._stop[number] = ending

    def take_orders(self) -> tuple[Sequence[TrialSpec], Mapping[int, Ending]]:
        """What the worker is told now: trials to begin, and trials to end."""
        orders = self._start, self._stop
        self._start, self._stop = [], {}
        return orders

    def begin(self, actor: Any, placed: Any, now: float) -> None:
        """Have a new worker, which waits for its place."""
        self.actor, self.call, self.called_at = actor, placed, now
        self.is_placed = False

    def get_ready(self, lanes: int) -> None:
        """Take so many trials at a time from now on."""
        self.lanes, self.orphans = lanes, 0

    def lose(self, reason: str) -> list[TrialSpec]:
        """Let all trials go, since their worker is lost; return them."""
        lost = list(self.trials.values())
        self.trials, self._start, self._stop, self.call = {}, [], {}, None
        self.actor, self.lanes = None, 0
        self.orphans += len(lost)
        self.failures += 1  # a worker that dies again and again is no better
        self.reason = reason
        return lost

    def ended(self, ended: TrialEnded) -> None:
        """Let a trial go, and learn from how it ended."""
        del self.trials[ended.number]
        self._stop.pop(ended.number, None)
        if ended.ending is Ending.OUT_OF_MEMORY:
            self._too_large.add(ended.number)
        elif ended.ending is Ending.FAILED:
            self.failures += 1
            self.reason = ended.reason or "nobody knows why"
        elif ended.ending is not Ending.INTERRUPTED:
            self.failures, self.reason, self.is_replaced = 0, "", False
