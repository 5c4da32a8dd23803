"""Experiment sweeps: Optuna proposes, Ray trains, MLflow records.

`from sweep import Experiment, run` is the command line's `run` in Python. Each name is
imported when it is used, which takes seconds for some; `import sweep` takes none.
"""

from importlib import import_module
from typing import Any

# in __init__.pyi, too, for type checkers
_HOMES = {
    "Choice": "sweep.space",
    "Experiment": "sweep.api.experiment",
    "FloatRange": "sweep.space",
    "IntRange": "sweep.space",
    "Result": "sweep.api.result",
    "State": "sweep.trial",
    "SweepError": "sweep.errors",
    "run": "sweep.api.running",
}
__all__ = sorted(_HOMES)  # noqa: PLE0605 - a list of names


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
