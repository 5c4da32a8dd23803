"""Packs: several solvers advanced by an epoch together, each as it would be alone."""

import math
from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

from torch import Tensor

from fcnet.errors import Diverged
from fcnet.fast_step import applies
from fcnet.fully_connected_net import FullyConnectedNet
from fcnet.lockstep import Lane, Lockstep, Shape
from fcnet.minibatches import Minibatches
from fcnet.pack_updates import keeps_scale
from fcnet.solver import Solver
from fcnet.solver_state import hold_run
from fcnet.two_layer_net import TwoLayerNet
from fcnet.update_rules import UPDATE_RULES, UpdateRule, sgd


class _Company(NamedTuple):
    """What solvers must share to train in lockstep."""

    data: tuple[int, ...]  # which examples, labels and preprocessing
    seed: int
    epoch: int
    iteration: int
    batch_size: int
    like: Shape  # without widths, L2 term and dropout, which may differ


class _Member(NamedTuple):
    """A solver that can train in lockstep, and its place in the list."""

    place: int
    solver: Solver
    net: FullyConnectedNet


_Key = tuple[tuple[int, ...], Shape]


class Pack:
    """Trains solvers together: those that share minibatches in lockstep.

    A solver stays the owner of its run. It may join, leave, be saved and be restored
    between any two epochs, and its curve is, but for rounding, that of its train_epoch.
    """

    def __init__(self) -> None:
        """Start without room for anything; it is made when it is needed, and kept."""
        self._locksteps: dict[_Key, Lockstep] = {}

    def train_epoch(self, solvers: Sequence[Solver]) -> list[Diverged | None]:
        """Train one epoch of each solver, or what is left of one; print nothing.

        Solvers of two-layer nets that share data, seed, epoch, batch size and update
        rule train in lockstep; any other trains by its own `train_epoch`.

        Args:
            solvers: The solvers; no two of one model.

        Returns:
            For each solver None, or what its own `train_epoch` would have raised: then
            it stands before that step, and the others are none the worse.

        Raises:
            ValueError: A solver or model is there twice.
            Exception: Whatever else goes wrong, such as a lack of memory: then every
                solver stands where it stood, so that fewer at a time can be tried.
        """
        if len({id(solver.model) for solver in solvers}) < len(solvers):
            raise ValueError(
                "solvers must have a model each, but two have the same; "
                "make a solver and a model for each lane"
            )
        restores = [hold_run(solver) for solver in solvers]
        try:
            return self._train(solvers)
        except BaseException:
            for restore in restores:
                restore()
            self._locksteps.clear()
            raise

    def _train(self, solvers: Sequence[Solver]) -> list[Diverged | None]:
        """Train one epoch of each, one group in lockstep after another."""
        endings: list[Diverged | None] = [None] * len(solvers)
        used: dict[_Key, Lockstep] = {}
        groups, alone = _group(solvers)
        for place in alone:
            try:
                solvers[place].train_epoch()
            except Diverged as error:
                endings[place] = error
        for company, members in groups.items():
            for member in members:
                member.solver.evaluate_start()
            shape = _shape(company, members)
            key = company.data, shape
            lockstep = self._locksteps.get(key) or used.get(key)
            used[key] = lockstep or Lockstep(shape, _minibatches(members[0].solver))
            found = _train_group(used[key], company, members)
            for member, ending in zip(members, found, strict=True):
                endings[member.place] = ending
        self._locksteps = used
        return endings


def _group(
    solvers: Sequence[Solver],
) -> tuple[dict[_Company, list[_Member]], list[int]]:
    """Sort solvers into groups; also return the places of those that train alone."""
    groups: dict[_Company, list[_Member]] = {}
    alone: list[int] = []
    for place, solver in enumerate(solvers):
        net = _packable_net(solver)
        if net is None:
            alone.append(place)
        else:
            member = _Member(place, solver, net)
            groups.setdefault(_company(solver, net), []).append(member)
    for company, members in list(groups.items()):
        solver = members[0].solver
        # FastSteps is as good for one lane.
        if len(members) == 1 and applies(
            solver.model, solver.update_rule, _inputs(solver)
        ):
            alone.append(groups.pop(company)[0].place)
    return groups, alone


def _minibatches(solver: Solver) -> Minibatches:
    """Make room for the solver's minibatches."""
    X, y = solver.data["X_train"], solver.data["y_train"]
    return Minibatches(X, y, solver.batch_size, solver.preprocess)


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


def _company(solver: Solver, net: FullyConnectedNet) -> _Company:
    """Tell what a solver's companions have to share with it."""
    X, y, w = solver.data["X_train"], solver.data["y_train"], net.params["W1"]
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
    data = id(X), id(y), id(solver.preprocess)
    return _Company(data, *where, like)


def _is_scaled(update_rule: UpdateRule, learning_rate: float, reg: float) -> bool:
    """Whether ScaledSgd makes the updates."""
    return update_rule is sgd and keeps_scale(learning_rate, reg)


def _shape(company: _Company, members: Sequence[_Member]) -> Shape:
    """Tell the shape of a group."""
    return company.like._replace(
        widths=tuple(len(member.net.params["b1"]) for member in members),
        l2=any(member.net.reg for member in members),
        dropout=any(member.net.dropout for member in members),
    )


def _train_group(
    lockstep: Lockstep, company: _Company, members: Sequence[_Member]
) -> list[Diverged | None]:
    """Train one epoch of a group and bring its solvers there."""
    batches = members[0].solver.minibatches_left()
    lockstep.minibatches.start_epoch(company.seed, company.epoch + 1)
    losses = lockstep.train([_lane(member) for member in members], batches)
    endings: list[Diverged | None] = []
    for number, member in enumerate(members):
        if all(map(math.isfinite, losses[number])):
            _settle(member, lockstep, number, losses[number])
            member.solver.end_epoch()
            endings.append(None)
        else:
            alone = Lockstep(_shape(company, [member]), lockstep.minibatches)
            endings.append(_settle_diverged(member, alone, batches, losses[number]))
    return endings


def _settle_diverged(
    member: _Member, lockstep: Lockstep, batches: Sequence[Tensor], losses: list[float]
) -> Diverged:
    """Bring a solver to where its loss is not finite any more: its steps once more."""
    lost = math.nan
    finite = list(takewhile(math.isfinite, losses))
    # In other company a step rounds otherwise, and may go wrong a step earlier.
    while len(finite) < len(losses):
        lost = losses[len(finite)]
        [losses] = lockstep.train([_lane(member)], batches[: len(finite)])
        finite = list(takewhile(math.isfinite, losses))
    _settle(member, lockstep, 0, losses)
    solver = member.solver
    return Diverged(solver.epoch + 1, solver.iteration + 1, lost)


def _settle(
    member: _Member, lockstep: Lockstep, number: int, losses: list[float]
) -> None:
    """Bring a solver to the last step that was taken, if one was."""
    if not losses:
        return
    solver = member.solver
    solver.model.params.update(lockstep.params(number))
    solver.optim_configs = dict(lockstep.configs(number))
    solver.iteration += len(losses)
    solver.loss_history += losses
    member.net.start_iteration(solver.seed, solver.epoch + 1, solver.iteration)


def _lane(member: _Member) -> Lane:
    """Tell a Lockstep of a solver."""
    solver = member.solver
    return Lane(
        member.net,
        solver.optim_configs,
        solver.seed,
        solver.epoch + 1,
        solver.iteration,
    )
