"""The order of run, capture and replay; a capture itself needs a GPU."""

from collections.abc import Callable

import pytest

from fcnet import cuda_graph
from fcnet.cuda_graph import GraphedStep


class FakeGraph:
    """A graph that runs on the CPU what a capture would have kept."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self.replays = 0

    def replay(self) -> None:
        """Count."""
        self.replays += 1


def test_a_graph_is_captured_once_and_replayed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first call runs, the second captures and replays, all others replay."""
    graphs: list[FakeGraph] = []
    calls: list[int] = []

    def capture(function: Callable[[], None]) -> FakeGraph:
        function()
        graphs.append(FakeGraph())
        return graphs[-1]

    monkeypatch.setattr(cuda_graph, "_capture", capture)
    step = GraphedStep(lambda: calls.append(1))
    for _ in range(5):
        step()
    assert (len(calls), len(graphs), graphs[0].replays) == (2, 1, 4)
