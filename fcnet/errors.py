"""Every error of this package.

ArithmeticError
  Diverged       the loss is not finite; names epoch, iteration and loss
Exception
  DatasetError   images are missing, corrupt or ill-arranged; names file or folder

A wrong argument is a plain ValueError or TypeError that names it.
"""


class Diverged(ArithmeticError):
    """A loss that is not finite; the update it asked for was not made.

    Attributes:
        epoch: The epoch under way, counted from 1.
        iteration: The iteration of that loss, counted from 1 over the whole run.
        loss: The loss: inf, -inf or nan.
    """

    def __init__(self, epoch: int, iteration: int, loss: float) -> None:
        """Take what the attributes say."""
        # The base class gets the three values, so that pickle can call this again.
        super().__init__(epoch, iteration, loss)
        self.epoch = epoch
        self.iteration = iteration
        self.loss = loss

    def __str__(self) -> str:
        """Say what happened, where, and what usually helps."""
        return (
            f"the loss is {self.loss} in iteration {self.iteration} "
            f"(epoch {self.epoch}); a smaller learning_rate or weight_scale may help"
        )


class DatasetError(Exception):
    """A data set cannot be used; the message names the file or folder and the cure."""
