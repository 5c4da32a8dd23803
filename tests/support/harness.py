"""A sweep in a process of its own, to be hurt at a random moment, and what must hold.

Nothing here knows the sweep from inside: it is started as people start it, its
processes are found as `ps` finds them, its stores are read with their own clients.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from time import sleep

from mlflow.entities import Run
from optuna.trial import FrozenTrial

from processes import command, in_session, kill_all, wait_until
from stores import Stores, assert_stores_agree
from sweep.checkpoint import read_checkpoint

TRIALS, EPOCHS = 8, 10
EXPERIMENT = f"""\
name: digits
data: {{dataset: digits}}
model:
  hidden_dim: {{int: [4, 64]}}
  weight_scale: 0.1
solver:
  learning_rate: {{float: [0.01, 0.5], log: true}}
  batch_size: 5
  num_epochs: {EPOCHS}
study:
  trials: {TRIALS}
  pruner: median
  checkpoint_every: 0s
ray: {{trials_per_worker: 2}}
"""
# the pruner stops nobody before five trials are complete
_SURELY_REPORTED = 4 * EPOCHS
_LONGEST_S = 300  # a whole sweep on a machine that has other things to do, too
_COMMANDS = 6  # after which a sweep that still does not end well is given up

# what the command lines of a sweep's processes have in them
WORKER, RAYLET, TRACKER = "ray::Worker", "/raylet/raylet ", "sweep.tracking_server"


class Sweep:
    """One experiment, and the command that runs it, typed as often as it takes.

    Attributes:
        stores: Where it keeps what it finds.
        random: Draws when and how it is hurt.
        commands: How often the command was typed.
    """

    def __init__(self, stores: Stores, random: Random, log: Path) -> None:
        """Write the experiment's file; `log` is for what the command prints."""
        self.stores, self.random, self.commands = stores, random, 0
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._settings: tuple[str, ...] = ()
        self._sessions: set[int] = set()
        (stores.folder / "digits.yaml").write_text(EXPERIMENT)

    @property
    def pid(self) -> int:
        """The driver's process."""
        assert self._process is not None, "it was not started"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the command has not ended yet."""
        return self._process is not None and self._process.poll() is None

    @property
    def output(self) -> str:
        """What all commands have printed."""
        return self._log.read_text()

    def start(self, *settings: str) -> None:
        """Type the command, with settings for `--set`; with none, as the last time."""
        self._settings = settings or self._settings
        told = (*self.stores.overrides, *self._settings)
        options = [word for setting in told for word in ("--set", setting)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sweep", "run", "digits.yaml", *options],
                cwd=self.stores.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._sessions.add(self._process.pid)
        self.commands += 1

    def start_training(self, *settings: str) -> None:
        """Type the command, and come back at a random moment of its training."""
        self.start(*settings)
        self.train_on()

    def train_on(self) -> None:
        """Wait for a random moment of its training."""
        wanted = self.stores.reported() + self.random.randint(1, _SURELY_REPORTED)
        wait_until(lambda: self._has_reported(wanted), _LONGEST_S, "it trains")
        sleep(self.random.uniform(0.0, 0.3))

    def begin_again(self, strike: Callable[[], None]) -> None:
        """Hurt it, and wait until it has given an attempt up for that."""
        before = self._given_up
        strike()
        wait_until(
            lambda: self._given_up > before, _LONGEST_S, "a trial begins again", 0.5
        )

    def processes(self, kind: str) -> list[int]:
        """Its living processes with `kind` in their command line, of all commands."""
        own = (pid for session in self._sessions for pid in in_session(session))
        return sorted(pid for pid in own if kind in command(pid))

    def wait(self) -> int:
        """Wait for the command's end; return its exit code, as Popen has it."""
        assert self._process is not None
        try:
            return self._process.wait(_LONGEST_S)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"it does not end: {self.output[-3000:]}") from None

    def finish(self) -> None:
        """Type the same command until it ends well."""
        while self.wait() != 0:
            assert self.commands < _COMMANDS, self.output[-3000:]
            self.start()

    def kill(self) -> None:
        """Leave no process of it behind."""
        if self._process is not None:
            kill_all(self.processes(""))
            self._process.wait()

    @property
    def _given_up(self) -> int:
        return sum(t.user_attrs.get("attempt", 0) for t in self.stores.trials())

    def _has_reported(self, wanted: int) -> bool:
        assert self.is_running, f"it ended too soon: {self.output[-3000:]}"
        return self.stores.reported() >= wanted


def check_invariant(stores: Stores, folder: Path) -> int:
    """Assert that each trial is there exactly once, and the same in both stores.

    Args:
        stores: Of a sweep that has ended well.
        folder: Where artifacts are fetched to.

    Returns:
        How many trials were begun more than once.
    """
    trials, (parent, runs) = stores.trials(), stores.runs()
    assert [trial.number for trial in trials] == list(range(TRIALS))
    assert {trial.state.name for trial in trials} <= {"COMPLETE", "PRUNED"}
    assert parent.info.status == "FINISHED"
    assert max(stores.curve(parent, "best_val_accuracy")) == TRIALS
    assert_stores_agree(stores)
    for trial in trials:
        _check_trial(stores, trial, runs[trial.number], folder)
    return sum(run.data.tags["sweep.attempt"] != "0" for run in runs.values())


def _check_trial(stores: Stores, trial: FrozenTrial, run: Run, folder: Path) -> None:
    epochs = sorted(trial.intermediate_values)
    assert epochs == list(range(1, len(epochs) + 1)), trial.number
    for key in ("train_loss", "train_accuracy", "learning_rate"):
        assert sorted(stores.curve(run, key)) == epochs, (trial.number, key)
    if trial.state.name == "COMPLETE":
        assert len(epochs) == int(run.data.params["num_epochs"]), trial.number
        own = folder / f"checkpoint-{trial.number}"
        own.mkdir()
        file = stores.artifact(run, "checkpoint/best.safetensors", own)
        assert read_checkpoint(file).params["W1"].isfinite().all()
