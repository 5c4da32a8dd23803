"""What one more short trial costs: this project, and Ray Tune as it is usually glued.

    python benchmarks/overhead.py [--trials 100] [--repeats 3] [--history 0]

Each trial does nothing but report three epochs, so all its time is overhead. Both sides
use two workers, Optuna's TPE sampler over four hyperparameters with its study on
SQLite, and MLflow on SQLite; ours also stores the curves, the trial's tags and a
checkpoint of 10 kB. The figure is the time from the end of the tenth trial to the
moment when all is written, for each trial in between: start-up is left out. The sides
take turns. `--history` begins our study with so many finished trials.

Needs the extra `benchmark`: pip install -c constraints.txt -e '.[benchmark]'.
"""

import argparse
import logging
import os
import random
import statistics
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")

import optuna
from optuna.distributions import FloatDistribution, IntDistribution

from sweep.budget import Budget
from sweep.cluster import connect, disconnect
from sweep.config import load
from sweep.event_log import EventLog
from sweep.experiment import Experiment
from sweep.opening import Opening
from sweep.plan import Plan
from sweep.recorder import Recorder
from sweep.runner import Loop
from sweep.study import OptunaStudy
from sweep.tracking_process import TrackerProcess
from sweep.trial import (
    Ending,
    EpochReport,
    Message,
    Notice,
    TrialEnded,
    TrialRecord,
    TrialSpec,
)
from sweep.workers import RayPool

WARM_UP = 10
EPOCHS = 3
CURVE = (0.3, 0.4, 0.5)
YAML = """\
name: overhead
data: {dataset: digits}
model:
  hidden_dim:   {int: [32, 1024], log: true}
  weight_scale: {float: [1e-4, 1e-1], log: true}
  reg:          {float: [1e-7, 1e-2], log: true}
solver:
  learning_rate: {float: [1e-3, 1.0], log: true}
  num_epochs: 3
study: {pruner: none}
"""


class Instant:
    """Trials that take no time."""

    lanes = 1

    def __init__(self, data: object, device: str, threads: int) -> None:
        self._epochs: dict[TrialSpec, int] = {}
        self._lanes: dict[int, tuple[TrialSpec, int]] = {}

    def advance(
        self, start: Sequence[TrialSpec], stop: Mapping[int, Ending]
    ) -> list[Message]:
        """Report an epoch of each trial at once."""
        self._lanes |= {spec.number: (spec, 0) for spec in start}
        return [
            m
            for spec, epoch in list(self._lanes.values())
            for m in self._epoch(spec, epoch)
        ]

    def _epoch(self, spec: TrialSpec, epoch: int) -> list[Message]:
        accuracy = CURVE[epoch]
        losses = tuple((10 * epoch + i, 1.0) for i in range(10))
        report = EpochReport(
            spec.number,
            spec.attempt,
            epoch + 1,
            1.0,
            accuracy,
            accuracy,
            0.1,
            losses,
            0.0,
        )
        self._lanes[spec.number] = (spec, epoch + 1)
        if epoch + 1 < EPOCHS:
            return [report]
        del self._lanes[spec.number]
        ended = TrialEnded(
            spec.number,
            spec.attempt,
            Ending.COMPLETE,
            accuracy,
            epoch + 1,
            0.0,
            bytes(10_000),
        )
        return [report, ended]


