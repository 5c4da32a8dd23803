"""Everything that can go wrong with a sweep, as one tree.

SweepError
  UsageError       the YAML or the call is wrong; nothing was started     exit code 2
    ConfigError    one or more settings are wrong; names file, line, key
    DataError      the data set is missing or cannot be read
    StoreError     a store cannot be opened, or holds another experiment
    ModelError     there is no such model yet, or it cannot be used
  ClusterError     Ray cannot give the sweep a single worker             exit code 1
  StudyBusy        another driver runs the study                         exit code 1
  SweepFailed      the sweep began and cannot go on                      exit code 1
    LeaseLost      another driver has taken the study over
    StoreUnavailable  a store that was open does not answer; may pass

A message names the thing, what was found, what is allowed and what to do. Every error
carries its message as its only argument, so that it survives pickling.
"""


def first_line(error: BaseException) -> str:
    """What an error says, without the background that libraries add below."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def last_line(text: str) -> str:
    """What a traceback ends with: what went wrong, without where."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")


class SweepError(Exception):
    """Base of all errors that end a sweep with a message instead of a traceback."""

    exit_code = 1


class UsageError(SweepError):
    """The YAML or the call is wrong. Nothing was started, nothing was written."""

    exit_code = 2


class ConfigError(UsageError):
    """One or more settings are wrong; one line of the message for each."""


class DataError(UsageError):
    """The data set is missing, cannot be fetched or cannot be read."""


class StoreError(UsageError):
    """A store cannot be opened, or what it holds belongs to another experiment."""


class ModelError(UsageError):
    """There is no such model yet, or what was named as one cannot be used."""


class ClusterError(SweepError):
    """Ray cannot be reached, or has no room for a single worker."""


class StudyBusy(SweepError):
    """Another driver runs the study; nothing was started."""


class SweepFailed(SweepError):
    """The sweep began and cannot go on; what had finished is kept."""


class LeaseLost(SweepFailed):
    """Another driver has taken the study over, so that this one may write no more."""


class StoreUnavailable(SweepFailed):
    """A store that was open does not take what is written to it; it may come back."""
