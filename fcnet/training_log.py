"""The lines that training prints, in the course's own words."""

from collections.abc import Callable
from typing import Protocol

from fcnet.solver_state import Run


class LoggedRun(Run, Protocol):
    """What of a Solver decides which lines are due, as documented there."""

    verbose: bool
    print_every: int
    print_acc_every: int
    num_epochs: int

    @property
    def iterations_per_epoch(self) -> int:
        """Minibatches in an epoch."""

    @property
    def num_iterations(self) -> int:
        """Iterations in all."""


class TrainingLog:
    """Writes the lines of one training that are due."""

    def __init__(self, run: LoggedRun, write: Callable[[str], None]) -> None:
        """Take what is trained, and what gets each line."""
        self._run = run
        self._write = write

    def is_loss_due(self, iteration: int) -> bool:
        """Whether the loss of an iteration, counted from 1, is to be written."""
        return self._run.verbose and (iteration - 1) % self._run.print_every == 0

    def write_loss(self, iteration: int, seconds: float) -> None:
        """Write the last loss, which is that of an iteration counted from 1."""
        self._write(
            f"(Time {seconds:.2f} sec; Iteration {iteration} / "
            f"{self._run.num_iterations}) loss: {self._run.loss_history[-1]:f}"
        )

    def write_epoch(self, iteration: int) -> None:
        """Write the accuracies if an epoch has just ended and they are due.

        Args:
            iteration: The last iteration, counted from 1; 0 is before training.
        """
        run = self._run
        ended = iteration == run.epoch * run.iterations_per_epoch
        due = run.epoch == run.num_epochs or run.epoch % run.print_acc_every == 0
        if run.verbose and ended and due:
            self._write(
                f"(Epoch {run.epoch} / {run.num_epochs}) train acc: "
                f"{run.train_acc_history[-1]:f}; val_acc: {run.val_acc_history[-1]:f}"
            )
