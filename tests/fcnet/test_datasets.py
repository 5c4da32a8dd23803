"""Data sets: found, loaded, cached, prepared, and refused with a clear message."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fcnet.datasets import (
    DATASETS,
    Dataset,
    DatasetError,
    Split,
    find_dataset,
    load_dataset,
    prepare,
)
from fcnet.image_statistics import NORMALIZATIONS, scale_and_shift


def save_image(path: Path, shade: int, size: tuple[int, int] = (4, 3)) -> None:
    """Save a PNG of one shade of red, of that width and height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade, 7, 9)).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of two classes, three training images and two test images."""
    root = tmp_path / "images"
    save_image(root / "train/cat/a.png", 1)
    save_image(root / "train/cat/more/b.PNG", 2)
    save_image(root / "train/dog/a.png", 3)
    save_image(root / "test/cat/a.png", 4)
    save_image(root / "test/dog/a.png", 5)
    (root / "train/dog/notes.txt").write_text("no image")
    return root


def load_folder(root: Path, **arguments: Any) -> Dataset:
    """Load a folder of images with its cache beside it."""
    return load_dataset(
        "image_folder", root, cache_dir=root.parent / "cache", **arguments
    )


def test_digits_need_no_network(tmp_path: Path) -> None:
    """The digits are 1,437 and 360 grey images of 8x8, from 0 to 255."""
    digits = load_dataset("digits", tmp_path, cache_dir=tmp_path / "cache")
    assert digits.test is not None
    assert digits.train.images.shape == (1437, 8, 8, 1)
    assert digits.test.images.shape == (360, 8, 8, 1)
    assert digits.train.images.dtype == np.uint8
    assert digits.train.labels.dtype == np.int64
    assert (digits.train.images.min(), digits.train.images.max()) == (0, 255)
    assert digits.classes == tuple("0123456789")


def test_digits_are_read_from_the_cache_without_scikit_learn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second time they are the same, and nothing slow is imported."""
    first = load_dataset("digits", tmp_path, cache_dir=tmp_path / "cache")
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    again = load_dataset("digits", tmp_path, cache_dir=tmp_path / "cache")

    assert again.classes == first.classes
    assert again.test is not None
    assert first.test is not None
    assert np.array_equal(again.train.images, first.train.images)
    assert np.array_equal(again.train.labels, first.train.labels)
    assert np.array_equal(again.test.images, first.test.images)


def test_digits_need_no_cache(tmp_path: Path) -> None:
    """Where none can be written, they are there all the same."""
    (tmp_path / "file").touch()

    assert load_dataset("digits", tmp_path, cache_dir=tmp_path / "file" / "cache")


def test_an_image_folder_is_decoded_class_by_class(root: Path) -> None:
    """Classes are sorted, images lie at any depth, other files are left alone."""
    dataset = load_folder(root)
    assert dataset.test is not None
    assert dataset.classes == ("cat", "dog")
    assert dataset.train.images.shape == (3, 3, 4, 3)
    assert dataset.train.images[:, 0, 0].tolist() == [[1, 7, 9], [2, 7, 9], [3, 7, 9]]
    assert dataset.train.labels.tolist() == [0, 0, 1]
    assert dataset.test.images[:, 0, 0, 0].tolist() == [4, 5]
    assert dataset.test.labels.tolist() == [0, 1]
    assert dataset.train.labels.dtype == np.int64


def test_a_second_load_decodes_nothing(root: Path) -> None:
    """The cache gives the same arrays without opening an image."""
    first = load_folder(root)
    with patch("PIL.Image.open", side_effect=AssertionError):
        second = load_folder(root)
    assert_equal_datasets(first, second)
    cache = root.parent / "cache"
    assert [path.suffix for path in cache.iterdir()] == [".npz"]


