"""Labelled images: their types, their copy on disk, and their form for training.

Letters: N images, H rows, W columns, C channels, D = C * H * W values of an image.
"""

import hashlib
import math
import os
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fcnet.errors import DatasetError
from fcnet.image_statistics import Rows, Values, scale_and_shift

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]

# Part of every cached file's name: raised when what is written changes its meaning.
_CACHE_FORMAT = 1


@dataclass(frozen=True)
class Split:
    """Images and their labels.

    Attributes:
        images: Of shape (N, H, W, C), uint8.
        labels: Of shape (N,), int64, positions in the data set's classes.
    """

    images: Images
    labels: Labels


@dataclass(frozen=True)
class Dataset:
    """A data set as it lies on disk.

    Attributes:
        name: One of `fcnet.datasets.DATASETS`.
        train: The images to train and validate on.
        test: The images kept apart, if there are any.
        classes: The class names; a label is a position in them.
    """

    name: str
    train: Split
    test: Split | None
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Data:
    """A data set ready for training: images as they are, and what makes inputs of them.

    Attributes:
        X_train: Of shape (N, D), uint8, each row in the order channel, row, column.
        y_train: Of shape (N,), int64.
        X_val: As X_train.
        y_val: As y_train.
        X_test: As X_train, if there is a test split.
        y_test: As y_train, if there is a test split.
        classes: The class names; a label is a position in them.
        scale: Of shape (D,), float64: an input is scale * image + shift.
        shift: As scale.
        image_shape: (C, H, W).
        flip: Whether images are to be mirrored at random in training.
    """

    X_train: Rows
    y_train: Labels
    X_val: Rows
    y_val: Labels
    X_test: Rows | None
    y_test: Labels | None
    classes: tuple[str, ...]
    scale: Values
    shift: Values
    image_shape: tuple[int, int, int]
    flip: bool


def prepare(
    dataset: Dataset,
    *,
    validation: float,
    seed: int,
    normalize: str = "mean",
    flip: bool = False,
) -> Data:
    """Hold out a validation part, flatten the images, and measure the rest of them.

    Args:
        dataset: The images.
        validation: The share of the training split to hold out, between 0 and 1; at
            least one image is held out and at least one is left.
        seed: Of the permutation that decides which; >= 0.
        normalize: What scale and shift are to bring about, one of NORMALIZATIONS; see
            `scale_and_shift`. They depend on the part to train on alone.
        flip: Whether images are to be mirrored at random in training.

    Returns:
        The arrays for training.

    Raises:
        ValueError: `validation` is not between 0 and 1, `seed` is negative, or
            `normalize` is not known.
        DatasetError: The training split has fewer than two images.
    """
    if not 0 < validation < 1:
        raise ValueError(f"validation must be between 0 and 1, but got {validation}")
    if seed < 0:
        raise ValueError(f"seed must be >= 0, but got {seed}")
    total = len(dataset.train.labels)
    if total < 2:
        raise DatasetError(
            f"{dataset.name} must have at least 2 training images, one to train on and "
            f"one to validate on, but has {total}"
        )
    held_out = min(max(round(total * validation), 1), total - 1)
    order = np.random.default_rng(seed).permutation(total)
    val, train = order[:held_out], order[held_out:]
    return _prepare(dataset, train, val, normalize, flip)


def prepare_whole(dataset: Dataset, *, normalize: str, flip: bool) -> Data:
    """Prepare images as `prepare` does, but hold out none.

    Args:
        dataset: The images.
        normalize: As for `prepare`; measured on the whole training split.
        flip: As for `prepare`.

    Returns:
        The arrays for training; those of the validation part are empty.

    Raises:
        ValueError: `normalize` is not known.
    """
    everything = np.arange(len(dataset.train.labels))
    return _prepare(dataset, everything, everything[:0], normalize, flip)


def _prepare(
    dataset: Dataset, train: Labels, val: Labels, normalize: str, flip: bool
) -> Data:
    """Flatten the images to train and to validate on, and measure the first."""
    images, labels = dataset.train.images, dataset.train.labels
    X_train = flatten(images[train])
    channels = images.shape[3]
    scale, shift = scale_and_shift(X_train, channels, normalize)
    test = dataset.test
    return Data(
        X_train=X_train,
        y_train=labels[train],
        X_val=flatten(images[val]),
        y_val=labels[val],
        X_test=None if test is None else flatten(test.images),
        y_test=None if test is None else test.labels,
        classes=dataset.classes,
        scale=scale,
        shift=shift,
        image_shape=(channels, *images.shape[1:3]),
        flip=flip,
    )


def flatten(images: Images) -> Rows:
    """Turn images (N, H, W, C) into rows (N, C * H * W)."""
    rows = len(images), math.prod(images.shape[1:])
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(rows)


def fingerprint(root: Path, files: Iterable[Path], settings: str) -> str:
    """Name a state of files on disk without reading them.

    Args:
        root: The folder the files lie in.
        files: The files, in a fixed order.
        settings: Whatever else the cached copy depends on.

    Returns:
        32 hexadecimal digits: BLAKE2b of the settings and of the path below root,
        size in bytes and time of change in nanoseconds of every file.
    """
    digest = hashlib.blake2b(f"{_CACHE_FORMAT}\n{settings}\n".encode(), digest_size=16)
    for file in files:
        stat = file.stat()
        name = file.relative_to(root).as_posix()
        digest.update(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def read_cache(path: Path, name: str) -> Dataset | None:
    """Read a data set that `write_cache` wrote; None if there is no such file."""
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        test = None
        if "test_labels" in arrays:
            test = Split(arrays["test_images"], arrays["test_labels"])
        train = Split(arrays["train_images"], arrays["train_labels"])
        return Dataset(name, train, test, tuple(arrays["classes"].tolist()))


def write_cache(path: Path, dataset: Dataset) -> None:
    """Write a data set uncompressed; a reader sees all of the file or none of it."""
    arrays = {
        "classes": np.array(dataset.classes),
        "train_images": dataset.train.images,
        "train_labels": dataset.train.labels,
    }
    if dataset.test is not None:
        arrays["test_images"] = dataset.test.images
        arrays["test_labels"] = dataset.test.labels
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, hence on the same disk: only then is os.replace atomic.
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with unfinished.open("xb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
