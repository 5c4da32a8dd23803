"""One worker's work: the trials it was handed, an epoch at a time, as one pack.

Knows nothing of Ray: it is called in a worker's process or, in tests, in the driver's
own.
"""

import shutil
import traceback
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

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


@dataclass(frozen=True)
class Failure:
    """What kept a lane from training an epoch: its ending, and the traceback."""

    ending: Ending
    reason: str


Outcome = Diverged | Failure | None  # None: it trained


@dataclass(frozen=True)
class Task:
    """What a worker is handed before its first trial.

    Attributes:
        data: The splits; arrays that other processes share are fine. Images stay uint8
            on the device, too: minibatches alone become inputs.
        lanes: The most trials to train at a time.
        typical: A trial like those to come, if fewer lanes are welcome where they are
            as fast: it is measured. None if `lanes` is an order.
        save_every: Seconds from one saved state of a trial to the next.
    """

    data: Data
    lanes: int
    typical: TrialSpec | None = None
    save_every: float = 30.0


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
        self._done_with: list[Path] = []
        self._can_save = True
        self._save_every = task.save_every
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
        # to be called again means that what was said last time has been heard
        for folder in self._done_with:
            shutil.rmtree(folder, ignore_errors=True)
        self._done_with = []
        messages: list[Message] = []
        for spec in start:
            messages += self._begin(spec)
        for number in stop.keys() & self._lanes.keys():
            messages += self._end(self._lanes[number], stop[number])
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

    def _make_typical(self, spec: TrialSpec) -> Solver:
        """A solver of a trial with epochs of few minibatches."""
        few = _MEASURED_ITERATIONS * int(spec.hparams["batch_size"])
        tensors = {name: tensor[:few] for name, tensor in self._tensors.items()}
        return make_solver(spec, tensors, self._preprocess, len(self._classes))

    def _begin(self, spec: TrialSpec) -> list[Message]:
        of = self._tensors, self._preprocess, self._classes
        try:
            lane = self._lanes[spec.number] = Lane(spec, *of, self._save_every)
        except Exception as error:  # noqa: BLE001 - the companions go on
            failure = _failure(error)
            own = spec.number, spec.attempt, failure.ending
            return [TrialEnded(*own, reason=failure.reason)]
        news: list[Message] = [*lane.take_reports()]
        return [*news, *self._end(lane, Ending.COMPLETE)] if lane.is_done else news

    def _end(
        self, lane: Lane, ending: Ending, reason: str | None = None
    ) -> list[Message]:
        """Let a lane go; its state is kept if the trial is not done with."""
        del self._lanes[lane.spec.number]
        notices: list[Message] = []
        if ending in (Ending.INTERRUPTED, Ending.OUT_OF_MEMORY):
            notices = self._save(lane)
        elif lane.spec.folder is not None:
            self._done_with.append(Path(lane.spec.folder))
        return [lane.end(ending, reason), *notices]

    def _save(self, lane: Lane) -> list[Message]:
        try:
            lane.save()
        except OSError as error:
            could, self._can_save = self._can_save, False
            text = (
                f"{lane.spec.folder}: trials cannot be saved while they train: "
                f"{error.strerror or error}; if the sweep is killed, they begin anew"
            )
            return [Notice(text)] if could else []
        self._can_save = True
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
                    return [_failure(error)]
                if _is_out_of_memory(error):
                    self.lanes = len(lanes) // 2
        middle = len(lanes) // 2
        return [*self._train(lanes[:middle]), *self._train(lanes[middle:])]

    def _conclude(self, lane: Lane, outcome: Outcome) -> list[Message]:
        if isinstance(outcome, Failure):
            return self._end(lane, outcome.ending, outcome.reason)
        if outcome is not None:
            return self._end(lane, Ending.DIVERGED, str(outcome))
        lane.end_epoch()
        messages: list[Message] = [*lane.take_reports()]
        if lane.is_done:
            return [*messages, *self._end(lane, Ending.COMPLETE)]
        if lane.is_save_due:
            messages += self._save(lane)
        return messages


def _failure(error: Exception) -> Failure:
    lacks = _is_out_of_memory(error)
    ending = Ending.OUT_OF_MEMORY if lacks else Ending.FAILED
    return Failure(ending, "".join(traceback.format_exception(error)))


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
