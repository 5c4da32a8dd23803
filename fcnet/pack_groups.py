"""Which solvers can train in lockstep, and with whom."""

from collections.abc import Sequence
from typing import NamedTuple

from fcnet.lockstep_shape import Lane, Shape, find_lane, shape_of
from fcnet.solver import Solver


class Company(NamedTuple):
    """What solvers must share to train in lockstep.

    Attributes:
        data: Which examples, labels and preprocessing, by where they are in memory.
        seed: Of the epochs' orders.
        epoch: Finished epochs.
        iteration: Updates made.
        like: The shape, but for widths, L2 term and dropout, which may differ.
    """

    data: tuple[int, ...]
    seed: int
    epoch: int
    iteration: int
    like: Shape


class Member(NamedTuple):
    """A solver that can train in lockstep, and its place in the list."""

    place: int
    solver: Solver
    lane: Lane


def group_solvers(
    solvers: Sequence[Solver],
) -> tuple[dict[Company, list[Member]], list[int]]:
    """Sort solvers into groups.

    Lanes of different epochs could be one batched product, each with a minibatch of its
    own. With widths that differ it took two to three times as long on a CPU.

    Args:
        solvers: The solvers.

    Returns:
        The members of each group, and the places of those that cannot train so.
    """
    groups: dict[Company, list[Member]] = {}
    others: list[int] = []
    for place, solver in enumerate(solvers):
        lane = find_lane(solver)
        if lane is None:
            others.append(place)
        else:
            member = Member(place, solver, lane)
            groups.setdefault(_company(solver, lane), []).append(member)
    return groups, others


def _company(solver: Solver, lane: Lane) -> Company:
    """Tell what a solver's companions have to share with it."""
    like = shape_of([lane])._replace(widths=(), l2=False, dropout=False)
    return Company(_examples(solver), solver.seed, solver.epoch, solver.iteration, like)


def _examples(solver: Solver) -> tuple[int, ...]:
    """Tell the solver's examples and what becomes of them: where in memory they are."""
    X, y, preprocess = solver.data["X_train"], solver.data["y_train"], solver.preprocess
    where = (X.data_ptr(), len(X), y.data_ptr())
    if preprocess is None:
        return where
    scale, shift = preprocess.scale, preprocess.shift
    return (*where, scale.data_ptr(), shift.data_ptr(), preprocess.flip)
