"""Which solvers can train in lockstep, and with whom."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from fcnet.fast_step import applies
from fcnet.fully_connected_net import FullyConnectedNet
from fcnet.lockstep import Shape
from fcnet.minibatches import Minibatches
from fcnet.pack_updates import keeps_scale
from fcnet.solver import Solver
from fcnet.two_layer_net import TwoLayerNet
from fcnet.update_rules import UPDATE_RULES, UpdateRule, sgd


class Company(NamedTuple):
    """What solvers must share to train in lockstep.

    Attributes:
        data: Which examples, labels and preprocessing, by where they are in memory.
        seed: Of the epochs' orders.
        epoch: Finished epochs.
        iteration: Updates made.
        batch_size: Examples in a minibatch.
        like: The shape, but for widths, L2 term and dropout, which may differ.
    """

    data: tuple[int, ...]
    seed: int
    epoch: int
    iteration: int
    batch_size: int
    like: Shape


class Member(NamedTuple):
    """A solver that can train in lockstep, and its place in the list."""

    place: int
    solver: Solver
    net: FullyConnectedNet


def group_solvers(
    solvers: Sequence[Solver],
) -> tuple[dict[Company, list[Member]], list[int]]:
    """Sort solvers into groups.

    Lanes of different epochs could be one batched product, each with a minibatch of its
    own. With widths that differ it took two to three times as long on a CPU.

    Args:
        solvers: The solvers.

    Returns:
        The members of each group, and the places of those that train alone.
    """
    groups: dict[Company, list[Member]] = {}
    alone: list[int] = []
    for place, solver in enumerate(solvers):
        net = _packable_net(solver)
        if net is None:
            alone.append(place)
        else:
            member = Member(place, solver, net)
            groups.setdefault(_company(solver, net), []).append(member)
    for company, members in list(groups.items()):
        solver = members[0].solver
        # FastSteps is as good for one lane.
        if len(members) == 1 and applies(
            solver.model, solver.update_rule, _inputs(solver)
        ):
            alone.append(groups.pop(company)[0].place)
    return groups, alone


def make_minibatches(solver: Solver) -> Minibatches:
    """Make room for minibatches as the solver takes them."""
    X, y = solver.data["X_train"], solver.data["y_train"]
    return Minibatches(X, y, solver.batch_size, solver.preprocess)


def _examples(solver: Solver) -> tuple[int, ...]:
    """Tell the solver's examples and what becomes of them: where in memory they are."""
    X, y, preprocess = solver.data["X_train"], solver.data["y_train"], solver.preprocess
    where = (X.data_ptr(), len(X), y.data_ptr())
    if preprocess is None:
        return where
    scale, shift = preprocess.scale, preprocess.shift
    return (*where, scale.data_ptr(), shift.data_ptr(), preprocess.flip)


def _inputs(solver: Solver) -> Tensor:
    """Return a tensor of the dtype and device of the solver's inputs."""
    preprocess = solver.preprocess
    return solver.data["X_train"] if preprocess is None else preprocess.scale


def _packable_net(solver: Solver) -> FullyConnectedNet | None:
    """Return the solver's net if it can train in lockstep, else None."""
    net, x = solver.model, _inputs(solver)
    if type(net) not in {FullyConnectedNet, TwoLayerNet}:
        return None  # a subclass may compute another loss
    if not isinstance(net, FullyConnectedNet) or net.num_layers != 2:
        return None
    w = net.params["W1"]
    packable = (
        solver.fast
        and solver.update_rule in UPDATE_RULES.values()
        and (x.dtype, x.device) == (w.dtype, w.device)
    )
    return net if packable else None


def _company(solver: Solver, net: FullyConnectedNet) -> Company:
    """Tell what a solver's companions have to share with it."""
    X, w = solver.data["X_train"], net.params["W1"]
    like = Shape(
        widths=(),
        input_dim=len(w),
        num_classes=len(net.params["b2"]),
        batch_size=min(solver.batch_size, len(X)),
        dtype=w.dtype,
        device=w.device,
        update_rule=solver.update_rule,
        scaled=_is_scaled(solver.update_rule, solver.learning_rate, net.reg),
        l2=False,
        dropout=False,
    )
    where = solver.seed, solver.epoch, solver.iteration, solver.batch_size
    return Company(_examples(solver), *where, like)


def _is_scaled(update_rule: UpdateRule, learning_rate: float, reg: float) -> bool:
    """Whether ScaledSgd makes the updates."""
    return update_rule is sgd and keeps_scale(learning_rate, reg)


def shape_of(company: Company, members: Sequence[Member]) -> Shape:
    """Tell the shape of a group.

    Args:
        company: What the members share.
        members: Some or all members of the group, at least one.

    Returns:
        The shape of the Lockstep that trains them.
    """
    return company.like._replace(
        widths=tuple(len(member.net.params["b1"]) for member in members),
        l2=any(member.net.reg for member in members),
        dropout=any(member.net.dropout for member in members),
    )
