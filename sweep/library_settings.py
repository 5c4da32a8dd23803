"""What the libraries are told by the environment, in which our processes find it too.

They look at it when they are imported.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # what waits for MLflow waits on disk, not in its client
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    # under `uv run`, Ray would build an environment for each worker: minutes
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}


@contextmanager
def library_settings() -> Iterator[None]:
    """Have them set for a while, but for those that the user has set."""
    added = {key: text for key, text in _SETTINGS.items() if key not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for key in added:
            os.environ.pop(key, None)
