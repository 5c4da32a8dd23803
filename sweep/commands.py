"""What each command does and prints; imports heavy libraries where they are used."""

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from sweep.cluster import look_at, this_node
from sweep.conduct import conduct
from sweep.config import load
from sweep.experiment import Experiment
from sweep.interrupt import Interrupt
from sweep.live.tables import (
    counts_line,
    inputs_line,
    settings_lines,
    summary_table,
)
from sweep.paths import without_password
from sweep.plan import node_lines, plan_workers
from sweep.stores import check_stores
from sweep.trial import StudySummary
from sweep.words import run_command


def run(
    file: Path,
    overrides: Sequence[str],
    as_json: bool,
    *,
    extend: int = 0,
    fresh: bool = False,
    quiet: bool = False,
) -> int:
    """Run an experiment and show what it found; returns the exit code.

    Args:
        file: The YAML.
        overrides: `dotted.key=value` each.
        as_json: Whether the status is printed as JSON.
        extend: Trials wanted beyond those that the YAML asks for.
        fresh: Whether a study of this name is set aside, and the next one begun.
        quiet: Whether nothing but errors, and the JSON, is printed.
    """
    experiment = _load(file, overrides).extended(extend)
    # one line of JSON is to be the last of standard output, so people's goes elsewhere
    console = Console(stderr=as_json, highlight=False, markup=False, quiet=quiet)
    interrupt = Interrupt(console.print)
    summary = conduct(experiment, console, interrupt, fresh=fresh)
    print_summary(console, experiment, summary)
    if as_json:
        print(_as_json(experiment))
    return interrupt.exit_code or 0


def check(file: Path, overrides: Sequence[str]) -> int:
    """Print what `run` would do; returns the exit code."""
    experiment = _load(file, overrides)
    from sweep.data import find_data
    from sweep.objective import local_gpus
    from sweep.status import read_status

    summary, _ = read_status(experiment)
    found, where = find_data(experiment)
    address = experiment.ray.address
    nodes = [this_node(local_gpus())] if address == "local" else look_at(address)
    plan = plan_workers(experiment, nodes, summary.done)
    console = Console(highlight=False, markup=False)
    console.print(settings_lines(experiment))
    console.print(f"data      {'found' if found else 'NOT FOUND'}: {where}")
    console.print(f"inputs    {inputs_line(experiment)}")
    console.print(f"workers   {plan}")
    for line in [] if address == "local" else node_lines(plan, nodes):
        console.print(f"          {line}", soft_wrap=True)
    console.print(f"study     {counts_line(summary)}")
    return 0


def status(file: Path, overrides: Sequence[str], as_json: bool) -> int:
    """Print what the stores say; returns the exit code."""
    experiment = _load(file, overrides)
    if as_json:
        print(_as_json(experiment))
        return 0
    from sweep.status import read_status

    console = Console(highlight=False, markup=False)
    print_summary(console, experiment, read_status(experiment)[0])
    return 0


def watch(file: Path, overrides: Sequence[str]) -> int:
    """Show what runs, from elsewhere, until it is complete; returns the exit code."""
    experiment = _load(file, overrides)
    from sweep.live.watch import watch as show

    console = Console(highlight=False, markup=False)
    is_complete = show(experiment, console, run_command(file, overrides))
    return status(file, overrides, as_json=False) if is_complete else 0


def print_summary(
    console: Console, experiment: Experiment, summary: StudySummary
) -> None:
    """Print the best trials, how many there are, and where to see them all."""
    console.print()
    if summary.ranking:
        console.print(summary_table(experiment, summary))
        console.print()
    console.print(f"{experiment.name}: {counts_line(summary)}")
    _print_how_to_look(console, experiment)


def _load(file: Path, overrides: Sequence[str]) -> Experiment:
    experiment = load(file, overrides)
    check_stores(experiment)
    return experiment


def _as_json(experiment: Experiment) -> str:
    from sweep.status import read_status, status_json

    return json.dumps(status_json(experiment, *read_status(experiment)))


def _print_how_to_look(console: Console, experiment: Experiment) -> None:
    uri, storage = map(
        without_password, (experiment.mlflow.tracking_uri, experiment.study.storage)
    )
    is_server = uri.startswith("http")
    runs = uri if is_server else f"mlflow ui --backend-store-uri {uri}"
    console.print("\nSee every trial:", style="bold")
    console.print(f"  {runs}", soft_wrap=True)
    console.print(f"  optuna-dashboard {storage}", soft_wrap=True)
