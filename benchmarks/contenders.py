"""Ways to train a two-layer net, each as a function that takes so many steps.

Letters: N examples of a minibatch, M examples in all, D inputs of an example, H hidden
units, C classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from fcnet import Solver, TwoLayerNet, lockstep
from fcnet.lockstep_shape import find_lane, shape_of
from fcnet.minibatches import Minibatches
from fcnet.preprocess import Preprocess
from fcnet.step_choice import choose_steps

N, D, C, M = 100, 3072, 10, 5000
RATE, REG = 1e-3, 1e-3

Contender = Callable[[int], None]


@dataclass(frozen=True)
class Problem:
    """What is trained on, and how many hidden units are trained.

    Attributes:
        X: Examples, of shape (M, D), float32.
        y: Labels, of shape (M,), int64.
        hidden: H.
    """

    X: Tensor
    y: Tensor
    hidden: int

    def net(self) -> TwoLayerNet:
        """Make the net before training."""
        device, dtype = self.X.device, self.X.dtype
        return TwoLayerNet(D, self.hidden, C, 1e-2, REG, dtype, device, seed=0)


def needed_flops(hidden: int) -> int:
    """Operations of one step that no way can do without; those for dx are not there.

    Args:
        hidden: H.

    Returns:
        Multiplications and additions of the five matrix products.
    """
    scores = 2 * N * hidden * (D + C)  # x W1 and hidden W2
    weights = scores  # x^T dhidden and hidden^T dscores
    return scores + weights + 2 * N * hidden * C  # dscores W2^T


def draw_problem(hidden: int, device: str, dtype: torch.dtype) -> Problem:
    """Draw random examples and labels."""
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(M, D, generator=generator, dtype=torch.float64)
    y = torch.randint(C, (M,), generator=generator)
    return Problem(X.to(device, dtype), y.to(device), hidden)


def course(problem: Problem) -> Contender:
    """Plain code as the course asks for it: every gradient, each in a new tensor."""
    X, y, params = problem.X, problem.y, problem.net().params

    def steps(count: int) -> None:
        for _ in range(count):
            chosen = torch.randint(len(X), (N,), device=X.device)
            loss, grads = course_loss(params, X[chosen], y[chosen])
            loss.item()
            for name in params:
                params[name] = params[name] - RATE * grads[name]

    return steps


def course_loss(
    params: dict[str, Tensor], x: Tensor, y: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute loss and gradients of a minibatch x (N, D), y (N,), layer by layer."""
    w1, b1, w2, b2 = (params[name] for name in ("W1", "b1", "W2", "b2"))
    before = x @ w1 + b1
    hidden = before.clamp(min=0)
    scores = hidden @ w2 + b2
    exp = (scores - scores.max(dim=1, keepdim=True).values).exp()
    p = exp / exp.sum(dim=1, keepdim=True)
    rows = torch.arange(len(x), device=x.device)
    loss = -p[rows, y].log().mean() + REG * ((w1 * w1).sum() + (w2 * w2).sum())
    dscores = p.clone()
    dscores[rows, y] -= 1
    dscores /= len(x)
    dhidden = dscores @ w2.T
    dbefore = dhidden * (before > 0)
    dbefore @ w1.T  # a Linear layer's dx, which modular code computes for every layer
    grads = {"W1": x.T @ dbefore + 2 * REG * w1, "b1": dbefore.sum(dim=0)}
    grads |= {"W2": hidden.T @ dscores + 2 * REG * w2, "b2": dscores.sum(dim=0)}
    return loss, grads


def autograd(problem: Problem) -> Contender:
    """torch.nn, cross_entropy, autograd and torch.optim.SGD, the L2 term as decay."""
    X, y = problem.X, problem.y
    layers = torch.nn.Linear(D, problem.hidden), torch.nn.Linear(problem.hidden, C)
    net = torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1]).to(X)
    weights, biases = ([getattr(x, k) for x in layers] for k in ("weight", "bias"))
    # Decay acts on the gradient: 2 reg, as in the other ways; its loss is not shown.
    groups: list[dict[str, Any]] = [
        {"params": weights, "weight_decay": 2 * REG},
        {"params": biases},
    ]
    optimizer = torch.optim.SGD(groups, RATE)

    def steps(count: int) -> None:
        for _ in range(count):
            chosen = torch.randint(len(X), (N,), device=X.device)
            loss = torch.nn.functional.cross_entropy(net(X[chosen]), y[chosen])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            loss.item()

    return steps


def solver(problem: Problem, fast: bool) -> Contender:
    """The Solver's own steps without its accuracies; on a GPU fast ones as a graph."""
    run = make_solver(problem, fast)
    taken = choose_steps(run, None)

    def steps(count: int) -> None:
        order = torch.randperm(len(problem.y), device=problem.X.device)
        taken.begin(run)
        for chosen in torch.split(order, N)[:count]:
            taken.step(run, chosen)
        taken.settle(run)

    return steps


def fast_without_graph(problem: Problem) -> Contender:
    """The Solver's fast steps on a GPU, each kernel launched by itself."""
    steps = solver(problem, fast=True)

    def ungraphed(count: int) -> None:
        with mock.patch.object(lockstep, "GraphedStep", lambda function: function):
            steps(count)

    return ungraphed


def make_solver(problem: Problem, fast: bool) -> Solver:
    """Make a Solver that validates on one example."""
    X, y = problem.X, problem.y
    return Solver(
        problem.net(),
        {"X_train": X, "y_train": y, "X_val": X[:1], "y_val": y[:1]},
        optim_config={"learning_rate": RATE},
        batch_size=N,
        device=X.device,
        fast=fast,
    )


def gather_inputs(problem: Problem) -> Contender:
    """Minibatches of examples that are inputs already."""
    return _gather(Minibatches(problem.X, problem.y, N))


def gather_bytes(problem: Problem, flip: bool) -> Contender:
    """Minibatches of examples that are bytes, made inputs and mirrored on the way."""
    scale = problem.X.new_full((D,), 1 / 255)
    preprocess = Preprocess(scale, -128 * scale, (3, 32, 32), flip)
    images = problem.X.new_zeros(problem.X.shape, dtype=torch.uint8).random_()
    return _gather(Minibatches(images, problem.y, N, preprocess))


def _gather(minibatches: Minibatches) -> Contender:
    minibatches.start_epoch(0, 1)

    def steps(count: int) -> None:
        order = torch.randperm(M, device=minibatches.x.device)
        for chosen in torch.split(order, N)[:count]:
            minibatches.gather(chosen)

    return steps


def pack(X: Tensor, y: Tensor, widths: Sequence[int]) -> Contender:
    """Nets of those widths in lockstep, copied in and out as a Pack does it.

    Args:
        X: Examples, of shape (M, D).
        y: Labels, of shape (M,), int64.
        widths: H of each net.
    """
    lanes = []
    for hidden in widths:
        run = make_solver(Problem(X, y, hidden), fast=True)
        lane = find_lane(run)
        assert lane is not None
        lanes.append(lane)
    together = lockstep.Lockstep(shape_of(lanes), Minibatches(X, y, N))

    def steps(count: int) -> None:
        order = torch.randperm(len(X), device=X.device)
        losses = together.train(lanes, torch.split(order, N)[:count])
        for number, of_lane in enumerate(losses):
            together.settle(number, of_lane)

    return steps
