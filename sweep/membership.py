"""Which workers there are, as nodes come and go and workers are lost.

Knows no Ray: how a worker starts and ends is handed in.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from sweep.errors import ClusterError, last_line
from sweep.placement import Node
from sweep.plan import Plan, counted
from sweep.slots import Slot
from sweep.trial import Ending, Message, Notice, TrialEnded

_PENDING_S = 60.0  # how long a worker waits for a node that is full of other work


class Membership:
    """The slots of a pool, each with a worker or about to get one.

    Attributes:
        slots: Those there are.
    """

    def __init__(
        self,
        plan: Plan,
        start: Callable[[Node], tuple[Any, Any]],
        end: Callable[[Any], None],
        clock: Callable[[], float],
    ) -> None:
        """Begin without any node.

        Args:
            plan: How many workers are wanted, with what.
            start: Starts a worker on a node; returns it, and what is to be waited for
                until it has its place there.
            end: Ends a worker at once.
            clock: Seconds since any fixed moment.
        """
        self._plan, self._start, self._end, self._clock = plan, start, end, clock
        self._nodes: tuple[Node, ...] = ()
        self._numbers = count()
        self._given_up: list[Slot] = []
        self.slots: list[Slot] = []

    def follow(self, nodes: Sequence[Node]) -> list[Message]:
        """Give up workers whose node is gone, and have one wherever there is room.

        Args:
            nodes: Those there are now.
        """
        known, self._nodes = self._nodes, tuple(nodes)
        messages = self._leave()
        for slot in self.slots:
            if slot.actor is None:
                self._begin(slot)
        return [*messages, *self._move(), *self._fill(known)]

    def lose(self, slot: Slot, ending: Ending, reason: str) -> list[Message]:
        """Give a worker and its trials up; `follow` gets another one."""
        self._dismiss(slot)
        lost = slot.lose(reason)
        return [TrialEnded(s.number, s.attempt, ending, reason=reason) for s in lost]

    def mend(self) -> list[Message]:
        """Replace workers that fail again and again, or do without them.

        Raises:
            ClusterError: if all were given up.
        """
        messages: list[Message] = []
        hopeless = [slot for slot in self.slots if slot.is_hopeless]
        for slot in hopeless:
            self._dismiss(slot)
            self.slots.remove(slot)
            self._given_up.append(slot)
            messages.append(Notice(f"a worker is given up: {_failures(slot)}"))
        if hopeless and not self.slots:
            raise ClusterError(f"no worker is left: {_failures(hopeless[-1])}")
        for slot in self.slots:
            if slot.is_to_be_replaced:
                self._dismiss(slot)
                self._begin(slot)
                slot.is_replaced = True
                messages.append(Notice(f"a worker is replaced: {_failures(slot)}"))
        return messages

    def close(self) -> None:
        """End every worker at once."""
        for slot in self.slots:
            self._dismiss(slot)
        self.slots = []

    def _begin(self, slot: Slot) -> None:
        slot.begin(*self._start(slot.node), self._clock())

    def _dismiss(self, slot: Slot) -> None:
        if slot.actor is not None:
            self._end(slot.actor)

    def _leave(self) -> list[Message]:
        alive = {node.id for node in self._nodes}
        messages: list[Message] = []
        orphans: Counter[str] = Counter()
        for slot in [slot for slot in self.slots if slot.node.id not in alive]:
            name = slot.node.name
            messages += self.lose(slot, Ending.LOST, f"its node {name} is gone")
            self.slots.remove(slot)
            orphans[name] += slot.orphans
        self._given_up = [slot for slot in self._given_up if slot.node.id in alive]
        return [*messages, *(Notice(_farewell(*lost)) for lost in orphans.items())]

    def _move(self) -> list[Message]:
        """Have workers start elsewhere whose node is full of somebody else's work."""
        messages: list[Message] = []
        for slot in [slot for slot in self.slots if self._waits_long(slot)]:
            others = [node for node in self._nodes if node.id != slot.node.id]
            places = self._plan.additions(others, self._present(without=slot))
            if not places:
                continue  # it may get its turn yet, and holds nobody up
            text = f"node {slot.node.name} is full: a worker starts on {places[0].name}"
            messages.append(Notice(text))
            self._dismiss(slot)
            slot.node = places[0]
            self._begin(slot)
        return messages

    def _waits_long(self, slot: Slot) -> bool:
        waited = self._clock() - slot.called_at
        is_pending = slot.actor is not None and not slot.is_placed
        return is_pending and waited > _PENDING_S

    def _fill(self, known: Sequence[Node]) -> list[Message]:
        added = self._plan.additions(self._nodes, self._present())
        old = {node.id for node in known}
        for node in added:
            slot = Slot(None, node, next(self._numbers))
            self._begin(slot)
            self.slots.append(slot)
        return [
            Notice(
                f"node {node.name}{'' if node.id in old else ' joined'}: "
                f"{counted(workers, 'worker')} more"
            )
            for node, workers in Counter(added).items()
        ]

    def _present(self, without: Slot | None = None) -> Counter[str]:
        slots = [*self.slots, *self._given_up]
        return Counter(slot.node.id for slot in slots if slot is not without)


def _failures(slot: Slot) -> str:
    often = f"it failed {slot.failures} times in a row"
    return f"{often}; the last time: {last_line(slot.reason)}"


def _farewell(name: str, orphans: int) -> str:
    if orphans == 0:
        return f"node {name} is gone"
    go = "goes" if orphans == 1 else "go"
    return f"node {name} is gone: its {counted(orphans, 'trial')} {go} on elsewhere"
