"""Running an experiment from Python."""

import signal
from threading import Lock

from rich.console import Console

from sweep.api.result import Result
from sweep.conduct import conduct
from sweep.errors import StudyBusy
from sweep.experiment import Experiment
from sweep.interrupt import Interrupt
from sweep.library_settings import library_settings

_running = Lock()  # Ray knows one cluster a process


def run(
    experiment: Experiment, *, extend: int = 0, fresh: bool = False, quiet: bool = False
) -> Result:
    """Run an experiment; run again, it goes on where it stopped.

    A first Ctrl-C lets the running trials end with their epoch, to go on with the next
    run. In a thread other than the main one there is no Ctrl-C.

    Args:
        experiment: What to run.
        extend: Trials wanted beyond those that it asks for.
        fresh: Whether a study of this name is set aside, and the next one begun.
        quiet: Whether nothing is printed to standard error: no line for each trial, and
            no warning.

    Returns:
        What the study has found, earlier runs included.

    Raises:
        SweepError: with a message for people; see errors.py.
        KeyboardInterrupt: after Ctrl-C, when everything has ended well.
    """
    if not _running.acquire(blocking=False):
        raise StudyBusy(
            "a sweep runs in this process already; what to do: wait for its end, or "
            "run the other one in a process of its own"
        )
    try:
        with library_settings():
            wanted = experiment.extended(extend)
            console = Console(
                stderr=True,
                highlight=False,
                markup=False,
                quiet=quiet,
                force_jupyter=False,
            )
            interrupt = Interrupt(console.print)
            conduct(wanted, console, interrupt, fresh=fresh)
            result = Result.read(wanted)
    finally:
        _running.release()
    if interrupt.number is not None:
        # it was for the caller, too
        signal.raise_signal(interrupt.number)
    return result
