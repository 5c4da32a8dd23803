"""The loop, with no Ray, no MLflow, no Optuna and no clock but the test's own."""

from collections import deque
from collections.abc import Iterable, Sequence

import pytest

from support import make_ended, make_record, make_report, make_spec
from sweep.budget import Budget
from sweep.errors import LeaseLost, SweepFailed
from sweep.runner import Loop
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

STATES = {
    Ending.COMPLETE: State.COMPLETE,
    Ending.PRUNED: State.PRUNED,
    Ending.DIVERGED: State.PRUNED,
    Ending.FAILED: State.FAIL,
    Ending.INTERRUPTED: State.WAITING,
    Ending.LOST: State.WAITING,
    Ending.OUT_OF_MEMORY: State.WAITING,
}


class Company:
    """Study, pool and listener in one, writing down all that the loop does.

    Attributes:
        log: What happened, in words.
        script: What each trial says, epoch by epoch; trials without one complete.
        same: Trials whose result is that of another one.
        lanes: How many trials run at a time.
    """

    def __init__(self, lanes: int = 1) -> None:
        self.log: list[str] = []
        self.script: dict[int, deque[Message]] = {}
        self.prune_at: dict[int, int] = {}
        self.same: dict[int, int] = {}
        self.lanes = lanes
        self.done = 0
        self.is_taken_over = False
        self._numbers = 0
        self._waiting: list[TrialSpec] = []
        self._running: dict[int, TrialSpec] = {}
        self._stop: dict[int, Ending] = {}

    def ask(self) -> TrialSpec:
        if self._waiting:
            return self._waiting.pop()
        self._numbers += 1
        return make_spec(self._numbers - 1)

    def find_same(self, spec: TrialSpec) -> TrialEnded | None:
        original = self.same.get(spec.number)
        if original is None:
            return None
        return make_ended(spec.number, same_as=original)

    def report(self, report: EpochReport) -> bool:
        self.log.append(f"report {report.number} epoch {report.epoch}")
        return report.epoch == self.prune_at.get(report.number)

    def judge(self, ended: TrialEnded) -> TrialRecord:
        state = STATES[ended.ending]
        self.log.append(f"judge {ended.number} {ended.ending}")
        self.done += state in (State.COMPLETE, State.PRUNED)
        if ended.ending is Ending.LOST:
            self._waiting.append(make_spec(ended.number, ended.attempt + 1))
        return make_record(ended.number, state)

    def store(self, number: int) -> None:
        self.log.append(f"store {number}")

    def renew(self) -> None:
        if self.is_taken_over:
            raise LeaseLost("another driver has it")

    def room(self) -> int:
        return self.lanes - len(self._running)

    def submit(self, spec: TrialSpec) -> None:
        self.log.append(f"submit {spec.number} attempt {spec.attempt}")
        self._running[spec.number] = spec

    def stop(self, number: int, ending: Ending) -> None:
        if number in self._running:
            self._stop[number] = ending

    def wait(self, timeout_s: float) -> list[Message]:
        messages: list[Message] = []
        for number, spec in list(self._running.items()):
            said: Message
            if number in self._stop:
                said = make_ended(number, self._stop.pop(number), attempt=spec.attempt)
            elif self.script.get(number):
                said = self.script[number].popleft()
            else:
                said = make_ended(number, attempt=spec.attempt)
            own = (number, spec.attempt)
            if isinstance(said, TrialEnded) and (said.number, said.attempt) == own:
                del self._running[number]
            messages.append(said)
        return messages

    def started(self, spec: TrialSpec) -> None:
        self.log.append(f"started {spec.number}")

    def reported(self, report: EpochReport) -> None:
        self.log.append(f"reported {report.number}")

    def noticed(self, notice: Notice) -> None:
        self.log.append(notice.text)

    def ended(self, ended: TrialEnded, record: TrialRecord) -> None:
        self.log.append(f"ended {ended.number} {record.state}")


def run(
    company: Company,
    trials: int = 1,
    seconds: float | None = None,
    interrupts: Sequence[bool] = (),
    clock: Iterable[float] = (),
) -> list[str]:
    """Run the loop; `interrupts` and `clock` are what each look at them shows.

    Once interrupted, a sweep stays so.
    """
    looks, times = iter(interrupts), iter(clock)
    interrupted = any(interrupts)
    budget = Budget(trials, seconds, max_failures=3)
    loop = Loop(company, company, [company], budget, lambda: next(times, 0.0))
    loop.run(lambda: next(looks, interrupted))
    return company.log


def test_a_trial_goes_from_ask_to_store_and_the_listener_hears_all_of_it() -> None:
    """Submitted, reported each epoch, judged once, taken down before it is stored."""
    company = Company()
    company.script[0] = deque([make_report(epoch=1), make_report(epoch=2)])

    assert run(company) == [
        "started 0",
        "submit 0 attempt 0",
        "reported 0",
        "report 0 epoch 1",
        "reported 0",
        "report 0 epoch 2",
        "judge 0 complete",
        "ended 0 COMPLETE",
        "store 0",
    ]


