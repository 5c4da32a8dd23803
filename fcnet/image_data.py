"""Labelled images: their types, their copy on disk, and their form for training.

Letters: N images, H rows, W columns, C channels, D = C * H * W values of an image.
"""

import hashlib
import os
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fcnet.errors import DatasetError

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
Examples = NDArray[np.float32]

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
    """A data set ready for training: values from 0 to 1 less the mean of the channel.

    Attributes:
        X_train: Of shape (N, D), float32, each row in the order channel, row, column.
        y_train: Of shape (N,), int64.
        X_val: As X_train.
        y_val: As y_train.
        X_test: As X_train, if there is a test split.
        y_test: As y_train, if there is a test split.
        classes: The class names; a label is a position in them.
        mean: The mean of each channel over X_train before it was taken off.
        image_shape: (C, H, W).
    """

    X_train: Examples
    y_train: Labels
    X_val: Examples
    y_val: Labels
    X_test: Examples | None
    y_test: Labels | None
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    image_shape: tuple[int, int, int]


def prepare(dataset: Dataset, *, validation: float, seed: int) -> Data:
    """Hold out a validation part, flatten the images and take off the channel means.

    Args:
        dataset: The images.
        validation: The share of the training split to hold out, between 0 and 1; at
            least one image is held out and at least one is left.
        seed: Of the permutation that decides which; >= 0.

    Returns:
        The arrays for training.

    Raises:
        ValueError: `validation` is not between 0 and 1, or `seed` is negative.
        DatasetError: The training split has fewer than two images.
    """
    if not 0 < validation < 1:
        raise ValueError(f"validation must be between 0 and 1, but got {validation}")
    if seed < 0:
        raise ValueError(f"seed must be >= 0, but got {seed}")
    images, labels, total = (
        dataset.train.images,
        dataset.train.labels,
        len(dataset.train.labels),
    )
    if total < 2:
        raise DatasetError(
            f"{dataset.name} must have at least 2 training images, one to train on and "
            f"one to validate on, but has {total}"
        )
    held_out = min(max(round(total * validation), 1), total - 1)
    order = np.random.default_rng(seed).permutation(total)
    val, train = order[:held_out], order[held_out:]
    X_train = _flatten(images[train])
    channels = images.shape[3]
    # float64: the sum of a hundred million float32 values would lose digits.
    mean = X_train.reshape(len(train), channels, -1).mean((0, 2), dtype=np.float64)
    test = dataset.test
    return Data(
        X_train=_subtract(X_train, mean),
        y_train=labels[train],
        X_val=_subtract(_flatten(images[val]), mean),
        y_val=labels[val],
        X_test=None if test is None else _subtract(_flatten(test.images), mean),
        y_test=None if test is None else test.labels,
        classes=dataset.classes,
        mean=tuple(mean.tolist()),
        image_shape=(channels, *images.shape[1:3]),
    )


def _flatten(images: Images) -> Examples:
    """Turn images (N, H, W, C) from 0 to 255 into rows (N, C * H * W) from 0 to 1."""
    rows = images.transpose(0, 3, 1, 2).reshape(len(images), -1).astype(np.float32)
    rows /= 255
    return rows


def _subtract(X: Examples, mean: NDArray[np.float64]) -> Examples:
    """Take the mean of each channel (C,) off the rows X (N, C * H * W), in place."""
    channels = X.reshape(len(X), len(mean), -1)
    channels -= mean.astype(np.float32)[:, None]
    return X


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
