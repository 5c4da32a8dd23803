"""The best trial's network on the test split: scored once, and kept in MLflow."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from fcnet.image_data import Split, flatten
from sweep.checkpoint import Checkpoint
from sweep.data import load_images, no_test_split
from sweep.errors import DataError
from sweep.experiment import Experiment
from sweep.model.best import Best
from sweep.model.network import Model, score
from sweep.model.records import Record, Records
from sweep.paths import EVALUATION
from sweep.runs import EVALUATED

_MISTAKES = 48  # how many are kept


@dataclass(frozen=True)
class Mistake:
    """A test image that the network is sure of, and wrong.

    Attributes:
        image: Its place in the test split, from 0.
        label: Its class, as a position in the classes.
        predicted: The class with the highest score.
        probability: The probability that the network gives that class.
    """

    image: int
    label: int
    predicted: int
    probability: float


@dataclass(frozen=True)
class Evaluation:
    """What a trial's checkpoint does on the test split.

    Attributes:
        trial: The trial's number.
        epoch: The epoch after which the weights were taken.
        accuracy: Share of right answers on the test split.
        classes: The class names.
        confusion: Number of images by class (row) and predicted class (column).
        mistakes: The wrong answers with the highest probabilities, highest first.
        time_ms: When it was scored, in milliseconds since 1970.
    """

    trial: int
    epoch: int
    accuracy: float
    classes: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    mistakes: tuple[Mistake, ...]
    time_ms: int

    @property
    def images(self) -> int:
        """Number of images in the test split."""
        return sum(map(sum, self.confusion))


def evaluate(model: Model) -> tuple[Evaluation, bool]:
    """Score the best trial on the test split, unless that was done before.

    Returns:
        The evaluation, and whether it is new.

    Raises:
        DataError: There is no test split, or it does not fit the checkpoint.
        StoreError: A store cannot be read or written.
    """
    best, records = model.best, Records(model.experiment)
    known = recorded_evaluation(model.experiment, best)
    if known is not None and known.trial == best.trial.number:
        return known, False
    test = load_test(model.experiment, model.checkpoint)
    evaluation = evaluate_checkpoint(model.checkpoint, test, best.trial.number)
    point = ("test_accuracy", best.done, evaluation.accuracy)
    tags = {EVALUATED: str(evaluation.trial)}
    record = Record(EVALUATION, asdict(evaluation), (point,), tags)
    records.write(records.parent(best), record)
    return evaluation, True


def recorded_evaluation(experiment: Experiment, best: Best) -> Evaluation | None:
    """The latest evaluation in MLflow; its trial need not be the best one any more.

    Args:
        experiment: Whose study it is.
        best: Its best trial, which says where the study is in MLflow.

    Raises:
        ModelError: MLflow has nothing of the study.
        StoreError: It cannot be read.
    """
    records = Records(experiment)
    parent = records.parent(best)
    content = records.read(parent, EVALUATION)
    # the tag is written last: without it, something went wrong in between
    if content is None or parent.data.tags.get(EVALUATED) != str(content["trial"]):
        return None
    return _from_json(content)


def load_test(experiment: Experiment, checkpoint: Checkpoint) -> Split:
    """Load the test split, which has to be of the images that the checkpoint knows.

    Raises:
        DataError: There is none, or its classes or sizes are other ones.
    """
    dataset = load_images(experiment)
    if dataset.test is None:
        raise no_test_split(experiment)
    _, rows, columns, channels = dataset.test.images.shape
    check_images(checkpoint, dataset.classes, (channels, rows, columns))
    return dataset.test


def check_images(
    checkpoint: Checkpoint, classes: tuple[str, ...], image_shape: tuple[int, ...]
) -> None:
    """Find out whether images are of the kind that a checkpoint was trained on.

    Args:
        checkpoint: The network.
        classes: The class names.
        image_shape: Of each image: channels, rows, columns.

    Raises:
        DataError: Its classes or sizes are other ones.
    """
    info = checkpoint.info
    if (classes, image_shape) != (info.classes, info.image_shape):
        raise DataError(
            f"data: found images {image_shape} of {len(classes)} classes; trial "
            f"{info.number} was trained on images {info.image_shape} of the classes "
            f"{', '.join(info.classes)}"
        )


def evaluate_checkpoint(checkpoint: Checkpoint, test: Split, trial: int) -> Evaluation:
    """Score a checkpoint on images, without keeping anything.

    Args:
        checkpoint: The network.
        test: Images that it was not trained on.
        trial: The number of the trial whose result it is.
    """
    labels = torch.from_numpy(test.labels)
    scores = score(checkpoint, torch.from_numpy(flatten(test.images)))
    predicted, classes = scores.argmax(dim=1), checkpoint.info.classes
    pairs = labels * len(classes) + predicted
    counts = torch.bincount(pairs, minlength=len(classes) ** 2)
    return Evaluation(
        trial=trial,
        epoch=checkpoint.info.epoch,
        accuracy=int((predicted == labels).sum()) / len(labels),
        classes=classes,
        confusion=tuple(map(tuple, counts.view(len(classes), -1).tolist())),
        mistakes=_mistakes(scores, labels),
        time_ms=int(time.time() * 1000),
    )


def _mistakes(scores: Tensor, labels: Tensor) -> tuple[Mistake, ...]:
    probability, predicted = scores.softmax(dim=1).max(dim=1)
    wrong = (predicted != labels).nonzero()[:, 0]
    surest = wrong[probability[wrong].argsort(descending=True, stable=True)]
    columns = (surest, labels[surest], predicted[surest], probability[surest])
    rows = zip(*(column[:_MISTAKES].tolist() for column in columns), strict=True)
    return tuple(Mistake(*row) for row in rows)


def _from_json(content: Mapping[str, Any]) -> Evaluation:
    changed = {
        "classes": tuple(content["classes"]),
        "confusion": tuple(map(tuple, content["confusion"])),
        "mistakes": tuple(Mistake(**mistake) for mistake in content["mistakes"]),
    }
    return Evaluation(**{**content, **changed})
