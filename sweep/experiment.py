"""What an experiment is: the YAML's sections together. Owns pydantic, with others."""

import math
from typing import Annotated

from pydantic import Field

from sweep.paths import without_password
from sweep.sections import CONDITIONS, Data, Mlflow, Model, Ray, Section, Solver, Study
from sweep.space import Condition, Distribution, Setting, Space, largest
from sweep.trial import HParams
from sweep.yaml_file import dump_yaml


class Experiment(Section):
    """One YAML file, checked; its name is the study's and the MLflow experiment's."""

    name: Annotated[str, Field(max_length=500, pattern=r"^\S(.*\S)?$")]
    """The study's name in Optuna, and the experiment's in MLflow."""

    data: Data
    model: Model = Model()
    solver: Solver = Solver()
    study: Study = Study()
    ray: Ray = Ray()
    mlflow: Mlflow = Mlflow()

    @property
    def stores(self) -> dict[str, str]:
        """The addresses of Optuna's and of MLflow's store, by their keys."""
        return {
            "study.storage": self.study.storage,
            "mlflow.tracking_uri": self.mlflow.tracking_uri,
        }

    @property
    def settings(self) -> dict[str, Setting]:
        """Every setting of model and solver by its own name."""
        return {**self.model.settings, **dict(self.solver)}

    def condition(self, key: str) -> Condition | None:
        """When a setting is one of a trial's; None for always."""
        if not key.startswith("width_"):
            return CONDITIONS.get(key)
        index, most = int(key.removeprefix("width_")), largest(self.settings["layers"])
        return Condition("layers", tuple(range(index, most + 1)))

    @property
    def space(self) -> Space:
        """The settings that are searched."""
        settings = self.settings.items()
        return {k: v for k, v in settings if isinstance(v, Distribution)}

    def hparams(self, searched: HParams) -> HParams:
        """A trial's settings: the searched ones, and the constants that have a meaning.

        Momentum, for instance, is there only with the rule that has one.
        """
        constants = {
            k: v for k, v in self.settings.items() if not isinstance(v, Distribution)
        }
        chosen = {**constants, **searched}
        return {
            key: chosen[key]
            for key in self.settings
            if key in chosen and self._is_used(key, chosen)
        }

    def _is_used(self, key: str, hparams: HParams) -> bool:
        condition = self.condition(key)
        return condition is None or condition.holds(hparams)

    @property
    def trials(self) -> int:
        """Trials wanted in all; a grid ends when each of its points was tried."""
        if self.study.sampler != "grid":
            return self.study.trials
        points = math.prod(len(d.grid()) for d in self.space.values())
        return min(self.study.trials, points)

    @property
    def typical(self) -> HParams:
        """The settings of a trial in the middle of the space."""
        return self.hparams({key: d.middle() for key, d in self.space.items()})

    @property
    def max_epochs(self) -> int:
        """The largest number of epochs that a trial may be given."""
        return largest(self.solver.num_epochs)

    def extended(self, trials: int) -> "Experiment":
        """The same experiment with more trials wanted."""
        study = self.study.model_copy(update={"trials": self.study.trials + trials})
        return self.model_copy(update={"study": study})

    def to_yaml(self) -> str:
        """The YAML that reads back as this experiment, every default written out.

        All but the passwords of its stores.
        """
        values = self.model_dump()
        for dotted, address in self.stores.items():
            section, key = dotted.split(".")
            values[section][key] = without_password(address)
        return dump_yaml(values)
