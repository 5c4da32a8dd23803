"""On which nodes workers start. Pure: the nodes there are are handed in."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Node:
    """A machine of the cluster; the only one, where it is private.

    Attributes:
        id: Ray's own name for it, which no node after it has.
        name: Its name for people.
        ip: Its address.
        cpus: CPU cores that Ray may hand out there.
        gpus: GPUs that Ray may hand out there.
    """

    id: str
    name: str
    ip: str
    cpus: float
    gpus: float

    def __str__(self) -> str:
        where = self.name if self.name == self.ip else f"{self.name} ({self.ip})"
        return f"{where}: {self.cpus:g} CPU, {self.gpus:g} GPU"

    def room(self, cpus: int, gpus: float) -> int:
        """How many workers fit here if nothing else runs; each gets so much."""
        room = math.floor(self.cpus / cpus + 1e-9)
        if gpus == 0:
            return room
        # fractions of a GPU are never spread over two: 0.4 fits twice into each
        per_gpu = math.floor(1 / gpus + 1e-9) if gpus <= 1 else 1 / gpus
        return min(room, math.floor(self.gpus * per_gpu + 1e-9))


def spread(
    rooms: Mapping[str, int], present: Mapping[str, int], workers: int
) -> list[str]:
    """Choose the nodes for workers that are wanted, so that all fill up evenly.

    Args:
        rooms: How many workers fit onto each node, by its id.
        present: How many there are on each now.
        workers: How many are wanted in all.

    Returns:
        The node's id for each new worker; fewer than wanted where there is no room.
    """
    counts, chosen = Counter(present), []
    while counts.total() < workers:
        with_room = [node for node, room in rooms.items() if counts[node] < room]
        if not with_room:
            break
        node = min(with_room, key=lambda node: (counts[node] + 1) / rooms[node])
        counts[node] += 1
        chosen.append(node)
    return chosen
