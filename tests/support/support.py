"""What several tests need: experiments, trials, stand-ins for the loop's company."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from fcnet import Preprocess, TwoLayerNet
from fcnet.image_data import Data
from sweep.checkpoint import Checkpoint
from sweep.config import load
from sweep.experiment import Experiment
from sweep.objective import Objective, Task
from sweep.placement import Node
from sweep.runner import Pool
from sweep.study import OptunaStudy
from sweep.trial import (
    Ending,
    EpochReport,
    HParam,
    Message,
    Notice,
    State,
    TrialEnded,
    TrialRecord,
    TrialSpec,
)

DIGITS = """\
name: digits
data: {dataset: digits}
model:
  hidden_dim: {int: [4, 16]}
  weight_scale: 0.1
solver:
  learning_rate: {float: [0.01, 0.5], log: true}
  batch_size: 100
  num_epochs: 3
study:
  trials: 4
  pruner: none
"""


def make_experiment(folder: Path, *overrides: str, text: str = DIGITS) -> Experiment:
    """An experiment whose stores lie in `folder`."""
    file = folder / "experiment.yaml"
    file.write_text(text)
    stores = (
        f"study.storage=sqlite:///{folder / 'optuna.db'}",
        f"mlflow.tracking_uri=sqlite:///{folder / 'mlflow.db'}",
        f"study.folder={folder / 'sweeps'}",
    )
    return load(file, (*stores, *overrides))


def make_node(name: str = "node-1", cpus: float = 2.0, gpus: float = 0.0) -> Node:
    """A node of a cluster, whose id is its name."""
    return Node(name, name, "127.0.0.2", cpus, gpus)


def make_spec(
    number: int = 0, attempt: int = 0, folder: Path | None = None, **hparams: Any
) -> TrialSpec:
    """A trial of the digits experiment."""
    settings: dict[str, HParam] = {
        "hidden_dim": 8,
        "weight_scale": 0.1,
        "reg": 0.0,
        "learning_rate": 0.1,
        "dropout": 0.0,
        "update_rule": "sgd",
        "schedule": "exponential",
        "lr_decay": 1.0,
        "warmup_epochs": 0,
        "batch_size": 100,
        "num_epochs": 3,
    }
    place = None if folder is None else str(folder)
    return TrialSpec(number, attempt, {**settings, **hparams}, seed=0, folder=place)


def make_report(
    number: int = 0, epoch: int = 1, accuracy: float = 0.5, attempt: int = 0
) -> EpochReport:
    """An epoch's report with two points of the loss curve."""
    return EpochReport(
        number=number,
        attempt=attempt,
        epoch=epoch,
        train_loss=1.0 / epoch,
        train_accuracy=accuracy,
        val_accuracy=accuracy,
        learning_rate=0.1,
        losses=((2 * epoch - 1, 1.1), (2 * epoch, 1.0)),
        seconds=0.1,
        worker="node/1",
        lane=2,
    )


def make_ended(
    number: int = 0,
    ending: Ending = Ending.COMPLETE,
    accuracy: float | None = 0.5,
    attempt: int = 0,
    **more: Any,
) -> TrialEnded:
    """The end of an attempt whose first epoch was its best."""
    epoch = None if accuracy is None else 1
    return TrialEnded(number, attempt, ending, accuracy, epoch, **more)


def make_record(
    number: int = 0, state: State = State.COMPLETE, value: float | None = 0.5
) -> TrialRecord:
    """What the study knows of a trial."""
    return TrialRecord(number, state, value, 1, make_spec().hparams, None)


def score(checkpoint: Checkpoint, data: Data) -> float:
    """Accuracy of a two-layer checkpoint on a validation split, all by itself.

    Args:
        checkpoint: With nothing else, it says how images become inputs.
        data: The images, which are new to it.
    """
    (dim, hidden), shape = checkpoint.params["W1"].shape, checkpoint.info.image_shape
    net = TwoLayerNet(dim, hidden, len(checkpoint.info.classes))
    net.params = dict(checkpoint.params)
    preprocess = Preprocess(checkpoint.scale, checkpoint.shift, shape)
    scores = net.loss(preprocess(torch.from_numpy(data.X_val)))
    right = scores.argmax(1) == torch.from_numpy(data.y_val)
    return float(right.double().mean())


def make_objective(data: Data, lanes: int = 4, save_every: float = 0.0) -> Objective:
    """One worker's work, on a CPU; it saves trials with a folder after every epoch."""
    return Objective(Task(data, lanes, save_every=save_every), "cpu", threads=1)


def open_study(experiment: Experiment) -> OptunaStudy:
    """An experiment's study as a driver finds it whose predecessor left no log."""
    study = OptunaStudy(experiment)
    study.recover([])
    return study


def tell(study: OptunaStudy, ended: TrialEnded) -> TrialRecord:
    """Judge an ending and store the verdict, with nothing in between."""
    record = study.judge(ended)
    study.store(ended.number)
    return record


class InProcessPool:
    """A pool of one worker in this very process: the same contract, and no Ray."""

    def __init__(self, objective: Objective, lanes: int = 1) -> None:
        """Wrap an objective that trains `lanes` trials at a time."""
        self._objective, self._lanes = objective, lanes
        self._running: set[int] = set()
        self._start: list[TrialSpec] = []
        self._stop: dict[int, Ending] = {}

    def room(self) -> int:
        """How many more trials can be submitted now."""
        return self._lanes - len(self._running)

    def submit(self, spec: TrialSpec) -> None:
        """Take a trial."""
        self._running.add(spec.number)
        self._start.append(spec)

    def stop(self, number: int, ending: Ending) -> None:
        """End a trial with the epoch."""
        if number in self._running:
            self._stop[number] = ending

    def wait(self, timeout_s: float) -> list[Message]:
        """Train one epoch."""
        del timeout_s
        start, stop = self._start, self._stop
        self._start, self._stop = [], {}
        messages = self._objective.advance(start, stop)
        for message in messages:
            if isinstance(message, TrialEnded):
                self._running.discard(message.number)
                self._stop.pop(message.number, None)
        return messages


def drain(pool: Pool, trials: int) -> Mapping[int, list[Message]]:
    """Let a pool run until so many trials have ended; its messages by trial."""
    said: dict[int, list[Message]] = {}
    ended = 0
    while ended < trials:
        for message in pool.wait(10.0):
            if isinstance(message, Notice):
                continue
            said.setdefault(message.number, []).append(message)
            ended += isinstance(message, TrialEnded)
    return said
