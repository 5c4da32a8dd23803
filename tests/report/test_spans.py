"""When and where trials ran: pauses are left out, and busy is what it says."""

from sweep.plots.spans import Busy, Span, busy, without_pauses
from sweep.trial import State


def span(began_s: float, ended_s: float, worker: str = "a", lane: int = 0) -> Span:
    return Span(0, State.COMPLETE, worker, lane, began_s, ended_s)


def test_time_counts_from_the_first_start() -> None:
    """Short gaps stay as they are."""
    spans = without_pauses([span(1000, 1010), span(1030, 1040)])

    assert [(s.began_s, s.ended_s) for s in spans] == [(0, 10), (30, 40)]


def test_a_pause_is_left_out() -> None:
    """A sweep that went on the next day has no night in it."""
    spans = without_pauses([span(0, 500), span(10, 20), span(90_000, 90_100)])

    assert [(s.began_s, s.ended_s) for s in spans] == [(0, 500), (10, 20), (500, 600)]


def test_a_worker_is_busy_while_any_of_its_lanes_trains() -> None:
    """Of the time in which any worker trained."""
    spans = [span(0, 50), span(25, 75, lane=1), span(0, 100, worker="b")]

    assert busy(spans) == [Busy("a", 2, 2, 0.75), Busy("b", 1, 1, 1.0)]


def test_nothing_is_busy_without_trials() -> None:
    """An empty study has no workers."""
    assert busy(without_pauses([])) == []
