"""One `run` from start to end: opens everything, joins it, and closes it again."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial

from rich.console import Console

from sweep.budget import Budget
from sweep.data import load_data
from sweep.errors import LeaseLost, StoreUnavailable
from sweep.event_log import EventLog
from sweep.experiment import Experiment
from sweep.files import remove_folder
from sweep.interrupt import Interrupt
from sweep.lane import epoch_cost
from sweep.live.display import Display
from sweep.objective import Objective, Task
from sweep.opened import open_stores
from sweep.placement import Node
from sweep.plan import plan_workers
from sweep.recorder import Recorder
from sweep.runner import Loop
from sweep.study import OptunaStudy
from sweep.summary import count_done
from sweep.tracking_process import TrackerProcess
from sweep.trial import StudySummary, TrialSpec
from sweep.usage import Usage
from sweep.workers import RayPool


def run_sweep(
    experiment: Experiment,
    nodes: Sequence[Node],
    tracker: TrackerProcess,
    console: Console,
    interrupt: Interrupt,
    on_ready: Callable[[], None],
    *,
    fresh: bool = False,
) -> StudySummary:
    """Run an experiment until it has its trials, or is interrupted.

    Args:
        experiment: What to run.
        nodes: Those of the Ray cluster that this process has joined.
        tracker: Not opened yet.
        console: Where people look.
        interrupt: Watched while trials run; they then end with their epoch.
        on_ready: Called when the first trial is about to begin.
        fresh: Whether a study of this name is set aside, and the next one begun.

    Returns:
        What the study says in the end.

    Raises:
        SweepError: with a message for people; see errors.py.
    """
    plan = plan_workers(experiment, nodes, 0 if fresh else count_done(experiment))
    interrupt.listen()
    with ExitStack() as stack:
        pool = RayPool(plan, Objective, experiment.ray.patience, epoch_cost)
        stack.callback(pool.close)
        # while it starts, whatever may be wrong is found before a store is made
        data = load_data(experiment)
        tracker.check()
        _say(console, f"{len(data.y_train)} images to train on, {plan}")
        typical = TrialSpec(0, 0, experiment.typical, experiment.study.seed)
        task = Task(
            data,
            plan.lanes,
            typical if plan.is_measured else None,
            experiment.study.checkpoint_every,
        )
        background = stack.enter_context(ThreadPoolExecutor(1))
        opening = background.submit(
            open_stores, experiment, tracker, partial(_say, console), fresh=fresh
        )
        try:
            pool.load(task)
        except BaseException:
            opening.result()
            with suppress(StoreUnavailable):  # then the next driver ends it
                tracker.close("KILLED" if interrupt() else "FAILED", None)
            raise
        finally:
            study, log = opening.result()
            stack.callback(study.close)
            stack.callback(log.close)
        on_ready()
        return _run(experiment, console, interrupt, pool, study, log, tracker)


def _run(
    experiment: Experiment,
    console: Console,
    interrupt: Interrupt,
    pool: RayPool,
    study: OptunaStudy,
    log: EventLog,
    tracker: TrackerProcess,
) -> StudySummary:
    budget = Budget(
        experiment.trials, experiment.study.timeout, experiment.study.max_failures
    )
    status: str | None = "FAILED"
    known = study.states, study.summary().ranking
    with Display(experiment, console, *known) as display:
        interrupt.say = display.say
        recorder = Recorder(log, tracker.send, display.say)
        usage = Usage()
        loop = Loop(study, pool, (recorder, display, usage), budget, time.monotonic)
        try:
            loop.run(interrupt)
            interrupt.trials_ended()
            status = "FINISHED"
        except LeaseLost:
            status = None  # another driver's runs
            raise
        finally:
            is_sent = recorder.close()
            if is_sent and status is not None:
                tracker.close("KILLED" if interrupt() else status, usage.share)
                tracker.draw(partial(_say, console))
    if not is_sent:
        raise StoreUnavailable(
            f"the study is stored, but MLflow did not answer: {study.folder} keeps "
            "what it does not have yet; the same command sends it"
        )
    if not study.is_owed:
        remove_folder(study.folder)
    return study.summary()


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)
