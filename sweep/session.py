"""One `run` from start to end: opens everything, joins it, and closes it again."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from rich.console import Console

from sweep.budget import Budget
from sweep.config import Experiment
from sweep.databases import check_sqlite
from sweep.display import Display
from sweep.interrupt import Interrupt
from sweep.objective import Objective, load_data
from sweep.plan import Plan, plan_workers
from sweep.provenance import environment, git_commit
from sweep.recorder import Recorder
from sweep.runner import Loop
from sweep.study import OptunaStudy
from sweep.tracking import Tracker, read_runs
from sweep.trial import StudySummary
from sweep.workers import RayPool, connect, disconnect


def run_sweep(
    experiment: Experiment, console: Console, interrupt: Interrupt
) -> StudySummary:
    """Run an experiment until it has its trials, or is interrupted.

    Args:
        experiment: What to run.
        console: Where people look.
        interrupt: Watched while trials run; they then end with their epoch.

    Returns:
        What the study says in the end.

    Raises:
        SweepError: with a message for people; see errors.py.
    """
    check_stores(experiment)
    with ExitStack() as stack:
        background = stack.enter_context(ThreadPoolExecutor(1))
        loading = background.submit(load_data, experiment)
        stack.callback(disconnect)
        # Ray's processes end with the thread that started them, so it is this one
        plan = make_plan(experiment, *connect(experiment.ray.address))
        interrupt.listen()
        pool = RayPool(plan, Objective)
        stack.callback(pool.close)
        data = loading.result()
        opening = background.submit(_open_stores, experiment)
        console.print(f"{len(data.y_train)} images to train on, {plan}")
        pool.load(data)
        study, tracker = opening.result()
        return _run(experiment, console, interrupt, pool, study, tracker)


def check_stores(experiment: Experiment) -> None:
    """Find out whether the stores can be written, before anything is started.

    Raises:
        StoreError: naming the key, the store and the reason.
    """
    check_sqlite("study.storage", experiment.study.storage)
    check_sqlite("mlflow.tracking_uri", experiment.mlflow.tracking_uri)
    read_runs(experiment, None)


def make_plan(experiment: Experiment, cpus: float, gpus: float) -> Plan:
    """The pool for an experiment on a machine with so many CPU cores and GPUs.

    Raises:
        ClusterError: if there is no room for a single worker.
    """
    ray = experiment.ray
    return plan_workers(
        cpus=cpus,
        gpus=gpus,
        cpus_per_worker=ray.cpus_per_worker,
        gpus_per_worker=ray.gpus_per_worker,
        trials_per_worker=ray.trials_per_worker,
        trials=experiment.trials,
    )


def _open_stores(experiment: Experiment) -> tuple[OptunaStudy, Tracker]:
    study = OptunaStudy(experiment)
    return study, Tracker(
        experiment, study.states, study.summary(), environment(), git_commit()
    )


def _run(
    experiment: Experiment,
    console: Console,
    interrupt: Interrupt,
    pool: RayPool,
    study: OptunaStudy,
    tracker: Tracker,
) -> StudySummary:
    budget = Budget(
        experiment.trials, experiment.study.timeout, experiment.study.max_failures
    )
    status = "FAILED"
    with Display(experiment, study.summary(), console) as display:
        recorder = Recorder(tracker.write, display.say)
        loop = Loop(study, pool, (recorder, display), budget, time.monotonic)
        try:
            loop.run(interrupt)
            status = "KILLED" if interrupt() else "FINISHED"
        finally:
            recorder.close()
            tracker.close(status)
    return study.summary()
