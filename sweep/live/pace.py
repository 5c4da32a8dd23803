"""How fast it goes, judged by what happened lately. Pure: times are handed in."""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

_WINDOW_MS = 5 * 60_000  # what is older is forgotten, but for the last few
_MOST = 5000  # that are remembered, however many happen in that time


class Stretch(NamedTuple):
    """What a worker did up to some moment.

    Attributes:
        end_ms: The moment, in milliseconds since 1970.
        worker: Which worker; empty if unknown.
        seconds: For how long.
    """

    end_ms: int
    worker: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Use:
    """How workers spent their time.

    Attributes:
        workers: Workers that were heard of.
        busy: The share of their time in which they trained or evaluated, from 0 to 1.
    """

    workers: int
    busy: float


class Pace:
    """Counts what happens, and forgets what was long ago."""

    def __init__(self, began_ms: int, least: int) -> None:
        """Begin at nothing.

        Args:
            began_ms: When the sweep began; what was before does not count.
            least: How many are remembered, however long ago they were: what is rare
                needs more than five minutes to have a rate.
        """
        self._start_ms, self._least = began_ms, least
        self._recent: deque[Stretch] = deque()

    def add(self, span: Stretch) -> None:
        """Count one more."""
        if span.end_ms < self._start_ms:
            return
        self._recent.append(span)
        while self._is_too_old(span.end_ms) or len(self._recent) > _MOST:
            # time is counted from what is forgotten, or there would be one too many
            self._start_ms = max(self._start_ms, self._recent.popleft().end_ms)

    def _is_too_old(self, now_ms: int) -> bool:
        oldest = self._recent[0]
        is_spare = len(self._recent) > self._least
        return is_spare and oldest.end_ms < now_ms - _WINDOW_MS

    def per_minute(self, now_ms: int) -> float | None:
        """How many there were a minute lately; None before the first."""
        if not self._recent or now_ms <= self._start_ms:
            return None
        return len(self._recent) * 60_000 / (now_ms - self._start_ms)

    def use(self, now_ms: int) -> Use | None:
        """How workers spent their time lately; None if nothing is known of it."""
        by_worker: dict[str, list[Stretch]] = defaultdict(list)
        for span in self._recent:
            if span.worker:
                by_worker[span.worker].append(span)
        return _use(by_worker, self._start_ms, now_ms)


def _use(
    by_worker: Mapping[str, list[Stretch]], start_ms: int, now_ms: int
) -> Use | None:
    busy = sum(_busy_ms(spans, start_ms) for spans in by_worker.values())
    there = sum(_known_ms(spans, start_ms, now_ms) for spans in by_worker.values())
    return Use(len(by_worker), min(1.0, busy / there)) if there > 0 else None


def _busy_ms(spans: Iterable[Stretch], start_ms: int) -> float:
    """Time in which a worker did anything; lanes of a pack train at the same time."""
    busy, done_ms = 0.0, float(start_ms)
    for span in sorted(spans):
        begin_ms = max(done_ms, span.end_ms - span.seconds * 1000)
        busy += max(0.0, span.end_ms - begin_ms)
        done_ms = max(done_ms, span.end_ms)
    return busy


def _known_ms(spans: list[Stretch], start_ms: int, now_ms: int) -> float:
    """Time of which it is known what a worker did.

    It is silent during an epoch. If it is for more than two, it has nothing to do.
    """
    last = max(spans)
    is_training = now_ms - last.end_ms <= 2000 * last.seconds
    return (last.end_ms if is_training else now_ms) - start_ms
