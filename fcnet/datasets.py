"""Data sets by name, as uint8 images: downloaded, decoded once, then read from a cache.

The only file that knows torchvision and scikit-learn, each imported where it is used;
nothing else in this package imports this file.
"""

from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from fcnet.errors import DatasetError
from fcnet.image_data import (
    Data,
    Dataset,
    Split,
    fingerprint,
    prepare,
    read_cache,
    write_cache,
)
from fcnet.image_folder import Progress, decode_image_folder, scan_image_folder

__all__ = [
    "DATASETS",
    "Data",
    "Dataset",
    "DatasetError",
    "Split",
    "find_dataset",
    "load_dataset",
    "prepare",
]

DATASETS = ("cifar10", "fashion_mnist", "mnist", "digits", "image_folder")

_DIGITS_TRAIN = 1437


@dataclass(frozen=True)
class _Download:
    """Where a downloaded data set lies.

    Attributes:
        reader: Its class in torchvision.datasets.
        folder: Its folder below root.
        files: The files in that folder.
        source: What people are told to get when the download fails.
    """

    reader: str
    folder: str
    files: tuple[str, ...]
    source: str


_IDX_FILES = tuple(
    f"{split}-{kind}-ubyte"
    for split in ("train", "t10k")
    for kind in ("images-idx3", "labels-idx1")
)
_DOWNLOADS = {
    "cifar10": _Download(
        "CIFAR10",
        "cifar-10-batches-py",
        (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"),
        "cifar-10-python.tar.gz, unpacked (www.cs.toronto.edu/~kriz/cifar.html)",
    ),
    "fashion_mnist": _Download(
        "FashionMNIST",
        "FashionMNIST/raw",
        _IDX_FILES,
        "the four .gz files, unpacked (github.com/zalandoresearch/fashion-mnist)",
    ),
    "mnist": _Download(
        "MNIST",
        "MNIST/raw",
        _IDX_FILES,
        "the four .gz files, unpacked (yann.lecun.com/exdb/mnist)",
    ),
}


def load_dataset(
    name: str,
    root: Path,
    *,
    cache_dir: Path,
    image_size: int | None = None,
    download: bool = True,
    on_progress: Progress | None = None,
) -> Dataset:
    """Load a data set; the second time from a cache, which decodes nothing.

    Args:
        name: One of DATASETS.
        root: Where it lies, or is downloaded to; `digits` needs none.
        cache_dir: Where decoded copies are kept, one for each state of the files.
        image_size: Rows and columns to resize to; for `image_folder` alone.
        download: Whether missing files may be downloaded.
        on_progress: Called with what is done, how many, of how many.

    Returns:
        The images and labels.

    Raises:
        ValueError: The name is unknown, or the size is not possible.
        DatasetError: The files are missing, damaged or ill-arranged.
    """
    _check_name(name)
    if image_size is not None and (name != "image_folder" or image_size < 1):
        raise ValueError(
            f"image_size must be at least 1 and is for image_folder alone, but got "
            f"{image_size} for {name}"
        )
    if name == "digits":
        return _load_digits(cache_dir)
    if name == "image_folder":
        return _load_image_folder(root, cache_dir, image_size, on_progress)
    return _load_download(name, root, cache_dir, download)


def find_dataset(name: str, root: Path) -> tuple[bool, str]:
    """Look whether a data set is there; reads no image and writes nothing.

    Args:
        name: One of DATASETS.
        root: Where it lies.

    Returns:
        Whether it was found, and a sentence for people.

    Raises:
        ValueError: The name is unknown.
    """
    _check_name(name)
    if name == "digits":
        return True, "digits comes with scikit-learn"
    if name == "image_folder":
        return _find_image_folder(root)
    source = _DOWNLOADS[name]
    missing = [f for f in source.files if not (root / source.folder / f).is_file()]
    if missing:
        folder = root / source.folder
        return False, f"{name} is not in {folder}; the run will download it"
    return True, f"{name} is in {root / source.folder}"


def _check_name(name: str) -> None:
    """Raise a ValueError that lists the names there are."""
    if name not in DATASETS:
        raise ValueError(f"dataset must be one of {', '.join(DATASETS)}, got {name!r}")


def _find_image_folder(root: Path) -> tuple[bool, str]:
    """Look for a folder of images; count its classes and files."""
    try:
        folder = scan_image_folder(root)
    except DatasetError as error:
        return False, str(error)
    train, test = (sum(map(len, split)) for split in (folder.train, folder.test or ()))
    return True, (
        f"{root} has {len(folder.classes)} classes, {train} training and {test} test "
        f"images"
    )


def _load_digits(cache_dir: Path) -> Dataset:
    """Load the digits from the cache: importing scikit-learn takes seconds."""
    settings = f"digits of scikit-learn {version('scikit-learn')}"
    path = cache_dir / f"digits-{fingerprint(Path(), (), settings)}.npz"
    cached = read_cache(path, "digits")
    if cached is not None:
        return cached
    dataset = _read_digits()
    with suppress(OSError):  # they are there without it, too
        write_cache(path, dataset)
    return dataset


def _read_digits() -> Dataset:
    """Read 8x8 digits with values from 0 to 16: the first 1,437 train, 360 test."""
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]

    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    labels = digits.target.astype(np.int64)
    train = Split(images[:_DIGITS_TRAIN], labels[:_DIGITS_TRAIN])
    test = Split(images[_DIGITS_TRAIN:], labels[_DIGITS_TRAIN:])
    return Dataset("digits", train, test, tuple(map(str, digits.target_names)))


