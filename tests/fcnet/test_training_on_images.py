"""A Solver on images that are bytes: made inputs and mirrored a minibatch at a time."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fcnet.fully_connected_net import FullyConnectedNet
from fcnet.generators import Stream, make_generator
from fcnet.image_statistics import scale_and_shift
from fcnet.lockstep_steps import LockstepSteps
from fcnet.minibatches import Minibatches
from fcnet.preprocess import Preprocess
from fcnet.readable_steps import ReadableSteps
from fcnet.solver import Solver
from fcnet.two_layer_net import TwoLayerNet
from lanes import assert_close_runs

SHAPE = (3, 4, 5)


def images(device: str = "cpu") -> dict[str, Tensor]:
    """Draw 43 images to train and 30 to validate on; bright halves tell the class."""
    generator = np.random.default_rng(0)
    data: dict[str, Tensor] = {}
    for split, n in (("train", 43), ("val", 30)):
        X = generator.integers(0, 200, (n, *SHAPE), np.uint8)
        y = generator.integers(0, 3, n)
        X[np.arange(n), y] += 55
        data[f"X_{split}"] = torch.from_numpy(X).flatten(1).to(device)
        data[f"y_{split}"] = torch.from_numpy(y).to(device)
    return data


def preprocessing(flip: bool, normalize: str = "channel") -> Preprocess:
    X = images()["X_train"].numpy()
    scale, shift = map(torch.from_numpy, scale_and_shift(X, SHAPE[0], normalize))
    return Preprocess(scale, shift, SHAPE, flip)


def make_solver(
    fast: bool = True,
    flip: bool = True,
    dtype: torch.dtype = torch.float64,
    **arguments: Any,
) -> Solver:
    """Make a solver of a small net: 43 images, batches of 8, the last one of 3."""
    device = arguments.get("device", "cpu")
    net = TwoLayerNet(60, 9, 3, 0.1, 0.03, dtype, device, seed=1)
    settings: dict[str, Any] = {"batch_size": 8, "num_epochs": 3, "verbose": False}
    settings |= {"optim_config": {"learning_rate": 0.1}, "lr_decay": 0.9}
    settings |= {"preprocess": preprocessing(flip), "data": images(device)}
    return Solver(net, fast=fast, **(settings | arguments))


def train(solver: Solver) -> Solver:
    solver.train(return_best_params=False)
    return solver


def assert_equal_runs(one: Solver, other: Solver) -> None:
    """Assert that two runs are in the same state, bit for bit."""
    state, expected = one.state_dict(), other.state_dict()
    assert state["numbers"] == expected["numbers"]
    for name, tensor in expected["tensors"].items():
        assert torch.equal(state["tensors"][name], tensor), name


def accuracies(solver: Solver) -> list[float]:
    return solver.train_acc_history + solver.val_acc_history


@pytest.mark.parametrize("flip", [False, True])
def test_fast_and_readable_steps_draw_and_learn_the_same(flip: bool) -> None:
    """Three epochs with ragged ends: losses, weights and accuracies are one."""
    fast, readable = (train(make_solver(fast, flip)) for fast in (True, False))
    assert isinstance(fast._steps, LockstepSteps)
    assert isinstance(readable._steps, ReadableSteps)
    assert fast.loss_history == pytest.approx(readable.loss_history, abs=1e-9)
    assert accuracies(fast) == accuracies(readable)
    for name, w in fast.model.params.items():
        expected = readable.model.params[name]
        torch.testing.assert_close(w, expected, rtol=0, atol=1e-9)


def test_the_curve_is_that_of_images_mirrored_beforehand() -> None:
    """Each epoch's flips, made on the stored images by numpy, give the same losses."""
    flipping, by_hand = make_solver(), make_solver(flip=False)
    stored = by_hand.data["X_train"].clone()
    for epoch in (1, 2, 3):
        generator = make_generator(0, Stream.FLIP, epoch)
        flips = torch.randint(2, (43, 1), generator=generator).bool().numpy()
        X = stored.numpy()
        turned = X.reshape(-1, *SHAPE)[..., ::-1].reshape(X.shape)
        by_hand.data["X_train"].copy_(torch.from_numpy(np.where(flips, turned, X)))
        flipping.train_epoch()
        by_hand.train_epoch()
    assert flipping.loss_history == pytest.approx(by_hand.loss_history, abs=1e-12)
    assert flipping.val_acc_history == by_hand.val_acc_history


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("fast", [True, False])
def test_bytes_and_ready_made_inputs_give_the_same_curve(
    dtype: torch.dtype, fast: bool
) -> None:
    """What preprocessing saves in memory it costs in rounding alone."""
    preprocess, ready = preprocessing(flip=False), images()
    for name in ("X_train", "X_val"):
        ready[name] = preprocess(ready[name]).to(dtype)
    one = train(make_solver(fast, flip=False, dtype=dtype))
    other = train(make_solver(fast, data=ready, dtype=dtype, preprocess=None))
    tolerance = 1e-4 if dtype == torch.float32 else 1e-12
    assert one.loss_history == pytest.approx(other.loss_history, abs=tolerance)
    assert accuracies(one) == pytest.approx(accuracies(other), abs=0.04)
    assert one.data["X_train"].dtype == torch.uint8


