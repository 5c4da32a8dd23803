"""Which workers there are: as nodes join and leave, and workers come to grief."""

from collections.abc import Sequence
from typing import Any

import pytest

from support import make_ended, make_node, make_spec
from sweep.errors import ClusterError
from sweep.membership import Membership
from sweep.placement import Node
from sweep.plan import Plan
from sweep.slots import Slot
from sweep.trial import Ending, Message, Notice, TrialEnded

ONE, TWO, LARGE = (make_node("one", 1), make_node("two", 2), make_node("large", 4))


class Company:
    """Members whose workers are names, and a clock that is set."""

    def __init__(self, workers: int = 1, more: int = 99) -> None:
        self.now, self.begun = 0.0, 0
        self.ended: list[Any] = []
        plan = Plan(workers, cpus=1, gpus=0.0, lanes=2, more=more)
        clock = lambda: self.now  # noqa: E731
        self.members = Membership(plan, self._start, self.ended.append, clock)

    def follow(self, *nodes: Node, ready: bool = True) -> list[Message]:
        """Show the nodes there are; new workers are ready then."""
        said = self.members.follow(nodes)
        for slot in self.members.slots if ready else ():
            slot.call, slot.is_placed = None, True
            slot.get_ready(2)
        return said

    def names(self) -> list[str]:
        """Each worker's node."""
        return sorted(slot.node.name for slot in self.members.slots)

    def on(self, node: Node) -> Slot:
        """The first worker of a node."""
        return next(slot for slot in self.members.slots if slot.node is node)

    def _start(self, node: Node) -> tuple[Any, Any]:
        self.begun += 1
        return f"worker {self.begun} on {node.name}", "a call"


def texts(said: Sequence[Message]) -> list[str]:
    return [message.text for message in said if isinstance(message, Notice)]


def test_each_node_has_as_many_workers_as_it_has_room_for() -> None:
    """Of unequal nodes, too."""
    company = Company()
    company.follow(ONE, TWO)

    assert company.names() == ["one", "two", "two"]


def test_a_node_that_joins_gets_workers() -> None:
    """People are told; the workers there were stay where they are."""
    company = Company()
    company.follow(ONE)
    before = company.on(ONE).actor
    said = company.follow(ONE, TWO)

    assert texts(said) == ["node two joined: 2 workers more"]
    assert company.names() == ["one", "two", "two"]
    assert company.on(ONE).actor == before
    assert company.follow(ONE, TWO) == []


def test_a_node_that_leaves_loses_its_trials() -> None:
    """They end as LOST, to be tried again; nobody waits for that node's workers."""
    company = Company()
    company.follow(ONE, TWO)
    for number in range(2):
        company.on(TWO).submit(make_spec(number))
    said = company.follow(ONE)
    lost = [m for m in said if isinstance(m, TrialEnded)]

    assert {(m.number, m.ending) for m in lost} == {(0, Ending.LOST), (1, Ending.LOST)}
    assert texts(said) == ["node two is gone: its 2 trials go on elsewhere"]
    assert company.names() == ["one"]


def test_trials_that_were_lost_before_their_node_was_are_told_of_with_it() -> None:
    """A worker's death is often heard of before its node's."""
    company = Company()
    company.follow(ONE, TWO)
    slot = company.on(TWO)
    slot.submit(make_spec(0))
    company.members.lose(slot, Ending.LOST, "its worker was lost")
    said = company.follow(ONE)

    assert said == [Notice("node two is gone: its 1 trial goes on elsewhere")]


def test_a_node_that_returns_is_a_new_one() -> None:
    """It has another id, so that it is not held against it that it was gone."""
    company = Company()
    company.follow(ONE, TWO)
    company.follow(ONE)
    again = Node("another id", "two", "127.0.0.2", 2.0, 0.0)

    assert texts(company.follow(ONE, again)) == ["node two joined: 2 workers more"]


def test_a_lost_worker_is_replaced_where_it_was_if_its_node_lives() -> None:
    """There is room: its own."""
    company = Company()
    company.follow(ONE, TWO)
    slot = company.on(ONE)
    company.members.lose(slot, Ending.LOST, "its worker was lost")
    assert slot.actor is None
    said = company.follow(ONE, TWO, ready=False)

    assert said == []
    assert slot.actor == "worker 4 on one"
    assert slot.room == 0  # it is on its way


