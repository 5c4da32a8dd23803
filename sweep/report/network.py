"""The best network, looked at: its first weights, and what it takes for what.

The test split is not scored here: that is done once, by `best --evaluate`. Where it was
done for the best trial, what it found is shown; else the validation split is scored.
"""

from dataclasses import dataclass

from fcnet.image_data import Images, Split
from sweep.checkpoint import Checkpoint
from sweep.data import find_data, load_data
from sweep.errors import DataError
from sweep.experiment import Experiment
from sweep.model.best import find_best
from sweep.model.evaluation import (
    Evaluation,
    check_images,
    evaluate_checkpoint,
    load_test,
    recorded_evaluation,
)
from sweep.model.network import bring
from sweep.report.pictures import image_picture, unit_picture

_UNITS, _MISTAKES = 64, 24  # how many are shown


@dataclass(frozen=True)
class PicturedMistake:
    """An image that the network is sure of, and wrong.

    Attributes:
        picture: The image, as a data URL.
        label: Its class.
        predicted: The class that it is taken for.
        probability: The probability that the network gives that class.
    """

    picture: str
    label: str
    predicted: str
    probability: float


@dataclass(frozen=True)
class Network:
    """The best network.

    Attributes:
        layers: Its inputs, hidden units and classes, in their order.
        units: Pictures of the first layer's weights, those that matter most first.
        split: `test` or `validation`: what it was scored on; None if on nothing.
        evaluation: What it does there.
        mistakes: Its surest wrong answers there.
        lack: Why it was scored on nothing.
    """

    layers: tuple[int, ...]
    units: tuple[str, ...]
    split: str | None = None
    evaluation: Evaluation | None = None
    mistakes: tuple[PicturedMistake, ...] = ()
    lack: str = ""


def read_network(experiment: Experiment) -> Network:
    """Look at the best network; downloads nothing.

    Raises:
        ModelError: No trial is complete, or its checkpoint is not in MLflow.
        StoreError: A store cannot be read.
    """
    best = find_best(experiment)
    checkpoint = bring(experiment, best).checkpoint
    layers, units = _layers(checkpoint), _units(checkpoint)
    recorded = recorded_evaluation(experiment, best)
    is_there, where = find_data(experiment)
    if not is_there:
        return Network(layers, units, lack=f"The images are not here: {where}.")
    try:
        if recorded is not None and recorded.trial == best.trial.number:
            name, split = "test", load_test(experiment, checkpoint)
            evaluation = recorded
        else:
            name, split = "validation", _load_validation(experiment, checkpoint)
            evaluation = evaluate_checkpoint(checkpoint, split, best.trial.number)
    except DataError as error:
        return Network(layers, units, lack=f"{error}.")
    mistakes = _mistakes(evaluation, split.images)
    return Network(layers, units, name, evaluation, mistakes)


def _layers(checkpoint: Checkpoint) -> tuple[int, ...]:
    shapes = [checkpoint.params[name].shape for name in _weights(checkpoint)]
    return (shapes[0][0], *(shape[1] for shape in shapes))


def _weights(checkpoint: Checkpoint) -> list[str]:
    return [f"W{layer}" for layer in range(1, len(checkpoint.params) // 2 + 1)]


def _units(checkpoint: Checkpoint) -> tuple[str, ...]:
    """The first layer's units, those with the largest weights behind them first."""
    first, *others = _weights(checkpoint)
    units = checkpoint.params[first].float().T  # (H, D)
    if others:
        matter = checkpoint.params[others[0]].float().norm(dim=1)
        units = units[matter.argsort(descending=True, stable=True)]
    shape = checkpoint.info.image_shape
    return tuple(unit_picture(unit.numpy(), shape) for unit in units[:_UNITS])


def _load_validation(experiment: Experiment, checkpoint: Checkpoint) -> Split:
    data = load_data(experiment)
    check_images(checkpoint, data.classes, data.image_shape)
    images = data.X_val.reshape(-1, *data.image_shape)
    return Split(images.transpose(0, 2, 3, 1), data.y_val)


def _mistakes(evaluation: Evaluation, images: Images) -> tuple[PicturedMistake, ...]:
    classes = evaluation.classes
    return tuple(
        PicturedMistake(
            image_picture(images[mistake.image]),
            classes[mistake.label],
            classes[mistake.predicted],
            mistake.probability,
        )
        for mistake in evaluation.mistakes[:_MISTAKES]
    )
