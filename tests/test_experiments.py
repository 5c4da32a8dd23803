"""Every experiment that we ship runs, at a small size; two of them on Ray."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from sweep.checkpoint import read_checkpoint
from sweep.config import load
from sweep.data import load_data
from sweep.experiment import Experiment
from sweep.interrupt import Interrupt
from sweep.launch import launched
from sweep.paths import CHECKPOINT
from sweep.placement import Node
from sweep.session import run_sweep
from sweep.status import read_status
from sweep.tracking_process import TrackerProcess
from sweep.trial import State
from tracked import sweep_here

EXPERIMENTS = sorted(Path(__file__).parents[1].glob("experiments/*.yaml"))
ON_RAY = ("digits", "deep")  # nets that are lanes of a pack, and nets that are not

MakeSmall = Callable[[Path], Experiment]

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


@pytest.fixture
def make_small(
    folder: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> MakeSmall:
    """Makes the experiment of a file small; its decoded images are the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    return lambda file: small(file, folder, images)


@pytest.mark.parametrize("name", ON_RAY)
def test_an_experiment_that_we_ship_runs_on_ray(
    name: str, make_small: MakeSmall, nodes: tuple[Node, ...], folder: Path
) -> None:
    """With workers, and a process that writes to MLflow."""
    [file] = [file for file in EXPERIMENTS if file.stem == name]
    experiment = make_small(file)
    console = Console(quiet=True)
    interrupt = Interrupt(console.print)
    with TrackerProcess(experiment) as tracker:
        run_sweep(experiment, nodes, tracker, console, interrupt, lambda: None)

    assert_has_its_best(experiment, folder)


@pytest.mark.parametrize(
    "file",
    [file for file in EXPERIMENTS if file.stem not in ON_RAY],
    ids=lambda file: file.stem,
)
def test_each_other_experiment_that_we_ship_runs(
    file: Path, make_small: MakeSmall, folder: Path
) -> None:
    """Its settings are such as the study, the networks and the stores take."""
    experiment = make_small(file)
    sweep_here(experiment, load_data(experiment))

    assert_has_its_best(experiment, folder)


def assert_has_its_best(experiment: Experiment, folder: Path) -> None:
    """Its trials ended as they should, and its best checkpoint is in MLflow."""
    summary, runs = read_status(experiment)
    finished = summary.counts[State.COMPLETE] + summary.counts[State.PRUNED]
    assert finished == sum(summary.counts.values()) == 2
    assert summary.best is not None
    path = mlflow.artifacts.download_artifacts(
        f"runs:/{runs.best_run_id}/{CHECKPOINT}",
        dst_path=str(folder),
        tracking_uri=experiment.mlflow.tracking_uri,
    )
    checkpoint = read_checkpoint(Path(path))
    assert checkpoint.info.val_accuracy == summary.best.value
    assert checkpoint.info.image_shape == (3, 8, 8)
    assert checkpoint.scale.shape == checkpoint.params["W1"].shape[:1] == (192,)