class Stopwatch:
    """Listens for the moments at which trials end."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def started(self, spec: TrialSpec) -> None:
        """Nothing to note."""

    def reported(self, report: EpochReport) -> None:
        """Nothing to note."""

    def noticed(self, notice: Notice) -> None:
        """Nothing to note."""

    def ended(self, ended: TrialEnded, record: TrialRecord) -> None:
        """Note the time."""
        self.ends.append(time.perf_counter())


def ours(folder: Path, trials: int, history: int) -> float:
    """Milliseconds for each further trial of a sweep of this project."""
    file = folder / "experiment.yaml"
    file.write_text(YAML)
    experiment = load(
        file,
        (
            f"study.trials={trials + history}",
            f"study.storage=sqlite:///{folder}/optuna.db",
            f"mlflow.tracking_uri=sqlite:///{folder}/mlflow.db",
            f"study.folder={folder}/sweeps",
        ),
    )
    if history:
        _make_history(experiment, history)
    connect("local")
    pool = RayPool(Plan(workers=2, cpus=1, gpus=0.0, lanes=1), Instant)
    pool.load(None)
    study = OptunaStudy(experiment)
    tracker = TrackerProcess(experiment)
    log = EventLog(study.folder)
    tracker.open(Opening(study.folder, study.states, study.summary(), {}))
    recorder, stopwatch = Recorder(log, tracker.send, print), Stopwatch()
    budget = Budget(experiment.trials, None, max_failures=1)
    loop = Loop(study, pool, (recorder, stopwatch), budget, time.monotonic)
    loop.run(lambda: False)
    recorder.close()
    tracker.close("FINISHED", None)
    written = time.perf_counter()
    tracker.stop()
    pool.close()
    disconnect()
    return _marginal(stopwatch.ends, written)


def _make_history(experiment: Experiment, trials: int) -> None:
    rng = random.Random(0)
    log = {"log": True}
    space = {
        "hidden_dim": IntDistribution(32, 1024, **log),
        "weight_scale": FloatDistribution(1e-4, 1e-1, **log),
        "reg": FloatDistribution(1e-7, 1e-2, **log),
        "learning_rate": FloatDistribution(1e-3, 1.0, **log),
    }
    OptunaStudy(experiment)  # makes the study as the sweep will find it
    stored = optuna.load_study(
        study_name=experiment.name, storage=experiment.study.storage
    )
    for _ in range(trials):
        params: dict[str, Any] = {
            "hidden_dim": rng.randint(32, 1024),
            "weight_scale": 10 ** rng.uniform(-4, -1),
            "reg": 10 ** rng.uniform(-7, -2),
            "learning_rate": 10 ** rng.uniform(-3, 0),
        }
        trial = optuna.create_trial(
            value=rng.random(), params=params, distributions=space
        )
        stored.add_trial(trial)


def ray_tune(folder: Path, trials: int) -> float:
    """Milliseconds for each further trial of Ray Tune with OptunaSearch."""
    import ray
    from optuna.storages import RDBStorage
    from ray import tune
    from ray.air.integrations.mlflow import MLflowLoggerCallback
    from ray.tune.search.optuna import OptunaSearch

    ends: list[float] = []

    class Instantly(tune.Trainable):
        def setup(self, config: dict[str, Any]) -> None:
            self.epoch = 0

        def step(self) -> dict[str, Any]:
            self.epoch += 1
            return {"accuracy": CURVE[self.epoch - 1], "done": self.epoch == EPOCHS}

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.epoch = 0
            return True

    class Ends(tune.Callback):
        def on_trial_complete(self, *_arguments: Any, **_more: Any) -> None:
            ends.append(time.perf_counter())

    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    tuner = tune.Tuner(
        Instantly,
        param_space={
            "hidden_dim": tune.lograndint(32, 1024),
            "weight_scale": tune.loguniform(1e-4, 1e-1),
            "reg": tune.loguniform(1e-7, 1e-2),
            "learning_rate": tune.loguniform(1e-3, 1.0),
        },
        tune_config=tune.TuneConfig(
            metric="accuracy",
            mode="max",
            num_samples=trials,
            max_concurrent_trials=2,
            reuse_actors=True,
            search_alg=OptunaSearch(
                storage=RDBStorage(f"sqlite:///{folder}/optuna.db")
            ),
        ),
        run_config=tune.RunConfig(
            storage_path=str(folder / "tune"),
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            callbacks=[
                MLflowLoggerCallback(
                    tracking_uri=f"sqlite:///{folder}/mlflow.db", experiment_name="tune"
                ),
                Ends(),
            ],
        ),
    )
    results = tuner.fit()
    written = time.perf_counter()
    assert len(results) == trials == len(ends)
    ray.shutdown()
    return _marginal(ends, written)


def _marginal(ends: Sequence[float], written: float) -> float:
    return 1000 * (written - ends[WARM_UP - 1]) / (len(ends) - WARM_UP)


def main() -> None:
    """Measure both sides in turn, and print each figure and the medians."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--history", type=int, default=0)
    parser.add_argument("--ours-alone", action="store_true")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore")
    logging.getLogger("ray").setLevel(logging.ERROR)
    figures: dict[str, list[float]] = {"this project": [], "Ray Tune": []}
    for _ in range(options.repeats):
        with tempfile.TemporaryDirectory() as folder:
            figures["this project"].append(
                ours(Path(folder), options.trials, options.history)
            )
        if not options.ours_alone:
            with tempfile.TemporaryDirectory() as folder:
                figures["Ray Tune"].append(ray_tune(Path(folder), options.trials))
        print(
            {name: [round(f, 1) for f in all_] for name, all_ in figures.items()},
            flush=True,
        )
    medians = {name: statistics.median(f) for name, f in figures.items() if f}
    for name, median in medians.items():
        print(f"{name:<14} {median:7.1f} ms for each further trial")
    if len(medians) == 2:
        print(f"ratio          {medians['Ray Tune'] / medians['this project']:7.1f}")


if __name__ == "__main__":
    main()