class Scored(TwoLayerNet):
    """A net that keeps what it is asked to score, and what it is trained on."""

    def __init__(self) -> None:
        """Start with nothing kept."""
        super().__init__(60, 9, 3, 0.1, dtype=torch.float64, seed=1)
        self.scored: list[Tensor] = []
        self.trained: list[Tensor] = []

    def loss(self, X: Tensor, y: Tensor | None = None) -> Any:
        """Note the inputs."""
        if y is None:
            self.scored.append(X)
            return super().loss(X)
        self.trained.append(X)
        return super().loss(X, y)


def test_evaluation_never_mirrors() -> None:
    """Accuracies of every epoch are measured on the images as they are, in batches."""
    net = Scored()
    preprocess, data = preprocessing(flip=True), images()
    solver = Solver(net, data, batch_size=8, verbose=False, preprocess=preprocess)
    for _ in range(3):
        solver.train_epoch()
    expected = [preprocess(data[name]) for name in ("X_train", "X_val")] * 3
    assert all(map(torch.equal, net.scored, expected))
    plain = set(map(tuple, expected[0].tolist()))
    shown = set(map(tuple, torch.cat(net.trained).tolist()))
    assert shown & plain
    assert shown - plain
    net.scored.clear()
    solver.check_accuracy(data["X_val"], data["y_val"], batch_size=7)
    assert [len(x) for x in net.scored] == [7, 7, 7, 7, 2]


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("iterations", [1, 4, 6, 9])
def test_a_run_stopped_inside_an_epoch_goes_on(
    iterations: int, fast: bool, tmp_path: Path
) -> None:
    """Saved anywhere and restored in a new Solver, its flips are those it had."""
    same = assert_close_runs if fast else assert_equal_runs
    unbroken = train(make_solver(fast))
    first, second = make_solver(fast), make_solver(fast)
    ticks = itertools.count(0.0)
    first.train(iterations, return_best_params=False, clock=ticks.__next__)
    assert first.iteration == iterations
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    same(train(second), unbroken)
    same(train(first), unbroken)


@pytest.mark.parametrize("change", ["data", "batch_size"])
def test_other_data_or_another_size_are_taken_up_with_the_next_epoch(
    change: str,
) -> None:
    """A Solver's attributes may change between epochs, as they always could."""
    solver, expected = make_solver(), make_solver()
    if change == "data":
        solver.data["X_train"] = solver.data["X_train"].flip(0)
        expected = make_solver(data=dict(solver.data))
    else:
        solver.batch_size = 5
        expected = make_solver(batch_size=5)
    assert train(solver).loss_history == train(expected).loss_history


def test_deep_nets_with_dropout_train_on_images_of_any_dimensions() -> None:
    """The model is handed inputs of the images' own shape."""
    runs = []
    for shape in ((60,), SHAPE):
        data = images()
        for name in ("X_train", "X_val"):
            data[name] = data[name].view(-1, *shape)
        net = FullyConnectedNet([9, 8], 60, 3, 0.2, 0.0, 0.1, 1, torch.float64)
        preprocess = preprocessing(flip=True)
        solver = Solver(net, data, batch_size=8, verbose=False, preprocess=preprocess)
        runs.append(train(solver))
    assert_equal_runs(*runs)


def test_examples_of_a_wrong_dtype_or_size_are_refused_by_name() -> None:
    """Bytes without preprocessing, or with that of other images, are an error."""
    with pytest.raises(TypeError, match=r"X_train must be floating .* torch.uint8"):
        make_solver(preprocess=None)
    data = images()
    data["X_train"] = data["X_train"].double()
    with pytest.raises(TypeError, match=r"X_val must be floating .* torch.uint8"):
        make_solver(data=data, preprocess=None)
    other = Preprocess(torch.ones(12), torch.ones(12), (3, 2, 2))
    with pytest.raises(ValueError, match=r"X_train must have 12 values .* has 60"):
        make_solver(preprocess=other)


def test_minibatches_need_no_model() -> None:
    """Networks that train side by side may share one set of them."""
    data, preprocess = images(), preprocessing(flip=True)
    solver = make_solver()
    solver.train_epoch()
    assert solver._steps is not None
    shared = Minibatches(data["X_train"], data["y_train"], 8, preprocess)
    for minibatches in (shared, solver._steps.minibatches):
        minibatches.start_epoch(0, 1)
    for chosen in torch.split(torch.randperm(43), 8):
        one, other = shared.gather(chosen), solver._steps.minibatches.gather(chosen)
        assert all(map(torch.equal, one, other))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("flip", [False, True])
def test_a_gpu_gives_the_curve_of_a_cpu(flip: bool) -> None:
    """Flips and normalisation are part of the graph; float64 curves agree."""
    runs = [train(make_solver(flip=flip, device=d)) for d in ("cuda", "cpu")]
    losses = [run.loss_history for run in runs]
    assert losses[0] == pytest.approx(losses[1], abs=1e-9)