def assert_equal_datasets(one: Dataset, other: Dataset) -> None:
    """Assert that two data sets hold the same."""
    assert (one.name, one.classes) == (other.name, other.classes)
    for a, b in ((one.train, other.train), (one.test, other.test)):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            np.testing.assert_array_equal(a.images, b.images)
            np.testing.assert_array_equal(a.labels, b.labels)


def test_a_changed_folder_is_decoded_anew(root: Path) -> None:
    """A new file, a changed one and another size each have their own copy."""
    load_folder(root)
    save_image(root / "train/dog/b.png", 8)
    assert len(load_folder(root).train.labels) == 4
    save_image(root / "train/dog/b.png", 200)
    assert load_folder(root).train.images[-1, 0, 0, 0] == 200
    assert load_folder(root, image_size=2).train.images.shape == (4, 2, 2, 3)


def test_decoding_reports_progress(root: Path) -> None:
    """The callback hears of every image, and of none when the cache is used."""
    heard: list[tuple[str, int, int]] = []
    for _ in range(2):
        load_folder(root, on_progress=lambda *report: heard.append(report))
    assert heard == [("decoding images", done, 5) for done in range(1, 6)]


def test_a_failed_decode_leaves_nothing_behind(root: Path) -> None:
    """Neither a cached file nor a temporary one is left by an error."""
    (root / "train/dog/a.png").write_bytes(b"broken")
    with pytest.raises(DatasetError):
        load_folder(root)
    assert not (root.parent / "cache").exists()


def test_a_failed_write_leaves_nothing_behind(root: Path) -> None:
    """A disk that fills up while the cache is written keeps no half a file."""
    with (
        patch("numpy.savez", side_effect=OSError("disk full")),
        pytest.raises(OSError, match="disk full"),
    ):
        load_folder(root)
    assert not list((root.parent / "cache").iterdir())


def test_images_of_different_sizes_need_an_image_size(root: Path) -> None:
    """Both files and sizes are named, and data.image_size cures it."""
    save_image(root / "train/dog/a.png", 3, size=(6, 5))
    with pytest.raises(DatasetError, match="image_size") as caught:
        load_folder(root)
    message = str(caught.value)
    assert all(part in message for part in ("cat/a.png has 4x3", "dog/a.png has 6x5"))
    assert load_folder(root, image_size=4).train.images.shape == (3, 4, 4, 3)


@pytest.mark.parametrize("keep", [0, 20, 50])
def test_a_damaged_image_is_named(root: Path, keep: int) -> None:
    """A file that is empty or cut short is an error that names it."""
    path = root / "test/dog/a.png"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DatasetError, match=r"cannot decode .*test/dog/a\.png"):
        load_folder(root)


def test_a_folder_without_test_has_no_test_split(root: Path) -> None:
    """test/ is optional, also in the cache."""
    (root / "test").rename(root.parent / "elsewhere")
    assert load_folder(root).test is None
    assert load_folder(root).test is None


def empty_class(root: Path) -> None:
    """Add a class folder that holds no image."""
    (root / "train/emu").mkdir()


def strange_test_class(root: Path) -> None:
    """Rename a class in test/ alone."""
    (root / "test/dog").rename(root / "test/fox")


def no_train(root: Path) -> None:
    """Rename train/."""
    (root / "train").rename(root / "training")


def no_classes(root: Path) -> None:
    """Leave train/ empty."""
    (root / "train").rename(root.parent / "elsewhere")
    (root / "train").mkdir()


def no_folder(root: Path) -> None:
    """Take the whole folder away."""
    root.rename(root.parent / "elsewhere")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_folder, "no such folder: .*images; expected train/<class>"),
        (no_train, "images has no train/ but test, training; expected"),
        (no_classes, "train has no folder; expected"),
        (empty_class, r"train/emu has no image; expected .*\.png"),
        (strange_test_class, r"images/test must .* has \['fox'\] .* lacks \['dog'\]"),
    ],
)
def test_an_ill_arranged_folder_is_refused(
    root: Path, damage: Any, message: str
) -> None:
    """Load and find both name the folder, what was found and what is expected."""
    damage(root)
    with pytest.raises(DatasetError, match=message) as caught:
        load_folder(root)
    assert find_dataset("image_folder", root) == (False, str(caught.value))


