"""How the best trial, and what was done with it, reads on a terminal."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rich.table import Table

from sweep.experiment import Experiment
from sweep.model.best import Best
from sweep.model.classifier import Prediction
from sweep.model.evaluation import Evaluation
from sweep.model.registry import Registered
from sweep.model.retraining import Retraining
from sweep.words import short


def best_table(experiment: Experiment, best: Best) -> Table:
    """The best trial: value, epoch and settings."""
    trial, told = best.trial, experiment.study.value
    rows = [
        ("trial", f"{trial.number:04d}", f"the best of {best.done}"),
        ("value", f"{trial.value:.4f}", told),
        ("epoch", str(trial.epoch), f"of {trial.hparams['num_epochs']}"),
    ]
    for key, setting in trial.hparams.items():
        rows.append(
            (key, short(setting), "searched" if key in experiment.space else "")
        )
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for row in rows:
        table.add_row(*row)
    return table


def place_lines(best: Best) -> str:
    """Where the best trial is in MLflow."""
    missing = "not in MLflow yet"
    return (
        f"\nrun         {best.run_id or missing}\n"
        f"checkpoint  {best.checkpoint_uri or missing}\n"
    )


def evaluation_lines(
    evaluation: Evaluation, is_new: bool, former: Evaluation | None
) -> str:
    """The accuracy on the test split, and whether it was measured just now."""
    lines = (
        f"test accuracy {evaluation.accuracy:.4f} on {evaluation.images} images, "
        f"trial {evaluation.trial:04d}: "
    )
    if not is_new:
        return lines + f"recorded {_when(evaluation.time_ms)}, not scored again"
    lines += "scored now, and recorded"
    if former is not None:
        lines += (
            f"; trial {former.trial:04d}, the best until then, had "
            f"{former.accuracy:.4f}"
        )
    return lines


def retraining_lines(done: Retraining, is_new: bool) -> str:
    """What the best setting reaches with new seeds."""
    each = ", ".join(f"{accuracy:.4f}" for accuracy in done.accuracies)
    spread = "" if done.deviation is None else f" ± {done.deviation:.4f}"
    first, last = done.networks[0], done.networks[-1]
    when = (
        "recorded" if is_new else f"recorded {_when(last.time_ms)}, not trained again"
    )
    return (
        f"trained anew on {first.images} images, {first.epochs} epochs, seeds "
        f"{first.seed} to {last.seed}: test accuracy {done.mean:.4f}{spread} "
        f"({each}); {when}"
    )


def export_line(files: Sequence[Path]) -> str:
    """What was written, and where."""
    names = ", ".join(file.name for file in files)
    return f"exported to {files[0].parent}: {names}"


def registered_line(registered: Registered, tracking_uri: str) -> str:
    """Which version is the champion now, and how to serve it."""
    new = "" if registered.is_new else ", which was there already"
    former = (
        "" if registered.former is None else f"; it was version {registered.former}"
    )
    return (
        f"{registered.uri} is version {registered.version}{new}, "
        f"trial {registered.trial:04d}{former}\n"
        f"  MLFLOW_TRACKING_URI={tracking_uri} mlflow models serve "
        f"-m '{registered.uri}' --env-manager local"
    )


def prediction_lines(predictions: Sequence[Prediction], top: int) -> str:
    """The likeliest classes of each image, and their probabilities."""
    rows = [_cells(prediction, top) for prediction in predictions]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(padded)


def _cells(prediction: Prediction, top: int) -> list[str]:
    likeliest = prediction.ranking[:top]
    return [prediction.file, *(f"{name} {share:.3f}" for name, share in likeliest)]


def _when(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000).strftime("%Y-%m-%d %H:%M")
