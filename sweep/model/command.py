"""What `best` and `predict` do."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from sweep.config import load
from sweep.experiment import Experiment
from sweep.model.best import Best, find_best
from sweep.model.classifier import Prediction
from sweep.model.evaluation import evaluate, recorded_evaluation
from sweep.model.export import check_folder, export
from sweep.model.network import Model, bring
from sweep.model.printing import (
    best_table,
    evaluation_lines,
    export_line,
    place_lines,
    prediction_lines,
    registered_line,
    retraining_lines,
)
from sweep.model.registry import check_name, register
from sweep.model.retraining import epochs_of, retrain
from sweep.model.source import open_model
from sweep.paths import without_password
from sweep.status import best_json
from sweep.stores import check_stores


@dataclass(frozen=True)
class Wishes:
    """What is to be done with the best trial, in this order.

    Attributes:
        evaluate: Whether to score the test split.
        retrain: With how many seeds to train its setting anew; 0 for not at all.
        export: The folder to write its network to; None for nowhere.
        register: The registered model to make it the champion of; None for none.
    """

    evaluate: bool = False
    retrain: int = 0
    export: Path | None = None
    register: str | None = None

    @property
    def needs_network(self) -> bool:
        """Whether the network is needed, and not the setting alone."""
        return self.evaluate or bool(self.export or self.register)


def best(file: Path, overrides: Sequence[str], as_json: bool, wishes: Wishes) -> int:
    """Print the best trial, and do with it what is wished; returns the exit code.

    Args:
        file: The YAML.
        overrides: `dotted.key=value` each.
        as_json: Whether all of it is printed as JSON.
        wishes: What to do.
    """
    experiment = load(file, overrides)
    check_stores(experiment)
    if wishes.export is not None:
        check_folder(wishes.export)
    if wishes.register is not None:
        check_name(wishes.register)
    found = find_best(experiment)
    # JSON is to be all of standard output, so what people read goes elsewhere
    console = Console(stderr=as_json, highlight=False, markup=False, soft_wrap=True)
    console.print(best_table(experiment, found), soft_wrap=False)
    console.print(place_lines(found))
    said = {"name": found.name, **best_json(found.trial, found.run_id)}
    model = bring(experiment, found) if wishes.needs_network else None
    if model is not None and wishes.evaluate:
        said |= _evaluate(model, console)
    if wishes.retrain:
        said |= _retrain(experiment, found, wishes.retrain, console)
    if model is not None and wishes.export is not None:
        files = export(model, wishes.export)
        console.print(export_line(files))
        said["export"] = [str(file) for file in files]
    if model is not None and wishes.register is not None:
        said |= _register(model, wishes.register, console)
    if as_json:
        print(json.dumps(said))
    return 0


def predict(
    name: str, images: Sequence[Path], tracking_uri: str, top: int, as_json: bool
) -> int:
    """Print the likeliest classes of image files; returns the exit code.

    Args:
        name: Of the model; see source.py.
        images: The files.
        tracking_uri: MLflow's address, for its registry.
        top: How many classes to print for each image.
        as_json: Whether they are printed as JSON.
    """
    predictions = open_model(name, tracking_uri).classify(images)
    if as_json:
        print(json.dumps([_prediction_json(p, top) for p in predictions]))
    else:
        print(prediction_lines(predictions, top))
    return 0


def _evaluate(model: Model, console: Console) -> dict[str, Any]:
    former = recorded_evaluation(model.experiment, model.best)
    with console.status("scoring the test split"):
        evaluation, is_new = evaluate(model)
    console.print(evaluation_lines(evaluation, is_new, former))
    return {"evaluation": {**asdict(evaluation), "is_new": is_new}}


def _retrain(
    experiment: Experiment, found: Best, seeds: int, console: Console
) -> dict[str, Any]:
    epochs = epochs_of(experiment, found)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("training", total=epochs)

        def on_epoch(seed: int, epoch: int) -> None:
            about = f"training seed {seed}, epoch {epoch}/{epochs}"
            progress.update(task, completed=epoch, description=about)
            if epoch == epochs:
                console.print(f"seed {seed}: {epochs} epochs trained")

        done, is_new = retrain(experiment, found, seeds, on_epoch)
    console.print(retraining_lines(done, is_new))
    first = done.networks[0]
    return {
        "retraining": {
            "trial": first.trial,
            "epochs": first.epochs,
            "images": first.images,
            "seeds": [network.seed for network in done.networks],
            "accuracies": done.accuracies,
            "mean": done.mean,
            "std": done.deviation,
            "is_new": is_new,
        }
    }


def _register(model: Model, name: str, console: Console) -> dict[str, Any]:
    registered = register(model, name)
    uri = without_password(model.experiment.mlflow.tracking_uri)
    console.print(registered_line(registered, uri))
    return {"registered": {**asdict(registered), "uri": registered.uri}}


def _prediction_json(prediction: Prediction, top: int) -> dict[str, Any]:
    ranking = [
        {"class": name, "probability": probability}
        for name, probability in prediction.ranking[:top]
    ]
    return {"image": prediction.file, **ranking[0], "top": ranking}