def test_find_counts_an_image_folder_without_reading_it(root: Path) -> None:
    """A dry run opens no image and says what is there."""
    (root / "train/dog/a.png").write_bytes(b"broken")
    found, sentence = find_dataset("image_folder", root)
    assert found
    assert "2 classes, 3 training and 2 test images" in sentence


def test_find_imports_no_data_library(tmp_path: Path) -> None:
    """A dry run needs neither torchvision nor scikit-learn nor PIL."""
    code = (
        "import sys; from pathlib import Path; from fcnet.datasets import *\n"
        f"for n in DATASETS: find_dataset(n, Path({str(tmp_path)!r}))\n"
        "print([m for m in ('torchvision', 'sklearn', 'PIL') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", DATASETS)
def test_find_knows_every_data_set(name: str, tmp_path: Path) -> None:
    """In an empty folder only the bundled digits are found."""
    assert find_dataset(name, tmp_path)[0] == (name == "digits")


@pytest.mark.parametrize(
    ("name", "reader", "folder", "file"),
    [
        ("cifar10", "CIFAR10", "cifar-10-batches-py", "data_batch_1"),
        ("mnist", "MNIST", "MNIST/raw", "train-images-idx3-ubyte"),
        ("fashion_mnist", "FashionMNIST", "FashionMNIST/raw", "t10k-labels-idx1-ubyte"),
    ],
)
def test_a_failed_download_says_which_files_go_where(
    name: str, reader: str, folder: str, file: str, tmp_path: Path
) -> None:
    """Without network the message names the files and their folder."""
    with (
        patch(f"torchvision.datasets.{reader}", side_effect=OSError("no network")),
        pytest.raises(DatasetError, match="no network") as caught,
    ):
        load_dataset(name, tmp_path, cache_dir=tmp_path / "cache")
    assert file in str(caught.value)
    assert str(tmp_path / folder) in str(caught.value)


def test_a_missing_data_set_is_not_downloaded_unasked(tmp_path: Path) -> None:
    """With download off, missing files are an error at once."""
    with pytest.raises(DatasetError, match="cannot load cifar10"):
        load_dataset("cifar10", tmp_path, cache_dir=tmp_path, download=False)


def write_idx(path: Path, array: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    """Write an array in MNIST's file format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.write_bytes(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes())


def test_a_published_data_set_is_read_once(tmp_path: Path) -> None:
    """Files in place need no network; the second load needs no torchvision."""
    images = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28)
    for split in ("train", "t10k"):
        raw = tmp_path / "MNIST/raw"
        write_idx(raw / f"{split}-images-idx3-ubyte", images)
        write_idx(raw / f"{split}-labels-idx1-ubyte", np.array([3, 9], np.uint8))
    assert find_dataset("mnist", tmp_path)[0]
    first = load_dataset("mnist", tmp_path, cache_dir=tmp_path / "cache")
    with patch.dict(sys.modules, {"torchvision": None}):
        second = load_dataset("mnist", tmp_path, cache_dir=tmp_path / "cache")
    assert_equal_datasets(first, second)
    np.testing.assert_array_equal(first.train.images[..., 0], images)
    assert first.train.labels.tolist() == [3, 9]
    assert len(first.classes) == 10


def test_impossible_arguments_are_refused(tmp_path: Path) -> None:
    """Unknown names and impossible sizes are errors that say what is allowed."""
    with pytest.raises(ValueError, match=r"one of cifar10, .* got 'cifar'"):
        load_dataset("cifar", tmp_path, cache_dir=tmp_path)
    with pytest.raises(ValueError, match="must be one of"):
        find_dataset("cifar", tmp_path)
    with pytest.raises(ValueError, match="image_size"):
        load_dataset("digits", tmp_path, cache_dir=tmp_path, image_size=4)
    with pytest.raises(ValueError, match="image_size"):
        load_folder(tmp_path, image_size=0)


def toy_dataset(n: int = 10) -> Dataset:
    """Make n images of 2x3 pixels and 2 channels, label i for image i."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (n, 2, 3, 2), np.uint8)
    train = Split(images, np.arange(n))
    return Dataset("toy", train, Split(images[:3], np.arange(3)), ("a", "b"))


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 40), st.floats(0.001, 0.999), st.integers(0, 99))
def test_every_image_is_trained_or_validated_on(
    n: int, validation: float, seed: int
) -> None:
    """The two parts are a partition, neither is empty, and a rerun is the same."""
    dataset = toy_dataset(n)
    data = prepare(dataset, validation=validation, seed=seed)
    assert sorted([*data.y_train, *data.y_val]) == list(range(n))
    assert min(len(data.y_train), len(data.y_val)) >= 1
    assert abs(len(data.y_val) - validation * n) <= 1
    again = prepare(dataset, validation=validation, seed=seed)
    np.testing.assert_array_equal(data.X_train, again.X_train)


