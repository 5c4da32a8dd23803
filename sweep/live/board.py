"""What is known of a sweep, from what happens to its trials. Pure: times come along.

Events may be told twice, from two sources: what is known already changes nothing.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import count

from sweep.experiment import Experiment
from sweep.live.eta import Eta, all_epochs_left, sooner
from sweep.live.layout import BEST
from sweep.live.pace import Pace, Stretch
from sweep.live.picture import Ended, Lane, Picture, Warned
from sweep.trial import (
    Ending,
    EpochReport,
    Event,
    State,
    TrialRecord,
    TrialSpec,
)
from sweep.words import last_line, printable

_REMEMBERED = 50  # warnings, and attempts that ended
_TROUBLE = (Ending.FAILED, Ending.LOST, Ending.OUT_OF_MEMORY)


class Board:
    """Takes events, and shows what they amount to."""

    def __init__(
        self,
        experiment: Experiment,
        began_ms: int,
        states: Mapping[int, State] | None = None,
        ranking: Iterable[TrialRecord] = (),
    ) -> None:
        """Begin with what the study says already.

        Args:
            experiment: What runs.
            began_ms: When its driver began, in milliseconds since 1970.
            states: The state of its trials, by number.
            ranking: Its trials with a value, best first.
        """
        self._experiment, self._keys = experiment, tuple(experiment.space)
        known = (states or {}).items()
        self._finished = {n: state for n, state in known if state.is_finished}
        self._counts = Counter(self._finished.values())
        self._best = list(ranking)[:BEST]
        self._lanes: dict[int, Lane] = {}
        self._rows: dict[int, int] = {}  # a trial stays in its row until it ends
        self._curves: dict[int, dict[int, float]] = {}  # of trials that will go on
        self._ended: deque[Ended] = deque(maxlen=_REMEMBERED)
        self._warnings: deque[Warned] = deque(maxlen=_REMEMBERED)
        self._epochs_of_ended: Counter[int] = Counter()
        self._expected_ms: int | None = None
        self._begin(began_ms)

    def expect(self, began_ms: int) -> None:
        """Count anew from the first event at that time or later: a driver began."""
        self._expected_ms = began_ms

    def _begin(self, began_ms: int) -> None:
        """Count from a moment at which no trial is in training."""
        self._expected_ms = None
        self._began_ms = began_ms
        self._curves |= {number: lane.curve for number, lane in self._lanes.items()}
        self._lanes, self._rows, self._most_rows = {}, {}, 0
        self._epochs, self._trials = Pace(began_ms, 200), Pace(began_ms, 20)

    @property
    def is_complete(self) -> bool:
        """Whether there are as many trials as are wanted."""
        done = self._counts[State.COMPLETE] + self._counts[State.PRUNED]
        return done >= self._experiment.trials

    def warn(self, time_ms: int, text: str) -> None:
        """Keep something that people should know."""
        text = printable(text)
        last = self._warnings[0] if self._warnings else None
        if last is not None and last.text == text:
            self._warnings[0] = Warned(time_ms, text, last.times + 1)
        else:
            self._warnings.appendleft(Warned(time_ms, text))

    def take(self, event: Event) -> bool:
        """Take in what happened; whether it was news."""
        if self._expected_ms is not None and event.time_ms >= self._expected_ms:
            self._begin(event.time_ms)
        said = event.said
        if said.number in self._finished:
            return False
        if isinstance(said, TrialSpec):
            return self._start(said)
        if isinstance(said, EpochReport):
            return self._report(said, event.time_ms)
        assert event.record is not None
        return self._end(Ended(said, event.record), event.time_ms)

    def _start(self, spec: TrialSpec) -> bool:
        lane = self._lane(spec.number)
        is_news = not lane.hparams
        lane.hparams = spec.hparams
        lane.epochs = int(spec.hparams.get("num_epochs", lane.epochs))
        return is_news

    def _lane(self, number: int) -> Lane:
        """The lane of a trial, which is given one if it has none."""
        if number not in self._lanes:
            taken = set(self._rows.values())
            self._rows[number] = next(row for row in count() if row not in taken)
            self._most_rows = max(self._most_rows, self._rows[number] + 1)
            lane = Lane(number, self._experiment.max_epochs)
            lane.curve = self._curves.pop(number, {})
            self._lanes[number] = lane
        return self._lanes[number]

    def _report(self, report: EpochReport, time_ms: int) -> bool:
        lane = self._lane(report.number)
        if report.epoch in lane.curve:
            return False
        lane.curve[report.epoch] = report.val_accuracy
        if report.worker:
            lane.worker, lane.place = report.worker, report.lane
        self._epochs.add(Stretch(time_ms, report.worker, report.seconds))
        return True

    def _end(self, ended: Ended, time_ms: int) -> bool:
        lane = self._lane(ended.said.number)
        del self._lanes[lane.number], self._rows[lane.number]
        self._ended.appendleft(ended)
        if ended.said.ending in _TROUBLE:
            self.warn(time_ms, _trouble(ended))
        if ended.record.state.is_finished:
            self._finish(ended, lane, time_ms)
        else:
            self._curves[lane.number] = lane.curve
        return True

    def _finish(self, ended: Ended, lane: Lane, time_ms: int) -> None:
        record = ended.record
        self._finished[record.number] = record.state
        self._counts[record.state] += 1
        self._trials.add(Stretch(time_ms))
        if record.state is not State.FAIL and ended.said.same_as is None:
            self._epochs_of_ended[lane.epoch] += 1
        if record.value is not None:
            self._best = sorted([*self._best, record], key=_rank)[:BEST]

    def picture(self, now_ms: int) -> Picture:
        """All that is known at a moment, given in milliseconds since 1970."""
        elapsed_s = max(now_ms - self._began_ms, 0) / 1000
        in_row = {self._rows[number]: lane for number, lane in self._lanes.items()}
        lanes = (in_row.get(row) for row in range(self._most_rows))
        per_minute = self._epochs.per_minute(now_ms)
        return Picture(
            name=self._experiment.name,
            keys=self._keys,
            wanted=self._experiment.trials,
            counts={state: self._counts[state] for state in State},
            elapsed_s=elapsed_s,
            eta=self._eta(elapsed_s, per_minute),
            trials_per_minute=self._trials.per_minute(now_ms),
            epochs_per_minute=per_minute,
            use=self._epochs.use(now_ms),
            lanes=tuple(lane and replace(lane, curve={**lane.curve}) for lane in lanes),
            best=tuple(self._best),
            ended=tuple(self._ended),
            warnings=tuple(self._warnings),
        )

    def _eta(self, elapsed_s: float, per_minute: float | None) -> Eta | None:
        timeout = self._experiment.study.timeout
        timeout_s = None if timeout is None else timeout - elapsed_s
        done = self._counts[State.COMPLETE] + self._counts[State.PRUNED]
        to_begin = max(self._experiment.trials - done - len(self._lanes), 0)
        left = all_epochs_left(
            [(lane.epoch, lane.epochs) for lane in self._lanes.values()],
            to_begin,
            self._experiment.max_epochs,
            self._epochs_of_ended,
        )
        trials_s = left * 60 / per_minute if per_minute else None
        return sooner(trials_s, timeout_s)


def _rank(record: TrialRecord) -> tuple[float, int]:
    assert record.value is not None
    return -record.value, record.number


def _trouble(ended: Ended) -> str:
    what = f"trial {ended.said.number:04d}: {ended.said.ending.value}"
    reason = ended.record.reason or ended.said.reason
    text = what if reason is None else f"{what}: {last_line(reason)}"
    goes_on = ended.record.state is State.WAITING
    return f"{text}; it is tried again" if goes_on else text