def _load_image_folder(
    root: Path, cache_dir: Path, image_size: int | None, on_progress: Progress | None
) -> Dataset:
    """Load a folder of images from the cache, decoding it first if it has changed."""
    folder = scan_image_folder(root)
    key = fingerprint(root, folder.files, f"image_folder {image_size}")
    path = cache_dir / f"image_folder-{key}.npz"
    cached = read_cache(path, "image_folder")
    if cached is not None:
        return cached
    dataset = decode_image_folder(folder, image_size, on_progress)
    write_cache(path, dataset)
    return dataset


def _load_download(name: str, root: Path, cache_dir: Path, download: bool) -> Dataset:
    """Load a published data set from the cache, or by way of torchvision."""
    cached = None
    if find_dataset(name, root)[0]:
        cached = read_cache(_download_cache(name, root, cache_dir), name)
    if cached is not None:
        return cached
    dataset = _read_download(name, root, download)
    write_cache(_download_cache(name, root, cache_dir), dataset)
    return dataset


def _download_cache(name: str, root: Path, cache_dir: Path) -> Path:
    """Return the file that caches the present state of a published data set."""
    source = _DOWNLOADS[name]
    files = [root / source.folder / file for file in source.files]
    return cache_dir / f"{name}-{fingerprint(root, files, name)}.npz"


def _read_download(name: str, root: Path, download: bool) -> Dataset:
    """Read a published data set with torchvision, which downloads what is missing."""
    from torchvision import datasets  # type: ignore[import-untyped]

    source = _DOWNLOADS[name]
    reader = getattr(datasets, source.reader)
    try:
        train, test = (
            reader(root, split, download=download) for split in (True, False)
        )
    # RuntimeError is torchvision's, OSError the disk's, ValueError a bad file's.
    except (RuntimeError, OSError, ValueError) as error:
        raise DatasetError(
            f"cannot load {name}: {error}; put {', '.join(source.files)} into "
            f"{root / source.folder}, from {source.source}"
        ) from error
    return Dataset(name, _split(train), _split(test), tuple(train.classes))


def _split(dataset: Any) -> Split:
    """Copy torchvision's images (N, H, W) or (N, H, W, C) and labels."""
    images = np.asarray(dataset.data, np.uint8)
    labels = np.asarray(dataset.targets, np.int64)
    return Split(images if images.ndim == 4 else images[..., None], labels)
