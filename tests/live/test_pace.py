"""How fast it goes, and how busy the workers are."""

import pytest

from sweep.live.pace import Pace, Stretch, Use

MINUTE = 60_000


def test_nothing_has_no_rate() -> None:
    """Nor is anything known of a worker."""
    pace = Pace(0, least=3)

    assert pace.per_minute(MINUTE) is None
    assert pace.use(MINUTE) is None


def test_a_rate_is_counted_from_the_beginning() -> None:
    """What was before that does not count."""
    pace = Pace(MINUTE, least=3)
    for time_ms in (0, 2 * MINUTE, 3 * MINUTE):
        pace.add(Stretch(time_ms))

    assert pace.per_minute(5 * MINUTE) == 0.5


def test_what_was_long_ago_is_forgotten() -> None:
    """A burst in the first minute says nothing of the rate an hour later."""
    pace = Pace(0, least=3)
    for time_ms in [*range(100), *range(50 * MINUTE, 60 * MINUTE, MINUTE)]:
        pace.add(Stretch(time_ms))

    assert pace.per_minute(59 * MINUTE) == pytest.approx(1.0)


def test_what_is_rare_is_remembered_for_longer() -> None:
    """One trial an hour is a rate, too."""
    pace = Pace(0, least=3)
    for hour in (1, 2, 3, 4):
        pace.add(Stretch(hour * 60 * MINUTE))

    assert pace.per_minute(4 * 60 * MINUTE) == pytest.approx(1 / 60)


def test_lanes_of_a_pack_keep_their_worker_busy_once() -> None:
    """Two lanes trained from 0 to 30 s, and nothing since: half of a minute."""
    pace = Pace(0, least=3)
    for _ in range(2):
        pace.add(Stretch(30_000, "node/0", 30.0))

    assert pace.use(30_000) == Use(workers=1, busy=1.0)
    # it may be in the middle of an epoch
    assert pace.use(45_000) == Use(workers=1, busy=1.0)
    # but not of one that takes four times as long
    assert pace.use(120_000) == Use(workers=1, busy=0.25)


def test_a_worker_that_waited_was_not_busy() -> None:
    """One of two workers had pauses as long as its epochs."""
    pace = Pace(0, least=3)
    for end_ms in (10_000, 20_000, 30_000, 40_000):
        pace.add(Stretch(end_ms, "node/0", 10.0))
        pace.add(Stretch(end_ms, "node/1", 5.0))

    assert pace.use(40_000) == Use(workers=2, busy=0.75)


def test_an_epoch_that_began_before_counts_from_the_beginning() -> None:
    """A share is never more than the whole."""
    pace = Pace(10_000, least=3)
    pace.add(Stretch(20_000, "node/0", 15.0))

    assert pace.use(20_000) == Use(workers=1, busy=1.0)
