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
        assert device == "cpu"
        assert threads >= 1
        match data:
            case "slow data":
                time.sleep(60)
            case "bad data":
                raise ValueError("the data cannot be read")

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
        return [_end(spec) for spec in start]


def _end(spec: TrialSpec) -> TrialEnded:
    endings = {"fail": Ending.FAILED, "crowd": Ending.OUT_OF_MEMORY}
    ending = endings.get(str(spec.hparams["learning_rate"]), Ending.COMPLETE)
    reason = f"a traceback\nOops: {spec.number}\n" if ending is Ending.FAILED else None
    return TrialEnded(spec.number, spec.attempt, ending, reason=reason)
