"""What is known of a sweep, told by events alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from support import make_ended, make_experiment, make_record, make_report, make_spec
from sweep.experiment import Experiment
from sweep.live.board import Board
from sweep.live.pace import Use
from sweep.live.picture import Picture, Warned
from sweep.trial import Ending, Event, State, TrialEnded, TrialRecord

SECOND = 1000


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    return make_experiment(tmp_path, "study.trials=6")


def started(number: int, attempt: int = 0) -> Event:
    return Event(0, make_spec(number, attempt))


def reported(number: int, epoch: int, accuracy: float = 0.5, second: int = 1) -> Event:
    return Event(second * SECOND, make_report(number, epoch, accuracy))


def ended(number: int, state: State = State.COMPLETE, value: float = 0.5) -> Event:
    return Event(SECOND, make_ended(number), make_record(number, state, value))


def in_training(picture: Picture) -> list[int | None]:
    return [None if lane is None else lane.number for lane in picture.lanes]


def test_a_trial_stays_in_its_row_until_it_ends(experiment: Experiment) -> None:
    """The next one takes the row that is free, so the others do not move."""
    board = Board(experiment, 0)
    for number in range(3):
        board.take(started(number))
    board.take(ended(1))
    assert in_training(board.picture(0)) == [0, None, 2]

    board.take(started(3))
    assert in_training(board.picture(0)) == [0, 3, 2]


def test_a_lane_has_its_trial_s_curve_and_its_place(experiment: Experiment) -> None:
    """Worker and lane are known from the first epoch on."""
    board = Board(experiment, 0)
    board.take(started(0))
    board.take(reported(0, 1, 0.25))
    board.take(reported(0, 2, 0.5))

    [lane] = board.picture(SECOND).lanes
    assert lane is not None
    assert (lane.epoch, lane.epochs) == (2, 3)
    assert lane.curve == {1: 0.25, 2: 0.5}
    assert (lane.worker, lane.place) == ("node/1", 2)


def test_a_picture_does_not_change(experiment: Experiment) -> None:
    """It is drawn by another thread, while the sweep goes on."""
    board = Board(experiment, 0)
    board.take(started(0))
    [lane] = board.picture(0).lanes
    board.take(reported(0, 1))

    assert lane is not None
    assert lane.curve == {}


def test_what_is_told_twice_counts_once(experiment: Experiment) -> None:
    """An event log and a database both know of a trial."""
    board = Board(experiment, 0)
    events = [started(0), reported(0, 1), ended(0)]

    assert [board.take(event) for event in events] == [True, True, True]
    once = board.picture(SECOND)
    assert [board.take(event) for event in events] == [False, False, False]
    assert board.picture(SECOND) == once
    assert once.counts[State.COMPLETE] == 1


def test_the_ten_best_are_the_ten_best(experiment: Experiment) -> None:
    """The study's own and those that ended since; of equal ones the first."""
    known = [make_record(number, value=0.5) for number in range(9)]
    states = {record.number: State.COMPLETE for record in known}
    board = Board(experiment, 0, states, known)
    for number, value in ((9, 0.4), (10, 0.6), (11, 0.45), (12, 0.5)):
        board.take(started(number))
        board.take(ended(number, value=value))

    best = [record.number for record in board.picture(0).best]
    assert best == [10, *range(9)]
    assert board.picture(0).done == 13


def test_a_trial_that_goes_on_keeps_its_curve(experiment: Experiment) -> None:
    """Its attempt was interrupted; it counts as nothing yet."""
    board = Board(experiment, 0)
    for event in (started(0), reported(0, 1, 0.25)):
        board.take(event)
    stopped = make_ended(0, Ending.INTERRUPTED, None)
    board.take(Event(SECOND, stopped, make_record(0, State.WAITING, None)))
    assert board.picture(0).lanes == (None,)
    assert board.picture(0).done == 0

    board.take(started(0, attempt=1))
    board.take(reported(0, 2, 0.5))
    [lane] = board.picture(0).lanes
    assert lane is not None
    assert lane.curve == {1: 0.25, 2: 0.5}


def test_pace_and_use_come_from_the_epochs(experiment: Experiment) -> None:
    """An epoch each five seconds, half of which the worker spent on it."""
    board = Board(experiment, 0)
    board.take(started(0))
    for epoch in (1, 2):
        report = replace(make_report(0, epoch), seconds=2.5)
        board.take(Event(5 * epoch * SECOND, report))

    picture = board.picture(10 * SECOND)
    assert picture.epochs_per_minute == 12
    assert picture.use == Use(workers=1, busy=0.5)
    # one epoch of this trial, and three of each of the other five, at 12 a minute
    assert picture.eta is not None
    assert picture.eta.seconds == pytest.approx(16 * 5)


def test_the_timeout_ends_it_if_it_is_sooner(tmp_path: Path) -> None:
    """Known before the first epoch, unlike the time that the trials need."""
    board = Board(make_experiment(tmp_path, "study.timeout=1m"), 0)
    eta = board.picture(10 * SECOND).eta

    assert eta is not None
    assert (eta.seconds, eta.by_timeout) == (50, True)


def test_a_new_driver_begins_with_empty_rows(experiment: Experiment) -> None:
    """What the dead one had in training is not; curves and results stay known."""
    board = Board(experiment, 0)
    for event in (started(0), started(1), started(2), ended(1), reported(0, 1, 0.25)):
        board.take(event)
    board.expect(60 * SECOND)
    assert in_training(board.picture(60 * SECOND)) == [0, None, 2]

    board.take(Event(70 * SECOND, make_spec(0, attempt=1)))
    picture = board.picture(80 * SECOND)
    [lane] = picture.lanes
    assert lane is not None
    assert lane.curve == {1: 0.25}
    assert (picture.elapsed_s, picture.done) == (10, 1)


@pytest.mark.parametrize(
    ("ending", "state", "text"),
    [
        (Ending.FAILED, State.FAIL, "trial 0003: failed: KeyError: 5"),
        (
            Ending.LOST,
            State.WAITING,
            "trial 0003: lost: KeyError: 5; it is tried again",
        ),
    ],
)
def test_trouble_is_a_warning(
    experiment: Experiment, ending: Ending, state: State, text: str
) -> None:
    """With the last line of its reason, and what comes of it."""
    board = Board(experiment, 0)
    said = TrialEnded(3, 0, ending, reason="Traceback:\n  ...\nKeyError: 5")
    reason = said.reason if state is State.FAIL else None
    record = TrialRecord(3, state, None, None, make_spec().hparams, reason)
    board.take(started(3))
    board.take(Event(SECOND, said, record))

    assert board.picture(0).warnings == (Warned(SECOND, text),)


def test_a_warning_that_repeats_itself_is_counted(experiment: Experiment) -> None:
    """So that it does not push the others out of sight."""
    board = Board(experiment, 0)
    for second, text in ((1, "MLflow is away"), (2, "disk full"), (3, "disk full")):
        board.warn(second * SECOND, text)

    assert board.picture(0).warnings == (
        Warned(3 * SECOND, "disk full", times=2),
        Warned(1 * SECOND, "MLflow is away"),
    )