def test_rows_are_the_images_as_they_are_channel_by_channel() -> None:
    """A row holds channel after channel, each value still a byte; labels go along."""
    dataset = toy_dataset()
    data = prepare(dataset, validation=0.3, seed=0)
    assert data.X_train.shape == (7, 12)
    assert data.image_shape == (2, 2, 3)
    assert data.X_test is not None
    assert data.y_test is not None
    for X, y in (
        (data.X_train, data.y_train),
        (data.X_val, data.y_val),
        (data.X_test, data.y_test),
    ):
        assert X.dtype == np.uint8
        rows = dataset.train.images[y].transpose(0, 3, 1, 2).reshape(len(y), -1)
        np.testing.assert_array_equal(X, rows)


@pytest.mark.parametrize("normalize", NORMALIZATIONS)
def test_scale_and_shift_are_of_the_training_part_alone(normalize: str) -> None:
    """Other images to validate or test on change neither."""
    dataset = toy_dataset()
    data = prepare(dataset, validation=0.3, seed=0, normalize=normalize, flip=True)
    images = dataset.train.images.copy()
    images[data.y_val] = 0
    other = replace(dataset, train=replace(dataset.train, images=images), test=None)
    again = prepare(other, validation=0.3, seed=0, normalize=normalize)
    np.testing.assert_array_equal(data.scale, again.scale)
    np.testing.assert_array_equal(data.shift, again.shift)
    expected = scale_and_shift(data.X_train, 2, normalize)
    np.testing.assert_array_equal((data.scale, data.shift), expected)
    assert (data.flip, again.flip) == (True, False)


def test_prepare_leaves_the_images_unchanged() -> None:
    """The data set can be prepared again with another seed."""
    dataset = toy_dataset()
    before = dataset.train.images.copy()
    prepare(dataset, validation=0.5, seed=1)
    np.testing.assert_array_equal(dataset.train.images, before)


@pytest.mark.parametrize("validation", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_out_of_range_is_refused(validation: float) -> None:
    """Nothing or everything cannot be held out."""
    with pytest.raises(ValueError, match="validation must be between 0 and 1"):
        prepare(toy_dataset(), validation=validation, seed=0)


def test_a_negative_seed_and_a_single_image_are_refused() -> None:
    """Both are errors with a clear message."""
    with pytest.raises(ValueError, match="seed must be >= 0"):
        prepare(toy_dataset(), validation=0.5, seed=-1)
    with pytest.raises(DatasetError, match="at least 2 training images"):
        prepare(toy_dataset(1), validation=0.5, seed=0)
