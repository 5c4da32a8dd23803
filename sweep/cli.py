"""The command line: its words and its exit codes; commands.py does the work."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from sweep.errors import SweepError
from sweep.library_settings import library_settings

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
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]
WatchIt = Annotated[
    bool,
    typer.Option("--watch", help="Show what runs until it is complete, or Ctrl-C."),
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
    with library_settings():
        app()


@app.command()
def run(
    file: File,
    overrides: Overrides = None,
    as_json: Json = False,
    extend: Extend = None,
    fresh: Fresh = False,
    quiet: Quiet = False,
) -> None:
    """Run an experiment. Run again, it goes on where it stopped."""
    with _errors_as_messages("stopped; the same command goes on from here"):
        from sweep import commands

        raise typer.Exit(
            commands.run(
                file,
                overrides or [],
                as_json,
                extend=extend or 0,
                fresh=fresh,
                quiet=quiet,
            )
        )


@app.command()
def check(file: File, overrides: Overrides = None) -> None:
    """Check an experiment and print the plan. Starts and writes nothing."""
    with _errors_as_messages():
        from sweep import commands

        raise typer.Exit(commands.check(file, overrides or []))


@app.command()
def status(
    file: File,
    overrides: Overrides = None,
    as_json: Json = False,
    watch: WatchIt = False,
) -> None:
    """Print what the stores say of an experiment."""
    if watch and as_json:
        raise typer.BadParameter("--watch is for people, --json for programs")
    with _errors_as_messages():
        from sweep import commands

        if watch:
            raise typer.Exit(commands.watch(file, overrides or []))
        raise typer.Exit(commands.status(file, overrides or [], as_json))


Output = Annotated[
    Path,
    typer.Option("--output", metavar="DIR", help="The folder that it is written to."),
]


@app.command()
def report(
    file: File, overrides: Overrides = None, output: Output = Path("reports")
) -> None:
    """Write what was found as one HTML file, and print its path."""
    with _errors_as_messages():
        from sweep.report.command import report as write

        typer.echo(write(file, overrides or [], output))


@app.command()
def best(
    file: File,
    overrides: Overrides = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all of it as JSON.")
    ] = False,
    evaluate: Annotated[
        bool,
        typer.Option("--evaluate", help="Score the test split, once, and record it."),
    ] = False,
    retrain: Annotated[
        int | None,
        typer.Option(
            "--retrain",
            metavar="N",
            min=1,
            help="Train its setting on training and validation split, with N new "
            "seeds, and score the test split.",
        ),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export",
            metavar="DIR",
            help="Write model.safetensors, model.json and model.onnx.",
        ),
    ] = None,
    register: Annotated[
        str | None,
        typer.Option(
            "--register",
            metavar="NAME",
            help="Make it the champion of that model in MLflow's registry.",
        ),
    ] = None,
) -> None:
    """Print the best trial; score, retrain, export or register it."""
    with _errors_as_messages("stopped; what was done before is kept"):
        from sweep.model import command

        wishes = command.Wishes(evaluate, retrain or 0, export, register)
        raise typer.Exit(command.best(file, overrides or [], as_json, wishes))


@app.command()
def predict(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="An export's folder, a .onnx or .safetensors file, or "
            "models:/NAME@champion.",
        ),
    ],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="Image files.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the predictions as JSON.")
    ] = False,
    top: Annotated[
        int,
        typer.Option("--top", metavar="K", min=1, help="Classes to print an image."),
    ] = 1,
    tracking_uri: Annotated[
        str,
        typer.Option(
            "--tracking-uri",
            metavar="URI",
            envvar="MLFLOW_TRACKING_URI",
            help="Where MLflow's registry is, for models:/.",
        ),
    ] = "sqlite:///mlflow.db",
) -> None:
    """Classify image files."""
    with _errors_as_messages():
        from sweep.model import command

        raise typer.Exit(command.predict(model, images, tracking_uri, top, as_json))


@app.command()
def ui(
    file: File,
    overrides: Overrides = None,
    port: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=65535,
            help="Where to listen; by default any free one.",
        ),
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open a browser.")
    ] = True,
) -> None:
    """Open MLflow's own UI at an experiment; Ctrl-C ends it."""
    with _errors_as_messages():
        from sweep.ui.command import show

        raise typer.Exit(
            show(file, overrides or [], typer.echo, port=port, has_browser=browser)
        )


@app.command()
def submit(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="The experiment's YAML.")
    ] = None,
    overrides: Overrides = None,
    address: Address = None,
    fresh: Fresh = False,
    detach: Detach = False,
    status: Annotated[str | None, _of_job("status", "Print a job's state.")] = None,
    logs: Annotated[
        str | None, _of_job("logs", "Print a job's log, while it runs.")
    ] = None,
    stop: Annotated[
        str | None, _of_job("stop", "Let a job end well, and wait for it.")
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
def _errors_as_messages(stopped: str = "stopped") -> Iterator[None]:
    try:
        yield
    except SweepError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        typer.echo(stopped, err=True)
        raise typer.Exit(130) from None
