"""A folder of image files, one folder for each class, decoded into arrays.

`root/train/<class>/*` and, if there is one, `root/test/<class>/*`, as torchvision's
ImageFolder has it. Knows nothing of caches.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fcnet.errors import DatasetError
from fcnet.image_data import Dataset, Images, Split

Progress = Callable[[str, int, int], None]

_SUFFIXES = (
    ".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip
_LAYOUT = "expected train/<class>/<image> and, if wanted, test/<class>/<image>"


@dataclass(frozen=True)
class ImageFolder:
    """The image files of a folder.

    Attributes:
        root: The folder that holds train/ and, if there is a test split, test/.
        classes: The names of the folders in train/, sorted.
        train: Class by class the files, sorted.
        test: As train; None if there is no test/.
    """

    root: Path
    classes: tuple[str, ...]
    train: tuple[tuple[Path, ...], ...]
    test: tuple[tuple[Path, ...], ...] | None

    @property
    def files(self) -> list[Path]:
        """All files, those of train/ first."""
        return [file for files in self.train + (self.test or ()) for file in files]


def scan_image_folder(root: Path) -> ImageFolder:
    """List the image files below a folder; opens none of them.

    Raises:
        DatasetError: The folder is missing or is not laid out as it should be.
    """
    if not root.is_dir():
        raise DatasetError(f"no such folder: {root}; {_LAYOUT} in it")
    if not (root / "train").is_dir():
        found = ", ".join(_folders(root)[:5]) or "no folder"
        raise DatasetError(f"{root} has no train/ but {found}; {_LAYOUT}")
    classes = _folders(root / "train")
    if not classes:
        raise DatasetError(f"{root / 'train'} has no folder; {_LAYOUT}")
    train = _scan_classes(root / "train", classes)
    if not (root / "test").is_dir():
        return ImageFolder(root, tuple(classes), train, None)
    found_in_test = _folders(root / "test")
    if found_in_test != classes:
        extra = sorted(set(found_in_test) - set(classes))
        missing = sorted(set(classes) - set(found_in_test))
        raise DatasetError(
            f"{root / 'test'} must have the classes of train/, but has "
            f"{extra or 'none'} in addition and lacks {missing or 'none'}"
        )
    test = _scan_classes(root / "test", classes)
    return ImageFolder(root, tuple(classes), train, test)


def _folders(path: Path) -> list[str]:
    """Return the sorted names of the folders in a folder, without hidden ones."""
    found = (entry for entry in os.scandir(path) if entry.is_dir())
    return sorted(entry.name for entry in found if not entry.name.startswith("."))


def _scan_classes(path: Path, classes: list[str]) -> tuple[tuple[Path, ...], ...]:
    """Return the sorted image files of each class folder, none of which is empty."""
    return tuple(_scan_class(path / name) for name in classes)


def _scan_class(path: Path) -> tuple[Path, ...]:
    """Return the sorted image files anywhere below a class folder."""
    files = [
        Path(folder, name)
        for folder, _, names in os.walk(path, followlinks=True)
        for name in names
        if name.lower().endswith(_SUFFIXES) and not name.startswith(".")
    ]
    if not files:
        endings = " ".join(_SUFFIXES)
        raise DatasetError(f"{path} has no image; expected files that end in {endings}")
    return tuple(sorted(files))


def decode_image_folder(
    folder: ImageFolder, image_size: int | None, on_progress: Progress | None
) -> Dataset:
    """Decode every image to RGB.

    Args:
        folder: The files.
        image_size: Rows and columns that every image is resized to (bilinearly, its
            sides' ratio is not kept); None if all images have one size already.
        on_progress: Called after each image with what is done, how many, of how many.

    Returns:
        The data set, with images of shape (N, H, W, 3).

    Raises:
        DatasetError: A file is not an image, or two differ in size.
    """
    files = folder.files
    size = None if image_size is None else (image_size, image_size)
    first = decode_image(files[0], size)
    images = np.empty((len(files), *first.shape), np.uint8)
    for done, file in enumerate(files):
        image = decode_image(file, size)
        if image.shape != first.shape:
            raise DatasetError(
                f"images must have one size, but {files[0]} has {_size(first)} and "
                f"{file} has {_size(image)} pixels; set data.image_size to resize them"
            )
        images[done] = image
        if on_progress is not None:
            on_progress("decoding images", done + 1, len(files))
    border = sum(map(len, folder.train))
    train = Split(images[:border], _labels(folder.train))
    test = None
    if folder.test is not None:
        test = Split(images[border:], _labels(folder.test))
    return Dataset("image_folder", train, test, folder.classes)


def decode_image(file: Path, size: tuple[int, int] | None, channels: int = 3) -> Images:
    """Decode one image.

    Args:
        file: The file.
        size: Rows and columns that it is resized to (bilinearly, its sides' ratio is
            not kept); None to leave it as it is.
        channels: C: 3 for red, green and blue, 1 for shades of grey.

    Returns:
        The image, of shape (H, W, C).

    Raises:
        DatasetError: The file is not an image.
    """
    from PIL import Image

    # What PIL raises for files that are no image, cut short, damaged or absurdly large.
    errors = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
    try:
        with Image.open(file) as image:
            decoded = image.convert("RGB" if channels == 3 else "L")
    except errors as error:
        raise DatasetError(
            f"cannot decode {file}: {error}; repair or remove it"
        ) from error
    if size is not None and decoded.size != size[::-1]:
        decoded = decoded.resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(decoded).reshape(decoded.height, decoded.width, channels)


def _size(image: Images) -> str:
    """Return the size of an image (H, W, 3) as people write it, width first."""
    return f"{image.shape[1]}x{image.shape[0]}"


def _labels(
    classes: tuple[tuple[Path, ...], ...],
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the label of every file of a split, class by class."""
    return np.repeat(np.arange(len(classes)), [len(files) for files in classes])