def test_a_trial_whose_result_is_known_is_told_and_not_trained() -> None:
    """It counts, and the next one is asked for at once."""
    company = Company()
    company.same[1] = 0

    log = run(company, trials=2)
    assert log[-4:] == ["started 1", "judge 1 complete", "ended 1 COMPLETE", "store 1"]
    assert "submit 1 attempt 0" not in log


@pytest.mark.parametrize("lanes", [1, 2, 3, 8])
def test_exactly_the_wanted_trials_are_begun(lanes: int) -> None:
    """However many run at a time, no trial too many is proposed."""
    log = run(Company(lanes), trials=5)

    assert sum(line.startswith("submit") for line in log) == 5
    assert sum(line.startswith("judge") for line in log) == 5


def test_a_pruned_trial_ends_after_the_epoch_that_condemned_it() -> None:
    """No report of a later epoch follows."""
    company = Company()
    company.prune_at[0] = 2
    company.script[0] = deque(make_report(epoch=epoch) for epoch in (1, 2, 3))

    judged = ["judge 0 pruned", "ended 0 PRUNED", "store 0"]
    assert run(company)[-4:] == ["report 0 epoch 2", *judged]


def test_a_failed_trial_is_made_up_for() -> None:
    """FAIL does not count towards the trials that are wanted."""
    company = Company()
    company.script[0] = deque([make_ended(0, Ending.FAILED)])

    told = [line for line in run(company, trials=2) if line.startswith("judge")]
    assert told == ["judge 0 failed", "judge 1 complete", "judge 2 complete"]


def test_too_many_failures_in_a_row_end_the_sweep() -> None:
    """The next would fail too; a success in between starts the count anew."""
    company = Company()
    for number in (0, 1, 3, 4, 5):
        company.script[number] = deque([make_ended(number, Ending.FAILED)])

    with pytest.raises(SweepFailed, match="3 trials failed one after another"):
        run(company, trials=9)
    assert company.log[-2] == "ended 5 FAIL"


def test_a_lost_trial_runs_again_as_its_next_attempt() -> None:
    """Its number stays, and the worker's death is not the end of the sweep."""
    company = Company()
    company.script[0] = deque([make_ended(0, Ending.LOST)])

    submitted = [line for line in run(company) if line.startswith("submit")]
    assert submitted == ["submit 0 attempt 0", "submit 0 attempt 1"]


def test_a_late_message_of_an_abandoned_attempt_is_dropped() -> None:
    """Neither its report nor its end reaches the study."""
    company = Company()
    late = (make_report(0, epoch=9), make_ended(0, Ending.FAILED))
    company.script[0] = deque([make_ended(0, Ending.LOST), *late])

    log = run(company)
    assert "report 0 epoch 9" not in log
    assert [line for line in log if line.startswith("judge")] == [
        "judge 0 lost",
        "judge 0 complete",
    ]


def test_a_message_of_a_trial_that_nobody_began_is_dropped() -> None:
    """Nothing is told of it."""
    company = Company()
    company.script[0] = deque([make_report(77), make_ended(77)])

    assert not [line for line in run(company) if "77" in line]


def test_an_interrupted_sweep_ends_its_trials_and_begins_none() -> None:
    """They are told as interrupted, to go on another time."""
    company = Company(lanes=2)
    for number in (0, 1):
        company.script[number] = deque([make_report(number)])
    log = run(company, trials=9, interrupts=[False, True])

    assert sum(line.startswith("submit") for line in log) == 2
    assert log[-2] == "ended 1 WAITING"
    assert company.done == 0


def test_a_trial_in_the_middle_is_interrupted_at_its_epoch_s_end() -> None:
    """It leaves in state WAITING."""
    company = Company()
    company.script[0] = deque(make_report(epoch=epoch) for epoch in range(1, 9))

    log = run(company, trials=9, interrupts=[False, True])
    assert log[-3:] == ["judge 0 interrupted", "ended 0 WAITING", "store 0"]


def test_after_the_timeout_running_trials_finish_and_none_begins() -> None:
    """The study's timeout is no guillotine."""
    company = Company()
    log = run(company, trials=9, seconds=60.0, clock=[0.0, 0.0, 0.0, 61.0])

    assert [line for line in log if line.startswith("judge")][-1].endswith("complete")
    assert company.done < 9


def test_whatever_ends_the_loop_no_trial_is_left_running() -> None:
    """An error, or a second Ctrl-C, still tells the study of every running trial."""

    class Broken(Company):
        def wait(self, timeout_s: float) -> list[Message]:
            raise KeyboardInterrupt

    company = Broken(lanes=2)
    with pytest.raises(KeyboardInterrupt):
        run(company, trials=9)

    assert company.log[-6:] == [
        "judge 0 interrupted",
        "ended 0 WAITING",
        "store 0",
        "judge 1 interrupted",
        "ended 1 WAITING",
        "store 1",
    ]


def test_a_driver_that_lost_its_study_leaves_the_trials_alone() -> None:
    """They are the other driver's now: none is judged, and nothing is taken down."""
    company = Company(lanes=2)
    company.is_taken_over = True
    with pytest.raises(LeaseLost, match="another driver"):
        run(company, trials=9)

    assert not [line for line in company.log if line.startswith(("judge", "ended"))]
