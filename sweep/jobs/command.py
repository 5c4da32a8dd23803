"""`submit`: what it does and prints."""

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from sweep.config import load
from sweep.errors import ConfigError
from sweep.experiment import Experiment
from sweep.jobs.client import Job, JobClient
from sweep.jobs.package import ENTRYPOINT, write_package
from sweep.jobs.places import passwords, relative_folders, relative_stores
from sweep.jobs.words import CHECKED, ENDED, STOPPED
from sweep.provenance import COMMIT, git_commit


def submit(
    file: Path,
    overrides: Sequence[str],
    address: str,
    *,
    detach: bool = False,
    fresh: bool = False,
) -> int:
    """Send an experiment to a cluster as a job; returns the job's exit code.

    Args:
        file: The YAML.
        overrides: `dotted.key=value` each.
        address: Of the dashboard on the cluster's head.
        detach: Whether to come back once the cluster has found that it can run it.
        fresh: Whether a study of this name is set aside, and the next one begun.
    """
    experiment = load(file, overrides)
    _check_what_stays_here(experiment)
    client = JobClient(address)
    job_id = _send(experiment, client, fresh=fresh)
    _say(f"job       {job_id}")
    if not detach:
        return _follow(client, job_id)
    with _goes_on(client, job_id):
        job, log = client.wait(job_id, lambda log: CHECKED in log)
    if job.has_ended:
        _write(log)
        return _ended(job)
    _say(f"{CHECKED}\n\n{_next_commands(client, job_id)}")
    return 0


def status(job_id: str, address: str) -> int:
    """Print what the cluster says of a job; returns the exit code of looking."""
    client = JobClient(address)
    job = client.job(job_id)
    _say(f"job       {job.id}\nname      {job.name}\nstate     {job.state}")
    for word, seconds in (("began", job.began_s), ("ended", job.ended_s)):
        if seconds is not None:
            when = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(seconds))
            _say(f"{word:<10}{when}")
    if job.has_ended:
        _say(f"exit code {job.exit_code}")
    else:
        _say(f"\n{_next_commands(client, job_id)}")
    return 0


def logs(job_id: str, address: str) -> int:
    """Print a job's log, and go on while it runs; returns the job's exit code."""
    return _follow(JobClient(address), job_id)


def stop(job_id: str, address: str) -> int:
    """End a job well, and wait for it; returns the exit code of ending it."""
    client = JobClient(address)
    job = client.job(job_id)
    if job.has_ended:
        _say(f"job {job_id} has ended before: {job.state}")
        return 0
    client.stop(job_id)
    _say("stopping: running trials end with their epoch")
    with _goes_on(client, job_id):
        job, log = client.wait(job_id, lambda _: False)
    return _tell_end(job, log)


def _check_what_stays_here(experiment: Experiment) -> None:
    problems = [
        *passwords(experiment.stores),
        *relative_stores(experiment.stores),
        *relative_folders(experiment),
    ]
    if problems:
        raise ConfigError("a job cannot have this:\n" + "\n".join(problems))


def _send(experiment: Experiment, client: JobClient, *, fresh: bool) -> str:
    commit = git_commit()
    with tempfile.TemporaryDirectory() as folder:
        package = write_package(Path(folder) / "package.zip", experiment)
        _say(f"package   {package}")
        with _interrupted_with(
            "stopped; whether there is a job by now is said by\n\n"
            f"ray job list --address {client.address}"
        ):
            return client.submit(
                package.file,
                f"exec sh {ENTRYPOINT}" + (" --fresh" if fresh else ""),
                {"experiment": experiment.name},
                {} if commit is None else {COMMIT: str(commit)},
            )


def _follow(client: JobClient, job_id: str) -> int:
    with _goes_on(client, job_id):
        return _ended(client.follow(job_id, _write))


def _goes_on(client: JobClient, job_id: str) -> AbstractContextManager[None]:
    """Say, where people do not want to look on any more, that the job goes on."""
    return _interrupted_with(f"the job goes on\n\n{_next_commands(client, job_id)}")


@contextmanager
def _interrupted_with(text: str) -> Iterator[None]:
    """Say something at Ctrl-C, and end."""
    try:
        yield
    except KeyboardInterrupt:
        _say(f"\n{text}")
        raise SystemExit(130) from None


def _ended(job: Job) -> int:
    if job.state == "FAILED" and job.driver_exit_code is None:
        # it was not the sweep that failed, so its log does not say why
        _say(job.message)
    _say(f"job {job.id} has ended: {job.state}, exit code {job.exit_code}")
    return job.exit_code


def _tell_end(job: Job, log: str) -> int:
    """Say how a job ended that was asked to; returns the exit code of ending it."""
    error = log.rpartition(ENDED)[2].strip()
    if CHECKED not in log:
        _say("stopped: nothing was begun")
    elif STOPPED in log:
        _say(STOPPED)
    elif ENDED not in log:
        _say(
            "killed: it did not end by itself; submitting it again makes up for that, "
            "and goes on from its last checkpoints"
        )
        return 1
    elif error:
        _say(error)
        return 1
    else:
        _say(f"job {job.id} had come to its end before")
    return 0


def _next_commands(client: JobClient, job_id: str) -> str:
    words = {
        "look at it": f"--status {job_id}",
        "read its log": f"--logs {job_id}",
        "stop it": f"--stop {job_id}",
    }
    return "\n".join(
        f"{why + ':':<14}python -m sweep submit {what} --address {client.address}"
        for why, what in words.items()
    )


def _say(text: str) -> None:
    _write(text + "\n")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
