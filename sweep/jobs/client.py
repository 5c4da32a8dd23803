"""Ray's job API: a cluster as somebody sees it who is not on it. Knows Ray."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from aiohttp import ClientError
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient

from sweep.errors import ClusterError, UsageError, first_line

ADDRESS_VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")  # Ray's own, in its order

_STOP_S = 600  # how long a sweep may take to end well; Ray allows 3 seconds
_PATIENCE_S = 60.0  # how long the cluster may be away while a job is watched
_TRY_AGAIN_S = 1.0
_Answer = TypeVar("_Answer")
_QUIET = ("ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk")


@dataclass(frozen=True)
class Job:
    """A job as the cluster knows it.

    Attributes:
        id: Ray's submission id.
        state: PENDING, RUNNING, STOPPED, SUCCEEDED or FAILED, as Ray spells them.
        has_ended: Whether it will not change any more.
        driver_exit_code: Of the process that ran the sweep; None if it runs, was
            stopped or never began.
        message: What Ray says of it.
        name: The experiment's name.
        began_s: When it began, in seconds since 1970; None if it has not.
        ended_s: When it ended, in seconds since 1970; None if it has not.
    """

    id: str
    state: str
    has_ended: bool
    driver_exit_code: int | None
    message: str
    name: str
    began_s: float | None
    ended_s: float | None

    @property
    def exit_code(self) -> int:
        """Of the sweep; 130 if it was stopped, 1 if it did not come to have one."""
        if self.state == JobStatus.STOPPED:
            return 130
        code = self.driver_exit_code
        return 1 if code is None or code < 0 else code


class JobClient:
    """The jobs of one cluster.

    Attributes:
        address: Of the dashboard on its head.
    """

    def __init__(self, address: str) -> None:
        """Find out whether the cluster answers, and takes the token.

        Args:
            address: Of the dashboard on its head: `http://HOST:8265`.

        Raises:
            UsageError: if the address is none.
            ClusterError: if the cluster does not answer, or refuses the token.
        """
        self.address = address.rstrip("/")
        # Ray would believe these more than what it is told
        for name in ADDRESS_VARIABLES:
            os.environ.pop(name, None)
        # Ray looks for a token in this mode alone
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        for name in _QUIET:
            logging.getLogger(name).setLevel(logging.WARNING)
        _check_reachable(address)
        with self._errors():
            self._client = JobSubmissionClient(address)

    def submit(
        self,
        package: Path,
        entrypoint: str,
        metadata: Mapping[str, str],
        environment: Mapping[str, str],
    ) -> str:
        """Send a package, and start a job in it.

        Args:
            package: A zip file; unpacked, the job's working directory.
            entrypoint: The job's command.
            metadata: What is kept with the job, for all to see.
            environment: Variables of the job and its workers, for all to see.

        Returns:
            The job's id.
        """
        variables = {**environment, "RAY_JOB_STOP_WAIT_TIME_S": str(_STOP_S)}
        with self._errors():
            return self._client.submit_job(
                entrypoint=entrypoint,
                metadata=dict(metadata),
                runtime_env={"working_dir": str(package), "env_vars": variables},
            )

    def job(self, job_id: str) -> Job:
        """What the cluster says of a job.

        Raises:
            UsageError: if there is no such job.
        """
        with self._errors():
            details = self._client.get_job_info(job_id)
        return _to_job(job_id, details)

    def stop(self, job_id: str) -> None:
        """Ask a job to end; it is killed if it has not in _STOP_S."""
        with self._errors():
            self._client.stop_job(job_id)

    def log(self, job_id: str) -> str:
        """All that a job has printed so far."""
        with self._errors():
            return self._client.get_job_logs(job_id)

    def wait(self, job_id: str, is_enough: Callable[[str], bool]) -> tuple[Job, str]:
        """Look at a job again and again until it has ended, or its log is enough.

        Returns:
            The job and its log.

        Raises:
            ClusterError: if the cluster stays away.
        """
        while True:
            job = self._patiently(self.job, job_id)
            log = self._patiently(self.log, job_id)
            if job.has_ended or is_enough(log):
                return job, log
            time.sleep(_TRY_AGAIN_S)

    def follow(self, job_id: str, write: Callable[[str], None]) -> Job:
        """Print a job's log until the job ends.

        A connection that is lost is made again; nothing is printed twice.

        Args:
            job_id: The job.
            write: Prints a piece of the log.

        Raises:
            ClusterError: if the cluster stays away.
        """
        tail = _Tail(self._client, job_id, write)
        while True:
            with suppress(RuntimeError, OSError, ClientError):
                asyncio.run(tail.follow())
            job = self._patiently(self.job, job_id)
            if job.has_ended:
                tail.write_rest(self._patiently(self.log, job_id))
                return job
            time.sleep(_TRY_AGAIN_S)

    def _patiently(self, ask: Callable[[str], _Answer], job_id: str) -> _Answer:
        """Ask about a job again and again while the cluster is away."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return ask(job_id)
            except ClusterError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(_TRY_AGAIN_S)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except AuthenticationError as error:
            raise self._refused(error) from error
        except (OSError, RuntimeError, ValueError) as error:
            if "does not exist" in str(error):
                job = str(error).partition("Job ")[2].partition(" does")[0]
                raise UsageError(
                    f"{self.address}: there is no job {job}; what to do: `ray job "
                    f"list --address {self.address}` names those there are"
                ) from error
            raise ClusterError(f"{self.address}: {first_line(error)}") from error

    def _refused(self, error: AuthenticationError) -> ClusterError:
        reason = first_line(error).partition(". ")[0].rstrip(".")
        return ClusterError(
            f"{self.address}: the cluster does not let this in: {reason}; what to do: "
            "put the cluster's token into RAY_AUTH_TOKEN, or into a file and that "
            "file's name into RAY_AUTH_TOKEN_PATH, or into ~/.ray/auth_token"
        )


class _Tail:
    """The end of a job's log, as far as it is not printed yet."""

    def __init__(
        self, client: JobSubmissionClient, job_id: str, write: Callable[[str], None]
    ) -> None:
        self._client, self._job_id, self._write = client, job_id, write
        self._seen = 0  # characters

    async def follow(self) -> None:
        """Print what comes until the job ends, or the connection does."""
        place = 0  # each connection begins with the log's first line
        async for piece in self._client.tail_job_logs(self._job_id):
            place += len(piece)
            new = piece[max(0, len(piece) - (place - self._seen)) :]
            if place > self._seen:
                self._seen = place
                self._write(new)

    def write_rest(self, log: str) -> None:
        """Print what is new in the whole log."""
        self._write(log[self._seen :])


def _to_job(job_id: str, details: JobDetails) -> Job:
    return Job(
        id=job_id,
        state=str(details.status.value),
        has_ended=details.status.is_terminal(),
        driver_exit_code=details.driver_exit_code,
        message=details.message or "",
        name=(details.metadata or {}).get("experiment", ""),
        began_s=details.start_time and details.start_time / 1000,
        ended_s=details.end_time and details.end_time / 1000,
    )


def _check_reachable(address: str) -> None:
    # requests would go on trying for minutes
    parts = urlsplit(address)
    try:
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise UsageError(
            f"--address: found {address}; allowed: http://HOST:8265, the address of "
            "the dashboard on the cluster's head"
        ) from None
    try:
        socket.create_connection((parts.hostname, port), timeout=5.0).close()
    except OSError as error:
        raise ClusterError(
            f"{address}: nothing answers there: {error.strerror or error}; what to do: "
            "look whether the head runs, with its dashboard, and this machine may "
            "reach it"
        ) from error
