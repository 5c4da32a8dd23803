"""A driver with two trials in training, which waits to be killed.

It takes the study, writes its log and tells its study as a sweep does, without workers.
"""

import sys
import time
from pathlib import Path

from support import make_ended, make_report, open_study
from sweep.config import load
from sweep.event_log import EventLog
from sweep.trial import EpochReport, Event, TrialEnded, TrialSpec


def main(file: str) -> None:
    """Finish trial 0, and train two epochs of trials 1 and 2."""
    study = open_study(load(Path(file), ()))
    log = EventLog(study.folder)

    def write(said: TrialSpec | EpochReport) -> None:
        log.append(Event(int(time.time() * 1000), said))

    for number in range(3):
        write(study.ask())
        for epoch in (1, 2):
            report = make_report(number, epoch, accuracy=0.25 * epoch)
            write(report)
            study.report(report)
    ended: TrialEnded = make_ended(0, accuracy=0.5)
    log.append(Event(int(time.time() * 1000), ended, study.judge(ended)))
    study.store(0)
    sys.stdout.write("trains\n")
    sys.stdout.flush()
    time.sleep(600)


if __name__ == "__main__":
    main(sys.argv[1])
