"""What each command does and prints. Heavy to import; cli.py does so when needed."""

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from sweep.config import Experiment, load
from sweep.display import counts_line, settings_lines, summary_table
from sweep.interrupt import Interrupt
from sweep.objective import find_data, local_gpus
from sweep.session import check_stores, make_plan, run_sweep
from sweep.status import read_status, status_json
from sweep.trial import StudySummary
from sweep.workers import local_cpus


def run(file: Path, overrides: Sequence[str], as_json: bool) -> int:
    """Run an experiment and show what it found; returns the exit code."""
    experiment = load(file, overrides)
    # one line of JSON is to be the last of standard output, so people's goes elsewhere
    console = Console(stderr=as_json, highlight=False)
    interrupt = Interrupt(console.print)
    summary = run_sweep(experiment, console, interrupt)
    _print_summary(console, experiment, summary)
    _print_how_to_look(console, experiment)
    if as_json:
        print(_as_json(experiment))
    return interrupt.exit_code or 0


def check(file: Path, overrides: Sequence[str]) -> int:
    """Print what `run` would do; returns the exit code."""
    experiment = load(file, overrides)
    check_stores(experiment)
    console = Console(highlight=False)
    found, where = find_data(experiment)
    console.print(settings_lines(experiment))
    console.print(f"data      {'found' if found else 'NOT FOUND'}: {where}")
    console.print(f"workers   {_workers(experiment)}")
    console.print(f"study     {counts_line(read_status(experiment)[0])}")
    return 0


def status(file: Path, overrides: Sequence[str], as_json: bool) -> int:
    """Print what the stores say; returns the exit code."""
    experiment = load(file, overrides)
    check_stores(experiment)
    if as_json:
        print(_as_json(experiment))
        return 0
    console = Console(highlight=False)
    _print_summary(console, experiment, read_status(experiment)[0])
    _print_how_to_look(console, experiment)
    return 0


def _as_json(experiment: Experiment) -> str:
    return json.dumps(status_json(experiment, *read_status(experiment)))


def _workers(experiment: Experiment) -> str:
    if experiment.ray.address != "local":
        return f"as many as the cluster at {experiment.ray.address} has room for"
    return str(make_plan(experiment, local_cpus(), local_gpus()))


def _print_summary(
    console: Console, experiment: Experiment, summary: StudySummary
) -> None:
    console.print()
    if summary.ranking:
        console.print(summary_table(experiment, summary))
        console.print()
    console.print(f"{experiment.name}: {counts_line(summary)}")


def _print_how_to_look(console: Console, experiment: Experiment) -> None:
    uri, storage = experiment.mlflow.tracking_uri, experiment.study.storage
    is_server = uri.startswith("http")
    runs = uri if is_server else f"mlflow ui --backend-store-uri {uri}"
    console.print("\nSee every trial:", style="bold")
    console.print(f"  {runs}", soft_wrap=True)
    console.print(f"  optuna-dashboard {storage}", soft_wrap=True)
