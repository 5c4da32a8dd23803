"""The command line: its words and its exit codes; commands.py does the work."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from sweep.errors import SweepError

app = typer.Typer(
    help="Hyperparameter sweeps of fully connected networks: Optuna proposes, Ray "
    "trains, MLflow records.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The experiment's YAML.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a setting, such as study.trials=8; repeatable.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the status as JSON.")]

Extend = Annotated[
    int | None,
    typer.Option(
        "--extend",
        metavar="N",
        min=1,
        help="Run N trials more than the file asks for.",
    ),
]
Fresh = Annotated[
    bool,
    typer.Option(
        "--fresh",
        help="Begin the next study of this name; the one there is is kept as NAME@1.",
    ),
]

Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="URL",
        envvar=["RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"],
        help="The dashboard on the cluster's head: http://HOST:8265.",
    ),
]
Detach = Annotated[
    bool,
    typer.Option(
        "--detach",
        help="Come back once the cluster has found that it can run it.",
    ),
]


def _of_job(name: str, help_text: str) -> Any:
    return typer.Option(f"--{name}", metavar="ID", help=help_text)


def main() -> None:
    """Run the command line."""
    # the libraries look at these when they are imported
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # what waits for MLflow waits on disk, not in its client
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # under `uv run`, Ray would build an environment for each worker: minutes
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    app()


@app.command()
def run(
    file: File,
    overrides: Overrides = None,
    as_json: Json = False,
    extend: Extend = None,
    fresh: Fresh = False,
) -> None:
    """Run an experiment. Run again, it goes on where it stopped."""
    with _errors_as_messages():
        from sweep import commands

        raise typer.Exit(
            commands.run(
                file, overrides or [], as_json, extend=extend or 0, fresh=fresh
            )
        )


@app.command()
def check(file: File, overrides: Overrides = None) -> None:
    """Check an experiment and print the plan. Starts and writes nothing."""
    with _errors_as_messages():
        from sweep import commands

        raise typer.Exit(commands.check(file, overrides or []))


@app.command()
def status(file: File, overrides: Overrides = None, as_json: Json = False) -> None:
    """Print what the stores say of an experiment."""
    with _errors_as_messages():
        from sweep import commands

        raise typer.Exit(commands.status(file, overrides or [], as_json))


@app.command()
def submit(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="The experiment's YAML.")
    ] = None,
    overrides: Overrides = None,
    address: Address = None,
    fresh: Fresh = False,
    detach: Detach = False,
    status: Annotated[
        str | None, _of_job("status", "Say how a job is instead.")
    ] = None,
    logs: Annotated[
        str | None, _of_job("logs", "Print a job's log instead, while it runs.")
    ] = None,
    stop: Annotated[
        str | None, _of_job("stop", "Let a job end well instead, and wait for it.")
    ] = None,
) -> None:
    """Run an experiment as a job of a Ray cluster; print its log, end as it ends."""
    with _errors_as_messages():
        from sweep.jobs.call import Call

        call = Call(
            address=address,
            file=file,
            overrides=overrides or [],
            fresh=fresh,
            detach=detach,
            status=status,
            logs=logs,
            stop=stop,
        )
        raise typer.Exit(call.do())


@app.command(hidden=True)
def job(fresh: Fresh = False) -> None:
    """Run the experiment that was packed into the current folder: a job's command."""
    with _errors_as_messages():
        from sweep.jobs import driver

        raise typer.Exit(driver.run_job(fresh=fresh))


@contextmanager
def _errors_as_messages() -> Iterator[None]:
    try:
        yield
    except SweepError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on from here", err=True)
        raise typer.Exit(130) from None
