"""Training: epochs of minibatches, accuracies after each epoch, the best weights kept.

Letters: N examples, C classes.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from fcnet import solver_arguments as arguments
from fcnet.accuracy import Model, accuracy, sample
from fcnet.generators import Stream, make_generator
from fcnet.preprocess import Preprocess
from fcnet.readable_steps import Steps
from fcnet.schedules import Schedule
from fcnet.solver_state import State, clone, load_run, save_run
from fcnet.step_choice import choose_steps
from fcnet.training_log import TrainingLog
from fcnet.update_rules import Config, UpdateRule


class Solver:
    """Trains a model by minibatch updates.

    An epoch is one pass over the training split, in an order that depends on the seed
    and the epoch alone. Epoch 0 is before training.

    Attributes:
        epoch: Finished epochs.
        iteration: Updates made.
        loss_history: The loss of each iteration.
        train_acc_history: Accuracy on (a sample of) the training split: from epoch 0 on
            if `train` began the run, from epoch 1 on if `train_epoch` or a Pack did.
        val_acc_history: Likewise on (a sample of) the validation split.
        best_val_acc: The highest entry of val_acc_history; 0.0 while it is empty.
        best_epoch: The first epoch that reached it; 0 while val_acc_history is empty.
        best_params: Copies of the parameters after that epoch.
        optim_configs: The update rule's config of each parameter.
    """

    def __init__(
        self,
        model: Model,
        data: Mapping[str, Tensor],
        *,
        update_rule: str | UpdateRule = "sgd",
        optim_config: Mapping[str, float] | None = None,
        lr_decay: float = 1.0,
        schedule: str | Schedule = "exponential",
        batch_size: int = 100,
        num_epochs: int = 10,
        num_train_samples: int | None = 1000,
        num_val_samples: int | None = None,
        print_every: int = 10,
        print_acc_every: int = 1,
        verbose: bool = True,
        device: str | torch.device = "cpu",
        seed: int = 0,
        fast: bool = True,
        preprocess: Preprocess | None = None,
    ) -> None:
        """Check the arguments and stand before the first epoch.

        Args:
            model: The model; its parameters lie on `device`.
            data: X_train and X_val, of shape (N, d_1, ..., d_k), y_train and y_val, of
                shape (N,), int64.
            update_rule: A name in UPDATE_RULES, or a function like those there.
            optim_config: Settings of the update rule, such as `learning_rate`; each
                rule has its own defaults.
            lr_decay: The learning rate is multiplied by this after every epoch; for the
                exponential schedule alone.
            schedule: A name in SCHEDULES, or a schedule as `make_schedule` makes it.
            batch_size: Examples in a minibatch; an epoch's last one may be smaller.
            num_epochs: Epochs in all.
            num_train_samples: Training examples to measure accuracy on; None for all.
            num_val_samples: Validation examples to measure accuracy on; None for all.
            print_every: Iterations from one printed loss to the next.
            print_acc_every: Epochs from one printed accuracy to the next.
            verbose: Whether `train` prints at all.
            device: Where training happens; the data are brought there.
            seed: Of the epochs' orders, the samples for accuracies and what a
                StochasticModel draws.
            fast: Whether a Lockstep, alone or in a Pack, may take the steps that it
                can, with the same draws and, but for rounding, the same curve.
            preprocess: Makes inputs of X, batch by batch; None if X holds inputs.

        Raises:
            ValueError: An argument is out of its range; the message names it.
            TypeError: An argument is of a wrong type; the message names it.
        """
        arguments.check_counts(
            1,
            batch_size=batch_size,
            num_train_samples=num_train_samples,
            num_val_samples=num_val_samples,
            print_every=print_every,
            print_acc_every=print_acc_every,
        )
        arguments.check_counts(0, num_epochs=num_epochs)
        self.model = model
        self.data = arguments.check_data(data, device, preprocess)
        self.preprocess = arguments.fit_preprocess(preprocess, model.params, device)
        self.update_rule = arguments.find_update_rule(update_rule)
        self.lr_decay = arguments.check_rate("lr_decay", lr_decay)
        self.schedule = arguments.find_schedule(schedule, lr_decay)
        self.batch_size, self.num_epochs = batch_size, num_epochs
        self.num_train_samples = num_train_samples
        self.num_val_samples = num_val_samples
        self.print_every, self.print_acc_every = print_every, print_acc_every
        self.verbose, self.seed, self.fast = verbose, seed, fast
        self.epoch = self.iteration = self.best_epoch = 0
        self.loss_history: list[float] = []
        self.train_acc_history: list[float] = []
        self.val_acc_history: list[float] = []
        self.best_val_acc, self.best_params = 0.0, clone(model.params)
        config = arguments.initial_config(self.update_rule, optim_config)
        self.optim_configs: dict[str, Config] = dict.fromkeys(model.params, config)
        self._base_rate = self.learning_rate
        if self.schedule is not None:
            self._set_learning_rate()
        self._steps: Steps | None = None  # takes memory: there is none before training

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next iteration."""
        return float(next(iter(self.optim_configs.values()))["learning_rate"])

    @property
    def iterations_per_epoch(self) -> int:
        """Minibatches in an epoch, a last smaller one included."""
        return math.ceil(len(self.data["X_train"]) / self.batch_size)

    @property
    def num_iterations(self) -> int:
        """Iterations in all."""
        return self.num_epochs * self.iterations_per_epoch

    def train(
        self,
        time_limit: float | None = None,
        return_best_params: bool = True,
        *,
        log: Callable[[str], None] = print,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Train up to `num_epochs` epochs in all.

        A time limit may end it inside an epoch; called again, it goes on with the next
        minibatch of that epoch, and its curve is, but for rounding, the unbroken one.

        Args:
            time_limit: Seconds after which no further iteration starts.
            return_best_params: Whether the model ends with the best epoch's parameters
                rather than the last ones.
            log: Gets each line if the Solver is verbose.
            clock: Returns the time in seconds.

        Raises:
            Diverged: The loss is not finite.
        """
        limit = math.inf if time_limit is None else time_limit
        started = clock()
        lines = TrainingLog(self, log)
        if self.iteration == 0:
            if not self.val_acc_history:
                self._evaluate()
            lines.write_epoch(0)
        for iteration, steps in self._run():
            seconds = clock() - started
            if lines.is_loss_due(iteration):
                steps.settle(self)
                lines.write_loss(iteration, seconds)
            lines.write_epoch(iteration)
            if seconds >= limit:
                steps.settle(self)
                break
        if return_best_params:
            self.model.params.update(clone(self.best_params))

    def train_epoch(self) -> None:
        """Train one epoch, or what is left of one; print nothing.

        Each minibatch makes one update. Afterwards the learning rate decays, both
        accuracies are measured and the best parameters are kept.

        Raises:
            Diverged: The loss is not finite.
        """
        for _ in self._epoch():
            pass

    def check_accuracy(
        self,
        X: Tensor,
        y: Tensor,
        num_samples: int | None = None,
        batch_size: int = 1000,
    ) -> float:
        """Measure the model's accuracy; the sample depends on seed and epoch alone.

        Args:
            X: Examples, of shape (N, d_1, ..., d_k), N >= 1; preprocessed as data are.
            y: Labels, of shape (N,), int64.
            num_samples: Examples to measure on; None for all.
            batch_size: Examples scored at once; bounds the memory, not the result.

        Returns:
            The share of examples labelled rightly, from 0 to 1.

        Raises:
            ValueError: X and y disagree or are empty, or a count is below 1.
            TypeError: y is not int64.
        """
        arguments.check_counts(1, num_samples=num_samples, batch_size=batch_size)
        arguments.check_split("X", X, "y", y)
        generator = make_generator(self.seed, Stream.ACCURACY_SAMPLE, self.epoch)
        X, y = sample(X, y, num_samples, generator)
        return accuracy(self.model, X, y, batch_size, self.preprocess)

    def minibatches_left(self) -> tuple[Tensor, ...]:
        """Return the indices of each minibatch that is left of this epoch, int64."""
        generator = make_generator(self.seed, Stream.PERMUTATION, self.epoch + 1)
        order = torch.randperm(len(self.data["y_train"]), generator=generator)
        batches = torch.split(order.to(self.data["y_train"].device), self.batch_size)
        done = self.iteration - self.epoch * self.iterations_per_epoch
        return batches[done:]

    def end_epoch(self) -> None:
        """Count an epoch whose updates are made, set the rate, measure accuracies."""
        self.epoch += 1
        self._set_learning_rate()
        self._evaluate()

    def state_dict(self) -> State:
        """Return a copy of all that changes in training: tensors and plain numbers."""
        return save_run(self)

    def load_state_dict(self, state: State) -> None:
        """Go back to a saved state; the rest of the run is bit for bit the same.

        Args:
            state: What `state_dict` returned in a Solver made with the same arguments.

        Raises:
            ValueError: The state is of a model with other parameters; nothing changed.
        """
        load_run(self, state)

    def _run(self) -> Iterator[tuple[int, Steps]]:
        """Make the updates left in the run; yield the number and maker of each."""
        while self.epoch < self.num_epochs:
            yield from self._epoch()

    def _epoch(self) -> Iterator[tuple[int, Steps]]:
        """Make the updates left in this epoch and end it; yield as `_run` does."""
        batches = self.minibatches_left()
        self._steps = steps = choose_steps(self, self._steps)
        steps.minibatches.start_epoch(self.seed, self.epoch + 1)
        steps.begin(self)
        end = self.iteration + len(batches)
        for iteration, chosen in enumerate(batches, self.iteration + 1):
            steps.step(self, chosen)
            if iteration == end:
                steps.settle(self)
                self.end_epoch()
            yield iteration, steps

    def _set_learning_rate(self) -> None:
        """Give the configs the learning rate of the epoch to come."""
        if self.schedule is not None:
            factor = self.schedule(self.epoch, self.num_epochs)
            rate = self._base_rate * arguments.check_rate("schedule", factor)
        else:
            # One product an epoch, which rounds otherwise than lr_decay ** epoch.
            rate = self.learning_rate * self.lr_decay
        self.optim_configs = {
            name: {**config, "learning_rate": rate}
            for name, config in self.optim_configs.items()
        }

    def _evaluate(self) -> None:
        """Append both accuracies; keep the parameters if they are the best yet."""
        data = self.data
        train_acc, val_acc = (
            self.check_accuracy(data[f"X_{split}"], data[f"y_{split}"], samples)
            for split, samples in (
                ("train", self.num_train_samples),
                ("val", self.num_val_samples),
            )
        )
        # The first one measured is the best so far even at an accuracy of 0.
        if val_acc > self.best_val_acc or not self.val_acc_history:
            self.best_val_acc, self.best_epoch = val_acc, self.epoch
            self.best_params = clone(self.model.params)
        self.train_acc_history.append(train_acc)
        self.val_acc_history.append(val_acc)
