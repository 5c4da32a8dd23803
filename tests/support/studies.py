"""Studies made straight in the stores, of any number of trials in any state."""

import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import optuna
import torch
from optuna.trial import FrozenTrial, TrialState, create_trial

from fcnet import TwoLayerNet
from fcnet.image_data import Data
from support import make_spec
from sweep.checkpoint import Checkpoint, CheckpointInfo, encode
from sweep.experiment import Experiment
from sweep.search import to_optuna
from sweep.storage import find_or_create, open_storage, study_key
from sweep.summary import summarise, to_record
from sweep.trial import Ending, EpochReport, Event, TrialEnded, TrialSpec
from sweep.verdict import ATTEMPT
from tracked import Driver, opening

_ENDINGS = {
    TrialState.COMPLETE: Ending.COMPLETE,
    TrialState.PRUNED: Ending.PRUNED,
    TrialState.FAIL: Ending.FAILED,
}


@dataclass(frozen=True)
class Made:
    """A trial to be made.

    Attributes:
        state: Its state.
        params: What is searched.
        curve: Its validation accuracy, epoch by epoch.
        reason: Why it failed.
    """

    state: TrialState
    params: Mapping[str, Any] = field(default_factory=dict)
    curve: tuple[float, ...] = ()
    reason: str | None = None


def make_study(
    experiment: Experiment, trials: Iterable[Made], data: Data | None = None
) -> list[FrozenTrial]:
    """Make a study with its runs in MLflow; two workers of two lanes have trained it.

    Args:
        experiment: Whose stores they are.
        trials: In the order of their numbers.
        data: Images; given them, each complete trial has a checkpoint.

    Returns:
        The trials, as Optuna's own client reads them.
    """
    storage = open_storage(experiment.study.storage)
    study_id = find_or_create(storage, experiment)
    made = list(trials)
    study = optuna.load_study(study_name=experiment.name, storage=storage)
    study.add_trials([_trial(experiment, trial) for trial in made])
    stored = study.get_trials()
    key = study_key(storage, study_id)
    summary = summarise(experiment, stored, key)
    driver = Driver(experiment, opening(experiment, summary=summary))
    events: list[Event] = []
    for trial in stored:
        events += _events(experiment, trial, made[trial.number], data)
    driver.write(events)
    driver.close("FINISHED")
    return stored


def random_trials(experiment: Experiment, number: int, epochs: int) -> list[Made]:
    """Half of them pruned, one in fifty failed, with smooth curves."""
    draw, made = random.Random(0), []
    for index in range(number):
        params = {
            name: draw.choice(space.grid())
            if space.grid()
            else type(space.middle())(math.exp(draw.uniform(*_logs(space))))
            for name, space in experiment.space.items()
        }
        best, speed = draw.uniform(0.3, 0.6), draw.uniform(0.2, 1.0)
        curve = [best * (1 - math.exp(-speed * e)) for e in range(1, epochs + 1)]
        state = TrialState.PRUNED if index % 2 else TrialState.COMPLETE
        if index % 50 == 49:
            state = TrialState.FAIL
        if state is not TrialState.COMPLETE:
            curve = curve[: draw.randint(1, epochs - 1)]
        made.append(Made(state, params, tuple(curve), "RuntimeError: by chance"))
    return made


def _logs(space: Any) -> tuple[float, float]:
    return math.log(space.low), math.log(space.high)


def _trial(experiment: Experiment, made: Made) -> FrozenTrial:
    is_done = made.state in (TrialState.COMPLETE, TrialState.PRUNED)
    attributes: dict[str, Any] = {ATTEMPT: 0}
    if made.state is TrialState.FAIL:
        attributes["reason"] = made.reason
    return create_trial(
        state=made.state,
        value=max(made.curve) if is_done and made.curve else None,
        params=dict(made.params),
        distributions={n: to_optuna(experiment.space[n]) for n in made.params},
        intermediate_values=dict(enumerate(made.curve, 1)),
        user_attrs=attributes,
    )


def _events(
    experiment: Experiment, trial: FrozenTrial, made: Made, data: Data | None
) -> Iterable[Event]:
    """A trial takes a second an epoch; four run at a time."""
    worker, lane = f"node/{trial.number % 2}", trial.number // 2 % 2
    began = 1000 * (10 + len(made.curve)) * (trial.number // 4)
    hparams = experiment.hparams(trial.params)
    yield Event(began, TrialSpec(trial.number, 0, hparams, seed=0))
    for epoch, value in enumerate(made.curve, 1):
        report = EpochReport(
            number=trial.number,
            attempt=0,
            epoch=epoch,
            train_loss=1 - value,
            train_accuracy=value,
            val_accuracy=value,
            learning_rate=0.1,
            losses=((epoch, 1 - value),),
            seconds=1.0,
            worker=worker,
            lane=lane,
        )
        yield Event(began + 1000 * epoch, report)
    if trial.state not in _ENDINGS:
        return
    record = to_record(experiment, trial)
    ended = TrialEnded(
        trial.number,
        0,
        _ENDINGS[trial.state],
        best_val_accuracy=max(made.curve, default=None),
        best_epoch=record.epoch,
        seconds=float(len(made.curve)),
        checkpoint=_checkpoint(trial, data) if data is not None else None,
        reason=record.reason,
    )
    yield Event(began + 1000 * len(made.curve), ended, record)


def _checkpoint(trial: FrozenTrial, data: Data) -> bytes:
    """A network that has learnt nothing, drawn from the trial's number."""
    hidden, inputs = 12, data.X_val.shape[1]
    net = TwoLayerNet(inputs, hidden, len(data.classes), 0.1, seed=trial.number)
    info = CheckpointInfo(
        number=trial.number,
        epoch=1,
        val_accuracy=trial.value or 0.0,
        hparams=make_spec().hparams,
        seed=0,
        classes=data.classes,
        image_shape=data.image_shape,
    )
    scale, shift = (torch.from_numpy(side).float() for side in (data.scale, data.shift))
    return encode(Checkpoint(net.params, scale, shift, info))
