"""`submit` as it was typed: which of its four things it is to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sweep.errors import UsageError
from sweep.jobs import command


@dataclass(frozen=True)
class Call:
    """What was typed; None, empty or false for what was not.

    Attributes:
        address: Of the dashboard on the cluster's head.
        file: The YAML of an experiment to submit.
        overrides: `dotted.key=value` each, for it.
        fresh: Whether a study of its name is set aside.
        detach: Whether to come back once the cluster has found that it can run it.
        status: A job to look at.
        logs: A job whose log is to be read.
        stop: A job to end.
    """

    address: str | None
    file: Path | None
    overrides: Sequence[str]
    fresh: bool
    detach: bool
    status: str | None
    logs: str | None
    stop: str | None

    def do(self) -> int:
        """Do what was asked for; returns the exit code.

        Raises:
            UsageError: if that is nothing, or several things at once.
        """
        address = self._check()
        if self.status is not None:
            return command.status(self.status, address)
        if self.logs is not None:
            return command.logs(self.logs, address)
        if self.stop is not None:
            return command.stop(self.stop, address)
        assert self.file is not None
        return command.submit(
            self.file,
            self.overrides,
            address,
            detach=self.detach,
            fresh=self.fresh,
        )

    def _check(self) -> str:
        jobs = _given({"status": self.status, "logs": self.logs, "stop": self.stop})
        settings = {"set": self.overrides, "fresh": self.fresh, "detach": self.detach}
        new = (["FILE"] if self.file is not None else []) + _given(settings)
        if len(jobs) > 1:
            raise UsageError(f"found {' and '.join(jobs)}; allowed: one of them")
        if jobs and new:
            raise UsageError(
                f"found {jobs[0]} and {', '.join(new)}; allowed: {jobs[0]} ID alone, "
                "for a job that was submitted, or FILE, to submit one"
            )
        if not jobs and self.file is None:
            raise UsageError(
                "found no FILE; allowed: the experiment's YAML, or one of --status, "
                "--logs and --stop with the ID of a job"
            )
        if not self.address:
            raise UsageError(
                "--address: missing; allowed: http://HOST:8265, the dashboard on the "
                "cluster's head; RAY_API_SERVER_ADDRESS may hold it, too"
            )
        return self.address


def _given(options: dict[str, object]) -> list[str]:
    return [f"--{name}" for name, value in options.items() if value]
