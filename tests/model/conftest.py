"""Finished sweeps whose best trial is known."""

import os
import shutil
from pathlib import Path

import pytest

from fcnet.image_data import Data
from swept import Swept


@pytest.fixture
def young(folder: Path, digits: Data) -> Swept:
    """A sweep that has its first trial alone, the worse one."""
    swept = Swept(folder)
    swept.run(1, digits)
    return swept


@pytest.fixture(scope="module")
def swept(
    tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path, digits: Data
) -> Swept:
    """A sweep that has its four trials; the tests of a file share what they record."""
    folder = tmp_path_factory.mktemp("swept")
    shutil.copy(empty_mlflow, folder / "mlflow.db")
    before = Path.cwd()
    os.chdir(folder)  # where MLflow puts artifacts
    done = Swept(folder)
    done.run(4, digits)
    os.chdir(before)
    return done
