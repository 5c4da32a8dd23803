"""One worker's work: the trials it was handed, an epoch at a time, as one pack.

Knows nothing of Ray: it is called in a worker's process or, in tests, in the driver's
own.
"""

import traceback
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fcnet import Diverged, Pack, Preprocess, Solver
from fcnet.image_data import Data
from sweep.calibration import fastest_pack
from sweep.lane import Lane, make_solver
from sweep.trial import Ending, Message, Notice, TrialEnded, TrialSpec

_MEASURED_ITERATIONS = 20  # of each size of pack that is tried

Outcome = Diverged | str | None  # None: it trained; a text: the traceback


@dataclass(frozen=True)
class Task:
    """What a worker is handed before its first trial.

    Attributes:
        data: The splits; arrays that other processes share are fine. Images stay uint8
            on the device, too: minibatches alone become inputs.
        lanes: The most trials to train at a time.
        typical: A trial like those to come, if fewer lanes are welcome where they are
            as fast: it is measured. None if `lanes` is an order.
    """

    data: Data
    lanes: int
    typical: TrialSpec | None = None


def local_gpus() -> int:
    """GPUs of this machine that torch can use."""
    return torch.cuda.device_count()


class Objective:
    """The lanes of one worker, one trial each, on one device.

    Attributes:
        lanes: The most trials it trains at a time.
    """

    def __init__(self, task: Task, device: str, threads: int) -> None:
        """Bring the data to the device, and find the number of lanes.

        Args:
            task: What to train on, and how many trials at a time.
            device: A torch device: `cpu`, or `cuda` for the GPU this worker was given.
            threads: CPU threads to compute with.
        """
        torch.set_num_threads(threads)
        data = task.data
        self._classes = data.classes
        self._tensors = {
            "X_train": _tensor(data.X_train, device),
            "y_train": _tensor(data.y_train, device),
            "X_val": _tensor(data.X_val, device),
            "y_val": _tensor(data.y_val, device),
        }
        scale, shift = _tensor(data.scale, "cpu"), _tensor(data.shift, "cpu")
        preprocess = Preprocess(scale, shift, data.image_shape, data.flip)
        # once for all trials, whose networks are float32
        self._preprocess = preprocess.to(device, torch.float32)
        self._pack = Pack()
        self._lanes: dict[int, Lane] = {}
        self.lanes = task.lanes
        if task.typical is not None and task.lanes > 1:
            make_solver = partial(self._make_typical, task.typical)
            self.lanes = fastest_pack(make_solver, task.lanes)

    def advance(
        self, start: Sequence[TrialSpec], stop: Mapping[int, Ending]
    ) -> list[Message]:
        """Begin trials, end others, and train every lane for one epoch.

        Args:
            start: Trials to begin.
            stop: Trials to end before the epoch, and why; may be among those to begin.

        Returns:
            A TrialEnded for each trial that left, an EpochReport for each that trained.
        """
        messages: list[Message] = []
        for spec in start:
            messages += self._begin(spec)
        for number in stop.keys() & self._lanes.keys():
            messages.append(self._lanes.pop(number).end(stop[number]))
        lanes, most = list(self._lanes.values()), self.lanes
        for lane in lanes:
            lane.begin_epoch()
        for lane, outcome in zip(lanes, self._train(lanes), strict=True):
            messages += self._conclude(lane, outcome)
        if self.lanes < most:
            messages.append(
                Notice(
                    f"a worker ran out of memory with {most} trials at a time; from "
                    f"now on it trains {self.lanes}"
                )
            )
        return messages

    def _make_lane(self, spec: TrialSpec) -> Lane:
        return Lane(spec, self._tensors, self._preprocess, self._classes)

    def _make_typical(self, spec: TrialSpec) -> Solver:
        """A solver of a trial with epochs of few minibatches."""
        few = _MEASURED_ITERATIONS * int(spec.hparams["batch_size"])
        tensors = {name: tensor[:few] for name, tensor in self._tensors.items()}
        return make_solver(spec, tensors, self._preprocess, len(self._classes))

    def _begin(self, spec: TrialSpec) -> list[Message]:
        try:
            self._lanes[spec.number] = self._make_lane(spec)
        except Exception:  # noqa: BLE001 - whatever it is, the companions go on
            return [_failed(spec, traceback.format_exc())]
        return []

    def _train(self, lanes: Sequence[Lane]) -> list[Outcome]:
        """Train an epoch of each lane, together as far as possible.

        A pack that raises leaves its solvers where they were. Its halves are tried
        then: memory may be enough for them, and another error is left with its own.
        """
        if len(lanes) <= self.lanes:
            try:
                return [*self._pack.train_epoch([lane.solver for lane in lanes])]
            except Exception as error:  # noqa: BLE001 - the companions go on
                if len(lanes) == 1:
                    return [traceback.format_exc()]
                if _is_out_of_memory(error):
                    self.lanes = len(lanes) // 2
        middle = len(lanes) // 2
        return [*self._train(lanes[:middle]), *self._train(lanes[middle:])]

    def _conclude(self, lane: Lane, outcome: Outcome) -> list[Message]:
        if isinstance(outcome, str):
            del self._lanes[lane.spec.number]
            return [_failed(lane.spec, outcome)]
        if outcome is not None:
            del self._lanes[lane.spec.number]
            return [lane.end(Ending.DIVERGED, str(outcome))]
        report = lane.end_epoch()
        if not lane.is_done:
            return [report]
        del self._lanes[lane.spec.number]
        return [report, lane.end(Ending.COMPLETE)]


def _failed(spec: TrialSpec, reason: str) -> TrialEnded:
    return TrialEnded(spec.number, spec.attempt, Ending.FAILED, reason=reason)


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, torch.OutOfMemoryError):
        torch.cuda.empty_cache()
        return True
    # what torch raises where a CPU has no more memory has no type of its own
    return isinstance(error, MemoryError) or "allocate memory" in str(error)


def _tensor(array: NDArray[np.generic], device: str) -> Tensor:
    with warnings.catch_warnings():
        # workers of one machine share the array, so it is read-only; torch warns that
        # writing to it would be undefined, and nobody writes to it
        warnings.filterwarnings(
            "ignore", message="The given NumPy array is not writable"
        )
        return torch.from_numpy(array).to(device)
