"""Work that breaks when it is told to; a file of its own, so that workers import it."""

import os
import signal
import time
from collections.abc import Mapping, Sequence

from sweep.trial import Ending, Message, TrialEnded, TrialSpec


class Fragile:
    """Work that dies, or raises, when a trial's learning rate says so."""

    lanes = 2

    def __init__(self, data: str, device: str, threads: int) -> None:
        assert (data, device, threads) == ("the data", "cpu", 1)

    def advance(
        self, start: Sequence[TrialSpec], stop: Mapping[int, Ending]
    ) -> list[Message]:
        del stop
        for spec in start:
            match spec.hparams["learning_rate"]:
                case "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                case "stop":
                    os.kill(os.getpid(), signal.SIGSTOP)
                case "raise":
                    raise ValueError("a bug in the work itself")
                case "sleep":
                    time.sleep(60)
        return [TrialEnded(s.number, s.attempt, _ending(s)) for s in start]


def _ending(spec: TrialSpec) -> Ending:
    endings = {"fail": Ending.FAILED, "crowd": Ending.OUT_OF_MEMORY}
    return endings.get(str(spec.hparams["learning_rate"]), Ending.COMPLETE)
