"""Budget and plan: the decisions that need no library."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import make_node
from sweep.budget import Budget
from sweep.config import load
from sweep.errors import ClusterError
from sweep.plan import Plan, plan_workers

EXPERIMENT = load(Path(__file__).parents[2] / "experiments" / "cifar.yaml")


def plan(
    cpus: float = 2.0,
    gpus: float = 0.0,
    trials: int = 64,
    done: int = 0,
    **ray: float,
) -> Plan:
    """A plan for two CPU cores and no GPU, but for what is given."""
    experiment = EXPERIMENT.model_copy(
        update={
            "study": EXPERIMENT.study.model_copy(update={"trials": trials}),
            "ray": EXPERIMENT.ray.model_copy(update=ray),
        }
    )
    return plan_workers(experiment, [make_node("here", cpus, gpus)], done)


def test_a_budget_counts_what_is_done_and_what_runs() -> None:
    """The last wanted trial is begun once, not by every worker that is free."""
    budget = Budget(trials=3, seconds=None, max_failures=5)

    assert budget.wants_more(done=1, running=1, elapsed=1e9)
    assert not budget.wants_more(done=1, running=2, elapsed=0.0)


def test_a_budget_begins_nothing_after_its_time() -> None:
    """The timeout holds however few trials are done."""
    budget = Budget(trials=3, seconds=60.0, max_failures=5)

    assert budget.wants_more(done=0, running=0, elapsed=59.9)
    assert not budget.wants_more(done=0, running=0, elapsed=60.0)


def test_without_a_gpu_each_core_gets_a_worker() -> None:
    """Auto means no GPU where there is none."""
    assert plan() == Plan(
        workers=2, cpus=1, gpus=0.0, lanes=8, is_measured=True, more=62
    )


def test_with_gpus_each_gets_a_worker() -> None:
    """Auto means a whole GPU for each worker where there are any."""
    made = plan(cpus=16.0, gpus=4.0)
    assert (made.workers, made.cpus, made.gpus) == (4, 1, 1.0)


@pytest.mark.parametrize(
    ("gpus", "share", "workers"),
    [(1.0, 0.5, 2), (2.0, 0.4, 4), (4.0, 2.0, 2), (1.0, 0.0, 16), (3.0, 0.3, 9)],
)
def test_a_share_of_a_gpu_is_never_spread_over_two(
    gpus: float, share: float, workers: int
) -> None:
    """Two times 0.4 fit into a GPU, so two GPUs hold four such workers, not five."""
    assert plan(cpus=16.0, gpus=gpus, gpus_per_worker=share).workers == workers


def test_there_are_no_more_workers_than_trials_to_train() -> None:
    """A worker without a trial would only cost its start."""
    assert plan(cpus=64.0, trials=5).workers == 5
    assert plan(cpus=64.0, trials=5, trials_per_worker=2).workers == 3


@pytest.mark.parametrize(
    ("done", "workers", "lanes"), [(0, 64, 2), (400, 64, 1), (499, 1, 1), (500, 1, 1)]
)
def test_a_study_that_goes_on_gets_workers_for_what_is_left(
    done: int, workers: int, lanes: int
) -> None:
    """Trials that are done need none; one is there even if nothing is left."""
    made = plan(cpus=64.0, trials=500, done=done)

    assert (made.workers, made.lanes) == (workers, lanes)
    assert made.workers + made.more == max(1, 500 - done)


def test_a_machine_too_small_for_one_worker_is_named() -> None:
    """The message has what is needed, what there is and what to change."""
    with pytest.raises(ClusterError, match="needs 4 CPU and 0 GPU, found here"):
        plan(cpus_per_worker=4)
    with pytest.raises(ClusterError, match="needs 1 CPU and 0.5 GPU"):
        plan(gpus_per_worker=0.5)


@given(
    cpus=st.integers(1, 64),
    gpus=st.integers(0, 8),
    share=st.sampled_from([0.0, 0.25, 0.3, 0.5, 1.0, 2.0]),
)
def test_a_plan_never_asks_for_more_than_there_is(
    cpus: int, gpus: int, share: float
) -> None:
    """Workers times what each gets stays within the machine."""
    try:
        made = plan(cpus=cpus, gpus=gpus, gpus_per_worker=share, trials=1000)
    except ClusterError:
        return
    assert made.workers * made.cpus <= cpus
    assert made.workers * made.gpus <= gpus
