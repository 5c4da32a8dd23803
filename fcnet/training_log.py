"""The lines that training prints, in the course's own words."""

from collections.abc import Callable
from dataclasses import dataclass

from fcnet.solver_state import Run


@dataclass(frozen=True)
class TrainingLog:
    """Writes the lines that are due.

    Attributes:
        write: Gets each line.
        verbose: Whether any line is due at all.
        print_every: Iterations from one loss to the next.
        print_acc_every: Epochs from one pair of accuracies to the next.
        num_epochs: Epochs in all.
        iterations_per_epoch: Iterations of an epoch.
    """

    write: Callable[[str], None]
    verbose: bool
    print_every: int
    print_acc_every: int
    num_epochs: int
    iterations_per_epoch: int

    def is_loss_due(self, iteration: int) -> bool:
        """Whether the loss of an iteration, counted from 1, is to be written."""
        return self.verbose and (iteration - 1) % self.print_every == 0

    def write_loss(self, run: Run, iteration: int, seconds: float) -> None:
        """Write the last loss of a run."""
        num_iterations = self.num_epochs * self.iterations_per_epoch
        self.write(
            f"(Time {seconds:.2f} sec; Iteration {iteration} / {num_iterations}) "
            f"loss: {run.loss_history[-1]:f}"
        )

    def write_epoch(self, run: Run, iteration: int) -> None:
        """Write the accuracies if an epoch ended with that iteration and they are due.

        Args:
            run: What is trained.
            iteration: The last iteration, counted from 1; 0 is before training.
        """
        ended = iteration == run.epoch * self.iterations_per_epoch
        due = run.epoch == self.num_epochs or run.epoch % self.print_acc_every == 0
        if self.verbose and ended and due:
            self.write(
                f"(Epoch {run.epoch} / {self.num_epochs}) train acc: "
                f"{run.train_acc_history[-1]:f}; val_acc: {run.val_acc_history[-1]:f}"
            )
