"""An experiment as Python has it: from a file, or written there."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from sweep import experiment, sections
from sweep.config import check, load
from sweep.distributions import as_yaml

Section = Mapping[str, Any]


class Experiment(experiment.Experiment):
    """One experiment, checked; its name is the study's and the MLflow experiment's.

    Its sections are dicts as in the YAML, or the classes of `sweep.sections`; a
    setting of model or solver may be a distribution of `sweep.space`.
    """

    def __init__(
        self,
        *,
        name: str,
        data: Section | sections.Data,
        model: Section | sections.Model | None = None,
        solver: Section | sections.Solver | None = None,
        study: Section | sections.Study | None = None,
        ray: Section | sections.Ray | None = None,
        mlflow: Section | sections.Mlflow | None = None,
    ) -> None:
        """Check what an experiment is to be.

        Args:
            name: Of the study and of MLflow's experiment.
            data: Which images.
            model: The network.
            solver: How it is trained.
            study: How many trials, who proposes and stops them, where they are kept.
            ray: Where they run.
            mlflow: Where they are recorded.

        Raises:
            ConfigError: naming for each mistake key, found and allowed.
        """
        values: dict[str, Any] = {"name": name, "data": data, "model": model}
        values |= {"solver": solver, "study": study, "ray": ray, "mlflow": mlflow}
        given = {key: value for key, value in values.items() if value is not None}
        super().__init__(**dict(check(given)))

    @classmethod
    def load(
        cls, file: str | Path, overrides: Sequence[str] | Mapping[str, Any] = ()
    ) -> Self:
        """Read an experiment's YAML.

        Args:
            file: The file.
            overrides: Laid over it: `study.trials=8` each, or values by such keys.

        Raises:
            ConfigError: naming for each mistake file, line, key, found and allowed.
        """
        if isinstance(overrides, Mapping):
            # JSON is YAML
            items = overrides.items()
            overrides = [f"{key}={json.dumps(as_yaml(value))}" for key, value in items]
        return cls(**dict(load(Path(file), overrides)))
