"""The Solver: what it draws, counts, prints, keeps and refuses."""

import itertools
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fcnet.errors import Diverged
from fcnet.solver import Solver
from fcnet.two_layer_net import TwoLayerNet
from fcnet.update_rules import UPDATE_RULES, Config


def toy_data(n: int = 23) -> dict[str, Tensor]:
    """Draw n training and 9 validation examples whose label is their largest entry."""
    generator = torch.Generator().manual_seed(0)
    X, X_val = (torch.randn(size, 3, generator=generator) for size in (n, 9))
    labels = {"y_train": X.argmax(dim=1), "y_val": X_val.argmax(dim=1)}
    return {"X_train": X, "X_val": X_val} | labels


def make_solver(**arguments: Any) -> Solver:
    """Make a solver of a small net: 23 examples, batches of 5, 3 epochs."""
    net = TwoLayerNet(3, 8, 3, 0.1, 1e-3, seed=1)
    settings: dict[str, Any] = {"batch_size": 5, "num_epochs": 3, "verbose": False}
    settings |= {"optim_config": {"learning_rate": 0.5}, "lr_decay": 0.9}
    return Solver(net, toy_data(), **(settings | arguments))


def momentum(w: Tensor, dw: Tensor, config: Config) -> tuple[Tensor, Config]:
    """Take a step with state: one tensor and one counter."""
    velocity = 0.9 * config.get("velocity", torch.zeros_like(w)) + dw
    steps = int(config.get("t", 0)) + 1
    next_w = w - float(config["learning_rate"]) * velocity
    return next_w, {**config, "velocity": velocity, "t": steps}


class Recorder:
    """A model without parameters' influence that records the minibatches it sees."""

    def __init__(self) -> None:
        """Start with one parameter."""
        self.params = {"w": torch.ones(2)}
        self.batches: list[Tensor] = []

    def loss(self, X: Tensor, y: Tensor | None = None) -> Any:
        """Record a minibatch; a gradient of ones, scores that prefer class 1."""
        if y is None:
            return torch.tensor([[0.0, 1.0]]).expand(len(X), 2)
        self.batches.append(X[:, 0])
        return torch.tensor(1.0), {"w": torch.ones(2)}


class Drawer(Recorder):
    """A model that records what it is told of each iteration."""

    def __init__(self) -> None:
        """Start with nothing heard."""
        super().__init__()
        self.heard: list[tuple[int, int, int]] = []

    def start_iteration(self, seed: int, epoch: int, iteration: int) -> None:
        """Record the three integers that draws may depend on."""
        assert len(self.batches) == len(self.heard)
        self.heard.append((seed, epoch, iteration))


def test_a_model_that_draws_is_told_each_iteration_before_it() -> None:
    """Seed, epoch and iteration are told before the loss, both counted from 1."""
    model = Drawer()
    Solver(
        model, toy_data(), batch_size=12, num_epochs=2, verbose=False, seed=9
    ).train()
    assert model.heard == [(9, 1, 1), (9, 1, 2), (9, 2, 3), (9, 2, 4)]


def test_an_epoch_visits_every_example_once() -> None:
    """Each epoch is a permutation of all examples, another one each time."""
    data = toy_data()
    data["X_train"] = torch.arange(23.0)[:, None]
    model = Recorder()
    solver = Solver(model, data, batch_size=5)
    epochs = []
    for _ in range(2):
        solver.train_epoch()
        assert [len(batch) for batch in model.batches] == [5, 5, 5, 5, 3]
        epochs.append(torch.cat(model.batches))
        model.batches.clear()
    assert all(torch.equal(e.sort().values, torch.arange(23.0)) for e in epochs)
    assert not torch.equal(epochs[0], epochs[1])


def test_each_iteration_makes_one_update() -> None:
    """The weights move by learning rate times gradient, once for each minibatch."""
    solver = Solver(Recorder(), toy_data(), batch_size=5)
    solver.train_epoch()
    torch.testing.assert_close(solver.model.params["w"], torch.full((2,), 0.95))


