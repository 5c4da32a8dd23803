"""One `run` from start to end: opens everything, joins it, and closes it again."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from rich.console import Console

from sweep.budget import Budget
from sweep.data import load_data
from sweep.display import Display
from sweep.experiment import Experiment
from sweep.interrupt import Interrupt
from sweep.objective import Objective, Task
from sweep.plan import plan_workers
from sweep.provenance import environment, git_commit
from sweep.recorder import Recorder
from sweep.runner import Loop
from sweep.study import OptunaStudy
from sweep.tracking_process import TrackerProcess
from sweep.trial import StudySummary, TrialSpec
from sweep.usage import Usage
from sweep.workers import RayPool


def run_sweep(
    experiment: Experiment,
    resources: tuple[float, float],
    console: Console,
    interrupt: Interrupt,
    on_ready: Callable[[], None],
) -> StudySummary:
    """Run an experiment until it has its trials, or is interrupted.

    Args:
        experiment: What to run.
        resources: CPU cores and GPUs of the Ray cluster that this process has joined.
        console: Where people look.
        interrupt: Watched while trials run; they then end with their epoch.
        on_ready: Called when the first trial is about to begin.

    Returns:
        What the study says in the end.

    Raises:
        SweepError: with a message for people; see errors.py.
    """
    plan = plan_workers(experiment, *resources)
    interrupt.listen()
    with ExitStack() as stack:
        pool = RayPool(plan, Objective)
        stack.callback(pool.close)
        tracker = TrackerProcess(experiment)
        stack.callback(tracker.stop)
        # while these start, whatever may be wrong is found before a store is made
        data = load_data(experiment)
        tracker.check()
        console.print(f"{len(data.y_train)} images to train on, {plan}")
        typical = TrialSpec(0, 0, experiment.typical, experiment.study.seed)
        task = Task(data, plan.lanes, typical if plan.is_measured else None)
        background = stack.enter_context(ThreadPoolExecutor(1))
        opening = background.submit(_open_stores, experiment, tracker)
        pool.load(task)
        study = opening.result()
        on_ready()
        return _run(experiment, console, interrupt, pool, study, tracker)


def _open_stores(experiment: Experiment, tracker: TrackerProcess) -> OptunaStudy:
    study = OptunaStudy(experiment)
    tracker.open(study.states, study.summary(), environment(), git_commit())
    return study


def _run(
    experiment: Experiment,
    console: Console,
    interrupt: Interrupt,
    pool: RayPool,
    study: OptunaStudy,
    tracker: TrackerProcess,
) -> StudySummary:
    budget = Budget(
        experiment.trials, experiment.study.timeout, experiment.study.max_failures
    )
    status = "FAILED"
    with Display(experiment, study.summary(), console) as display:
        recorder = Recorder(tracker.write, display.say)
        usage = Usage()
        loop = Loop(study, pool, (recorder, display, usage), budget, time.monotonic)
        try:
            loop.run(interrupt)
            status = "FINISHED"
        finally:
            recorder.close()
            tracker.close("KILLED" if interrupt() else status, usage.share)
    return study.summary()
