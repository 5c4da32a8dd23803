"""Every experiment that we ship runs, at a small size: one sweep each, on one Ray."""

import signal
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from sweep.checkpoint import read_checkpoint
from sweep.config import load
from sweep.experiment import Experiment
from sweep.interrupt import Interrupt
from sweep.launch import launched
from sweep.paths import CHECKPOINT
from sweep.placement import Node
from sweep.session import run_sweep
from sweep.status import read_status
from sweep.tracking_process import TrackerProcess
from sweep.trial import State

EXPERIMENTS = sorted(Path(__file__).parents[1].glob("experiments/*.yaml"))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def nodes() -> Iterator[tuple[Node, ...]]:
    """What a Ray of this machine alone has; a sweep takes over signals, too."""
    handlers = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    with launched("local") as found:
        yield found
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of forty colour images of 8 x 8 in two classes."""
    root = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    for kind in ("bright", "dark"):
        folder = root / "train" / kind
        folder.mkdir(parents=True)
        for number in range(20):
            low = 100 if kind == "bright" else 0
            pixels = generator.integers(low, low + 150, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return root


def small(file: Path, folder: Path, images: Path) -> Experiment:
    """The experiment of a file on few images, with few and short trials."""
    return load(
        file,
        (
            "data.dataset=image_folder",
            f"data.root={images}",
            "solver.num_epochs=2",
            "study.trials=2",
            f"study.storage=sqlite:///{folder / 'optuna.db'}",
            f"mlflow.tracking_uri=sqlite:///{folder / 'mlflow.db'}",
            f"study.folder={folder / 'sweeps'}",
        ),
    )


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_each_experiment_that_we_ship_runs(
    file: Path,
    folder: Path,
    images: Path,
    nodes: tuple[Node, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its trials end as they should, and its best checkpoint is in MLflow."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    experiment = small(file, folder, images)
    console = Console(quiet=True)
    interrupt = Interrupt(console.print)
    with TrackerProcess(experiment) as tracker:
        summary = run_sweep(
            experiment, nodes, tracker, console, interrupt, lambda: None
        )

    finished = summary.counts[State.COMPLETE] + summary.counts[State.PRUNED]
    assert finished == sum(summary.counts.values()) == 2
    assert summary.best is not None
    path = mlflow.artifacts.download_artifacts(
        f"runs:/{read_status(experiment)[1].best_run_id}/{CHECKPOINT}",
        dst_path=str(folder),
        tracking_uri=experiment.mlflow.tracking_uri,
    )
    checkpoint = read_checkpoint(Path(path))
    assert checkpoint.info.val_accuracy == summary.best.value
    assert checkpoint.info.image_shape == (3, 8, 8)
    assert checkpoint.scale.shape == checkpoint.params["W1"].shape[:1] == (192,)