def test_lines_are_the_course_s() -> None:
    """Every print_every-th iteration and each epoch has its line, in its format."""
    lines: list[str] = []
    solver = make_solver(verbose=True, print_every=4, num_epochs=2)
    solver.train(log=lines.append, clock=itertools.count(0.0, 0.25).__next__)
    losses = solver.loss_history
    accuracies = zip(solver.train_acc_history, solver.val_acc_history, strict=True)
    epoch_lines = [
        f"(Epoch {epoch} / 2) train acc: {train:.6f}; val_acc: {val:.6f}"
        for epoch, (train, val) in enumerate(accuracies)
    ]
    assert lines == [
        epoch_lines[0],
        f"(Time 0.25 sec; Iteration 1 / 10) loss: {losses[0]:.6f}",
        f"(Time 1.25 sec; Iteration 5 / 10) loss: {losses[4]:.6f}",
        epoch_lines[1],
        f"(Time 2.25 sec; Iteration 9 / 10) loss: {losses[8]:.6f}",
        epoch_lines[2],
    ]


def test_accuracies_are_printed_every_few_epochs_and_at_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """print_acc_every thins the lines, and the last epoch always has one."""
    make_solver(verbose=True, print_every=99, print_acc_every=2).train()
    lines = capsys.readouterr().out.splitlines()
    epochs = [line.split()[1] for line in lines if line.startswith("(Epoch")]
    assert epochs == ["0", "2", "3"]


