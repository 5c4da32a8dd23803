"""Packs: several solvers advanced by an epoch together, each as it would be alone."""

import math
from collections.abc import Sequence, Set
from itertools import takewhile

from torch import Tensor

from fcnet.errors import Diverged
from fcnet.lockstep import Lane, Lockstep, Shape
from fcnet.pack_groups import (
    Company,
    Member,
    group_solvers,
    make_minibatches,
    shape_of,
)
from fcnet.solver import Solver
from fcnet.solver_state import hold_run

_Key = tuple[tuple[int, ...], Shape]  # examples, and what there is room for


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
        groups, alone = group_solvers(solvers)
        keys = {
            company: (company.data, shape_of(company, group))
            for company, group in groups.items()
        }
        self._keep(set(keys.values()))
        for place in alone:
            try:
                solvers[place].train_epoch()
            except Diverged as error:
                endings[place] = error
        for company, members in groups.items():
            for member in members:
                member.solver.evaluate_start()
            key = keys[company]
            if key not in self._locksteps:
                minibatches = make_minibatches(members[0].solver)
                self._locksteps[key] = Lockstep(key[1], minibatches)
            found = _train_group(self._locksteps[key], company, members)
            for member, ending in zip(members, found, strict=True):
                endings[member.place] = ending
        return endings

    def _keep(self, keys: Set[_Key]) -> None:
        """Let go of room that none of these groups needs."""
        kept = self._locksteps.items()
        self._locksteps = {key: room for key, room in kept if key in keys}


def _train_group(
    lockstep: Lockstep, company: Company, members: Sequence[Member]
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
            alone = Lockstep(shape_of(company, [member]), lockstep.minibatches)
            endings.append(_settle_diverged(member, alone, batches, losses[number]))
    return endings


def _settle_diverged(
    member: Member, lockstep: Lockstep, batches: Sequence[Tensor], losses: list[float]
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
    member: Member, lockstep: Lockstep, number: int, losses: list[float]
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


def _lane(member: Member) -> Lane:
    """Tell a Lockstep of a solver."""
    solver = member.solver
    return Lane(
        member.net,
        solver.optim_configs,
        solver.seed,
        solver.epoch + 1,
        solver.iteration,
    )
