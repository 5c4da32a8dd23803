"""Sweeps of the digits whose best trial is known beforehand."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits  # type: ignore[import-untyped]
from typer.testing import CliRunner, Result

from fcnet.image_data import Data
from stores import Stores
from support import DIGITS, make_experiment
from sweep.cli import app
from sweep.experiment import Experiment
from tracked import sweep_here

# the first one learns next to nothing, the second one well
TRIALS = """\
  enqueue:
    - {hidden_dim: 4, learning_rate: 0.01}
    - {hidden_dim: 16, learning_rate: 0.5}
"""


class Swept:
    """A sweep of the digits in a folder of its own, with real stores."""

    def __init__(self, folder: Path) -> None:
        """Take the folder, which has an MLflow database."""
        self.folder, self.stores = folder, Stores.in_files(folder)
        self.experiment = self._experiment(1)

    @property
    def words(self) -> list[str]:
        """What `best` is to be told: the file, and where the stores are."""
        told = (
            f"study.storage={self.stores.storage}",
            f"mlflow.tracking_uri={self.stores.tracking_uri}",
            f"study.folder={self.folder / 'sweeps'}",
        )
        words = [word for setting in told for word in ("--set", setting)]
        return [str(self.folder / "experiment.yaml"), *words]

    def run(self, trials: int, data: Data) -> None:
        """Go on until so many trials are done."""
        self.experiment = self._experiment(trials)
        sweep_here(self.experiment, data)

    def _experiment(self, trials: int) -> Experiment:
        of = f"study.trials={trials}"
        return make_experiment(self.folder, of, text=DIGITS + TRIALS)

    def call(self, verb: str, *more: str) -> Result:
        """What the command line does."""
        words = self.words if verb == "best" else []
        return CliRunner().invoke(app, [verb, *words, *more])


def held_out_digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The digits' test split: images (N, 8, 8) of bytes, and labels (N,)."""
    digits = load_digits()
    images = np.rint(digits.images[1437:] * (255 / 16)).astype(np.uint8)
    return images, digits.target[1437:]


def write_images(folder: Path, count: int) -> list[Path]:
    """The first images of the test split as files."""
    files = []
    for number, image in enumerate(held_out_digits()[0][:count]):
        files.append(folder / f"{number:03d}.png")
        Image.fromarray(image).save(files[-1])
    return files
