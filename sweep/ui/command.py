"""What `sweep ui` does."""

import signal
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from sweep.config import load
from sweep.errors import StoreError, SweepFailed
from sweep.experiment import Experiment
from sweep.paths import without_password
from sweep.stores import check_stores, is_missing, tracking_address
from sweep.ui.server import choose_port, serving

Say = Callable[[str], None]


def show(
    file: Path,
    overrides: Sequence[str],
    say: Say,
    *,
    port: int | None = None,
    has_browser: bool = True,
) -> int:
    """Open MLflow's UI at an experiment; returns the exit code.

    A server that is there already is opened. For a database, one is started, and runs
    until this process is asked to end.

    Args:
        file: The YAML.
        overrides: `dotted.key=value` each.
        say: Prints a line for people.
        port: Where the server listens; None for any port that is free.
        has_browser: Whether a browser is opened.

    Raises:
        StoreError: if there is nothing to show, or MLflow does not start.
        UsageError: if somebody listens on that port.
    """
    experiment = load(file, overrides)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        page, uri = _find_page(experiment, file), tracking_address(experiment)
        if uri.startswith("http"):
            _open(_of_server(uri) + page, say, has_browser)
            return 0
        say("starting MLflow's server")
        with serving(uri, choose_port(port)) as server:
            _open(server.address + page, say, has_browser)
            say("Ctrl-C ends it")
            server.process.wait()
    except KeyboardInterrupt:
        return 0
    raise SweepFailed("MLflow's server has ended by itself; start it again")


def _find_page(experiment: Experiment, file: Path) -> str:
    check_stores(experiment)
    page = None
    if not is_missing(tracking_address(experiment)):
        from sweep.ui.pages import find_page  # takes seconds

        page = find_page(experiment)
    if page is None:
        uri = without_password(experiment.mlflow.tracking_uri)
        raise StoreError(
            f"nothing to show yet: {uri} has no experiment {experiment.name!r}; what "
            f"to do: python -m sweep run {file}"
        )
    return page


def _of_server(uri: str) -> str:
    """A server's address without a name and a password: the browser asks for them."""
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}/"


def _open(address: str, say: Say, has_browser: bool) -> None:
    say(address)
    if has_browser and not webbrowser.open(address):
        say("no browser opens here; open that address in one")