@pytest.mark.parametrize("print_every", [1, 10])
def test_a_quiet_solver_prints_nothing(
    print_every: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without verbose, and in train_epoch always, nothing is printed."""
    make_solver(print_every=print_every).train()
    make_solver(verbose=True).train_epoch()
    assert capsys.readouterr().out == ""


def test_counters_and_histories_agree() -> None:
    """One loss for each iteration, one accuracy of each split for each epoch."""
    solver = make_solver()
    assert (solver.iterations_per_epoch, solver.num_iterations) == (5, 15)
    for epoch in range(1, 4):
        solver.train_epoch()
        assert (solver.epoch, solver.iteration) == (epoch, 5 * epoch)
        assert len(solver.loss_history) == 5 * epoch
        assert len(solver.train_acc_history) == epoch
        assert len(solver.val_acc_history) == epoch
        assert solver.learning_rate == pytest.approx(0.5 * 0.9**epoch)


def train_by_epochs(solver: Solver) -> Solver:
    """Train what is left of a run epoch by epoch."""
    while solver.epoch < solver.num_epochs:
        solver.train_epoch()
    return solver


def test_train_epochs_are_a_training() -> None:
    """Driving epoch by epoch gives train's curve, without the accuracies of epoch 0."""
    whole, parts = make_solver(), train_by_epochs(make_solver())
    whole.train(return_best_params=False)
    for history in (whole.train_acc_history, whole.val_acc_history):
        assert len(history) == 4
        del history[0]
    assert_equal_runs(whole, parts)


def test_epoch_0_is_measured_before_the_first_iteration_or_never() -> None:
    """A run that train_epoch began goes on in train without the line of epoch 0."""
    lines: list[str] = []
    solver = make_solver(verbose=True, print_every=99)
    solver.train_epoch()
    solver.train(log=lines.append)
    assert [line.split()[1] for line in lines if "Epoch" in line] == ["2", "3"]
    assert len(solver.val_acc_history) == len(solver.train_acc_history) == 3


def test_epoch_0_is_measured_once() -> None:
    """A run of no epochs, trained twice, has one accuracy and its line both times."""
    lines: list[str] = []
    solver = make_solver(verbose=True, num_epochs=0)
    for _ in range(2):
        solver.train(log=lines.append)
    assert len(solver.val_acc_history) == 1
    assert len(lines) == 2


def assert_equal_runs(one: Solver, other: Solver) -> None:
    """Assert that two runs are in the same state, bit for bit."""
    state, expected = one.state_dict(), other.state_dict()
    assert state["numbers"] == expected["numbers"]
    assert state["tensors"].keys() == expected["tensors"].keys()
    for name, tensor in state["tensors"].items():
        assert torch.equal(tensor, expected["tensors"][name]), name


def test_training_learns() -> None:
    """A simple problem is learnt to most of its accuracy."""
    solver = make_solver(num_epochs=60, lr_decay=1.0)
    solver.train()
    assert solver.train_acc_history[-1] > 0.9
    assert solver.loss_history[-1] < 0.5 * solver.loss_history[0]


def test_the_same_seed_gives_the_same_curve() -> None:
    """Curves depend on the seed alone, whatever the global generator does."""
    curves = []
    for seed in (0, 0, 1):
        torch.rand(7)
        solver = make_solver(seed=seed)
        solver.train()
        curves.append(solver.loss_history)
    assert curves[0] == curves[1]
    assert curves[0] != curves[2]


def test_the_global_generator_stays_where_it_is() -> None:
    """A whole training draws nothing from torch's own generator."""
    before = torch.get_rng_state()
    make_solver(num_train_samples=4, num_val_samples=3).train()
    assert torch.equal(torch.get_rng_state(), before)


def test_best_params_are_never_empty() -> None:
    """Before training the best parameters are copies of the initial ones."""
    solver = make_solver()
    assert solver.best_params.keys() == solver.model.params.keys()
    for name, w in solver.model.params.items():
        assert torch.equal(solver.best_params[name], w)
        assert solver.best_params[name].data_ptr() != w.data_ptr()


def test_a_run_that_never_beats_its_start_keeps_the_start() -> None:
    """With no right answer at all, the best epoch is 0."""
    data = toy_data()
    data["y_val"] = torch.zeros(9, dtype=torch.int64)
    solver = Solver(Recorder(), data, num_epochs=2, verbose=False)
    solver.train()
    assert (solver.best_val_acc, solver.best_epoch) == (0.0, 0)
    assert torch.equal(solver.model.params["w"], torch.ones(2))


def test_training_ends_with_the_best_params_if_asked() -> None:
    """The model gets a copy of the best epoch's weights, or keeps the last ones."""
    best, last = make_solver(num_epochs=6), make_solver(num_epochs=6)
    best.train()
    last.train(return_best_params=False)
    assert best.best_val_acc == max(best.val_acc_history)
    assert best.best_epoch == best.val_acc_history.index(best.best_val_acc)
    X, y = best.data["X_val"], best.data["y_val"]
    assert best.check_accuracy(X, y) == best.best_val_acc
    assert last.check_accuracy(X, y) == last.val_acc_history[-1]
    for name, w in best.model.params.items():
        assert best.best_params[name].data_ptr() != w.data_ptr()


@pytest.mark.parametrize("update_rule", [momentum, *UPDATE_RULES])
@pytest.mark.parametrize("epochs", [0, 1, 2])
def test_a_restored_run_goes_on_bit_for_bit(
    update_rule: Any, epochs: int, tmp_path: Path
) -> None:
    """Saved as tensors and numbers and loaded in a new solver, a run is as unbroken."""
    unbroken, first, second = (make_solver(update_rule=update_rule) for _ in range(3))
    for _ in range(epochs):
        first.train_epoch()
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert_equal_runs(train_by_epochs(unbroken), train_by_epochs(second))


@pytest.mark.parametrize("update_rule", UPDATE_RULES)
def test_each_rule_has_its_own_learning_rate(update_rule: str) -> None:
    """Without a learning rate, training is with the rule's default one."""
    solver = Solver(Recorder(), toy_data(), update_rule=update_rule)
    _, config = UPDATE_RULES[update_rule](torch.ones(2), torch.ones(2), {})
    assert solver.learning_rate == config["learning_rate"]


def test_a_saved_state_is_a_copy() -> None:
    """Training on changes no saved state, and a loaded state is not changed either."""
    solver = make_solver(update_rule=momentum)
    solver.train_epoch()
    state = solver.state_dict()
    copies = {name: tensor.clone() for name, tensor in state["tensors"].items()}
    solver.load_state_dict(state)
    for tensors in (solver.model.params, solver.best_params):
        for tensor in tensors.values():
            tensor.zero_()
    solver.train_epoch()
    assert len(state["numbers"]["loss_history"]) == 5
    assert all(torch.equal(copies[k], v) for k, v in state["tensors"].items())


def test_a_state_of_another_model_is_refused() -> None:
    """Parameters of other shapes are an error, and the solver stays as it is."""
    solver = make_solver()
    before = solver.state_dict()
    other = Solver(TwoLayerNet(3, 5, 3, seed=0), toy_data())
    with pytest.raises(ValueError, match=r"params\.W1 of shape \(3, 8\)"):
        solver.load_state_dict(other.state_dict())
    assert torch.equal(before["tensors"]["params.W1"], solver.model.params["W1"])


def test_a_time_limit_ends_a_training_that_can_go_on() -> None:
    """Stopped inside an epoch and called again, a run is as if it were unbroken."""
    unbroken, limited = make_solver(fast=False), make_solver(fast=False)
    unbroken.train(return_best_params=False)
    ticks = itertools.count(0.0)
    limited.train(7, return_best_params=False, clock=ticks.__next__)
    assert (limited.epoch, limited.iteration) == (1, 7)
    limited.train(return_best_params=False)
    assert_equal_runs(unbroken, limited)


def test_training_a_finished_run_does_nothing() -> None:
    """num_epochs are epochs in all, not epochs more."""
    solver = make_solver()
    solver.train()
    solver.train()
    assert (solver.epoch, solver.iteration) == (3, 15)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_run(value: float) -> None:
    """Diverged is raised before the update, and tells where."""
    solver = make_solver()
    solver.train_epoch()
    solver.data["X_train"] = torch.full((23, 3), value)
    before = {k: v.clone() for k, v in solver.model.params.items()}
    with pytest.raises(Diverged, match="iteration 6") as caught:
        solver.train_epoch()
    assert (caught.value.epoch, caught.value.iteration) == (2, 6)
    assert len(solver.loss_history) == 5
    for name, w in before.items():
        assert torch.equal(solver.model.params[name], w)


def test_diverged_survives_pickle() -> None:
    """An error that crosses processes arrives as it left."""
    error = pickle.loads(pickle.dumps(Diverged(2, 6, float("inf"))))
    assert issubclass(Diverged, ArithmeticError)
    assert isinstance(error, Diverged)
    assert (error.epoch, error.iteration, error.loss) == (2, 6, float("inf"))
    assert str(error) == str(Diverged(2, 6, float("inf")))


def test_accuracy_is_the_share_of_right_labels() -> None:
    """Neither batch size nor sampling more than there is changes the share."""
    solver = Solver(Recorder(), toy_data())
    X, y = torch.zeros(7, 2), torch.tensor([1, 1, 0, 0, 0, 1, 0])
    for batch_size in (1, 3, 7, 1000):
        assert solver.check_accuracy(X, y, 99, batch_size) == 3 / 7
    assert solver.check_accuracy(X, y, num_samples=2) in (0.0, 0.5, 1.0)


DATA_ERRORS: list[tuple[dict[str, Tensor], str]] = [
    ({"X_train": torch.zeros(22, 3)}, r"X_train .* \(22, 3\) and \(23,\)"),
    ({"y_val": torch.zeros(9, 1, dtype=torch.int64)}, "y_val"),
    ({"X_val": torch.zeros(9)}, "X_val"),
    ({"X_train": torch.zeros(0, 3), "y_train": torch.zeros(0)}, "X_train .* empty"),
    ({"y_train": torch.full((23,), -1)}, "y_train must be >= 0"),
]


@pytest.mark.parametrize(("change", "message"), DATA_ERRORS)
def test_misshapen_data_are_refused(change: dict[str, Tensor], message: str) -> None:
    """Data that do not fit together are an error that names the tensor."""
    with pytest.raises(ValueError, match=message):
        Solver(Recorder(), toy_data() | change)


def test_missing_or_mistyped_data_are_refused() -> None:
    """A missing key, a list for a tensor and float labels are errors with names."""
    data = toy_data()
    with pytest.raises(ValueError, match=r"has no \['y_val'\]"):
        Solver(Recorder(), {k: data[k] for k in ("X_train", "y_train", "X_val")})
    with pytest.raises(TypeError, match="y_val must be int64"):
        Solver(Recorder(), data | {"y_val": torch.zeros(9)})
    wrong: Any = data | {"X_val": [[1.0]]}
    with pytest.raises(TypeError, match=r"'X_val'.* must be a tensor, but got list"):
        Solver(Recorder(), wrong)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"update_rule": "sdg"}, ValueError, "update_rule must be one of .*sgd"),
        ({"update_rule": 3}, TypeError, "update_rule must be a name or a function"),
        ({"optim_config": {"learning_rate": -1.0}}, ValueError, "learning_rate"),
        ({"lr_decay": float("inf")}, ValueError, "lr_decay"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, but got 0"),
        ({"batch_size": 2.5}, TypeError, "batch_size must be an integer"),
        ({"num_epochs": -1}, ValueError, "num_epochs"),
        ({"num_train_samples": 0}, ValueError, "num_train_samples"),
        ({"num_val_samples": 0}, ValueError, "num_val_samples"),
        ({"print_every": 0}, ValueError, "print_every"),
        ({"print_acc_every": 0}, ValueError, "print_acc_every"),
    ],
)
def test_impossible_arguments_are_refused(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    """An argument that is out of range or of a wrong type is an error that names it."""
    with pytest.raises(error, match=message):
        make_solver(**arguments)