def test_a_lost_worker_is_replaced_elsewhere_if_its_node_is_gone() -> None:
    """Where there is room beyond the workers that were of use so far."""
    company = Company(workers=2, more=0)
    company.follow(ONE, LARGE)
    assert company.names() == ["large", "large"]
    small = make_node("small", 2)
    said = company.follow(ONE, small)

    assert company.names() == ["one", "small"] or company.names() == ["small", "small"]
    assert "node large is gone" in texts(said)


def test_there_are_never_more_workers_than_trials_need() -> None:
    """However many nodes join."""
    company = Company(workers=2, more=1)
    company.follow(TWO)
    company.follow(TWO, LARGE)

    assert company.names() == ["large", "two", "two"]


def test_a_worker_of_a_node_that_is_full_starts_elsewhere_after_a_while() -> None:
    """Somebody else's work is there; without other room it waits for its turn."""
    company = Company(workers=1, more=0)
    company.follow(TWO, ready=False)
    company.now = 61.0
    assert company.follow(TWO, ready=False) == []

    said = company.follow(TWO, ONE, ready=False)
    assert texts(said) == ["node two is full: a worker starts on one"]
    assert company.names() == ["one"]
    assert company.ended == ["worker 1 on two"]


def test_a_worker_that_has_its_place_keeps_it_however_slowly_it_starts() -> None:
    """It imports, fetches the data, or finds its pack's size; no node is full."""
    company = Company(workers=1, more=0)
    company.follow(TWO, ready=False)
    company.on(TWO).is_placed = True
    company.now = 1000.0

    assert company.follow(TWO, LARGE, ready=False) == []
    assert company.names() == ["two"]
    assert company.ended == []


def give_up(company: Company, slot: Slot, *nodes: Node) -> list[str]:
    """Have trials fail there until its worker is given up; what people are told."""
    said: list[Message] = []
    for number in range(6):
        slot.submit(make_spec(number))
        slot.ended(make_ended(number, Ending.FAILED, reason=f"Trace\nOops: {number}\n"))
        said += company.members.mend()
        said += company.follow(*nodes)
    return texts(said)


def test_a_worker_that_is_given_up_leaves_its_place_empty() -> None:
    """No other one starts there, to fail again; people are told why it failed."""
    company = Company(workers=2, more=0)
    company.follow(TWO)
    slot = company.members.slots[0]
    said = give_up(company, slot, TWO)

    assert company.names() == ["two"]
    assert slot not in company.members.slots
    assert said == [
        "a worker is replaced: it failed 3 times in a row; the last time: Oops: 2",
        "a worker is given up: it failed 6 times in a row; the last time: Oops: 5",
    ]


def test_a_worker_that_dies_as_it_starts_is_told_of_with_the_reason() -> None:
    """Without any trial, too; without a worker the sweep cannot go on."""
    company = Company(workers=1, more=0)
    company.follow(ONE)
    slot = company.on(ONE)
    said: list[str] = []
    for _ in range(5):
        company.members.lose(slot, Ending.LOST, "Trace\nImportError: no torch\n")
        said += texts([*company.members.mend(), *company.follow(ONE, ready=False)])
    company.members.lose(slot, Ending.LOST, "Trace\nImportError: no torch\n")

    assert said == [
        "a worker is replaced: it failed 3 times in a row; "
        "the last time: ImportError: no torch"
    ]
    with pytest.raises(ClusterError, match=r"no worker is left: .* ImportError: no"):
        company.members.mend()


def test_what_was_given_up_on_a_node_is_forgotten_with_it() -> None:
    """The next node gets as many workers as are wanted."""
    company = Company(workers=2, more=0)
    company.follow(TWO)
    give_up(company, company.members.slots[0], TWO)
    said = company.follow(LARGE)

    assert "node large joined: 2 workers more" in texts(said)
    assert company.names() == ["large", "large"]


def test_a_sweep_without_nodes_waits_for_one_whatever_was_given_up() -> None:
    """Only if the last worker of all is given up is there nothing to wait for."""
    bare, company = make_node("head", 0), Company(workers=3, more=0)
    company.follow(TWO, ONE)
    give_up(company, company.on(TWO), TWO, ONE)
    company.follow(bare)
    assert company.members.mend() == []

    company.follow(ONE, TWO)
    give_up(company, company.on(ONE), ONE, TWO)
    company.follow(ONE)  # whose only worker is given up
    assert company.members.mend() == []


@pytest.mark.parametrize("workers", [1, 5])
def test_closing_ends_every_worker(workers: int) -> None:
    """Also those that are not ready."""
    company = Company(workers, more=0)
    company.follow(ONE, LARGE, ready=False)
    company.members.close()

    assert len(company.ended) == workers
    assert company.members.slots == []
