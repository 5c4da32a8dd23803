"""A step on a GPU as one CUDA graph: some twenty kernels, one launch.

The only file that needs a GPU.
"""

from collections.abc import Callable

import torch


class GraphedStep:
    """A function without arguments: run as it is the first time, replayed after.

    The function must work on the same addresses every time and never wait for the
    device. Numbers it reads are those of its second call: after a change of them a
    new GraphedStep is needed.
    """

    def __init__(self, function: Callable[[], None]) -> None:
        """Take the function; nothing is run yet."""
        self._function = function
        self._graph: torch.cuda.CUDAGraph | None = None
        self._warm = False

    def __call__(self) -> None:
        """Run the function once, in the current stream."""
        if not self._warm:
            # Libraries set themselves up in their first use, which no capture allows.
            self._function()
            self._warm = True
            return
        if self._graph is None:
            self._graph = _capture(self._function)
        self._graph.replay()


def _capture(function: Callable[[], None]) -> torch.cuda.CUDAGraph:
    """Record what a function would launch; nothing of it runs."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        function()
    return graph
