"""The experiment's images: found, loaded, held out and measured; in the driver."""

from dataclasses import replace
from pathlib import Path

from fcnet.datasets import find_dataset, load_dataset, prepare
from fcnet.errors import DatasetError
from fcnet.image_data import Data, Dataset, prepare_whole
from sweep.errors import DataError
from sweep.experiment import Experiment
from sweep.paths import dataset_cache


def load_data(experiment: Experiment) -> Data:
    """Load, hold out and measure the experiment's images; downloads what is missing.

    Returns:
        The training and the validation split; the test split stays where it is.

    Raises:
        DataError: if they are missing and cannot be fetched, or cannot be read.
    """
    data, dataset = experiment.data, load_images(experiment)
    try:
        prepared = prepare(
            dataset,
            validation=data.validation,
            seed=data.seed,
            normalize=data.normalize,
            flip=data.flip,
        )
    except DatasetError as error:
        raise DataError(f"data: {error}") from error
    return replace(prepared, X_test=None, y_test=None)


def load_images(experiment: Experiment) -> Dataset:
    """Load the experiment's images as they lie on disk, those of the test split, too.

    Raises:
        DataError: if they are missing and cannot be fetched, or cannot be read.
    """
    data = experiment.data
    try:
        return load_dataset(
            data.dataset,
            Path(data.root),
            cache_dir=dataset_cache(),
            image_size=data.image_size,
        )
    except (DatasetError, OSError) as error:
        raise DataError(f"data: {error}") from error


def load_whole(experiment: Experiment) -> Data:
    """Load and measure the experiment's images, none of them held out.

    Returns:
        Training and validation split as one, and the test split.

    Raises:
        DataError: if they are missing or cannot be read, or there is no test split.
    """
    data, dataset = experiment.data, load_images(experiment)
    if dataset.test is None:
        raise no_test_split(experiment)
    return prepare_whole(dataset, normalize=data.normalize, flip=data.flip)


def no_test_split(experiment: Experiment) -> DataError:
    """The error for images without a test split, where one is needed."""
    data = experiment.data
    return DataError(
        f"data: {data.dataset} in {data.root} has no test split; what to do: put "
        "images that are not in train/ into test/<class>/"
    )


def find_data(experiment: Experiment) -> tuple[bool, str]:
    """Whether the experiment's images are there, and a sentence on what was found."""
    return find_dataset(experiment.data.dataset, Path(experiment.data.root))
