"""Packs: several solvers advanced by an epoch together, each as it would be alone."""

import math
from collections.abc import Sequence, Set

from fcnet.errors import Diverged
from fcnet.lockstep import Lockstep
from fcnet.lockstep_shape import Shape, shape_of
from fcnet.lockstep_steps import settle_diverged
from fcnet.pack_groups import Company, Member, group_solvers
from fcnet.solver import Solver
from fcnet.solver_state import hold_run
from fcnet.step_choice import make_minibatches

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
        groups, others = group_solvers(solvers)
        keys = {
            company: (company.data, shape_of([member.lane for member in members]))
            for company, members in groups.items()
        }
        self._keep(set(keys.values()))
        for place in others:
            try:
                solvers[place].train_epoch()
            except Diverged as error:
                endings[place] = error
        for company, members in groups.items():
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
    losses = lockstep.train([member.lane for member in members], batches)
    endings: list[Diverged | None] = []
    for number, (_, solver, lane) in enumerate(members):
        if all(map(math.isfinite, losses[number])):
            lockstep.settle(number, losses[number])
            solver.end_epoch()
            endings.append(None)
        else:
            alone = Lockstep(shape_of([lane]), lockstep.minibatches)
            endings.append(settle_diverged(lane, alone, batches, losses[number]))
    return endings
