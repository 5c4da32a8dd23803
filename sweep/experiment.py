"""What an experiment is: the schema of the YAML. Owns pydantic, with config.py."""

import math
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
)

from sweep.paths import without_password
from sweep.settings import (
    as_yaml,
    count_or_auto,
    fraction_or_auto,
    number,
    one_of,
    scalar,
    seconds,
    seconds_or_zero,
    whole,
)
from sweep.space import (
    Choice,
    Condition,
    Distribution,
    FloatRange,
    IntRange,
    Setting,
    Space,
)
from sweep.trial import HParam, HParams
from sweep.yaml_file import dump_yaml

DatasetName = Literal["cifar10", "fashion_mnist", "mnist", "digits", "image_folder"]
NormalizeName = Literal["mean", "channel", "pixel"]
SamplerName = Literal["tpe", "random", "grid", "gp", "cmaes", "qmc"]
PrunerName = Literal["none", "median", "percentile", "hyperband", "asha"]
ValueName = Literal["best_val_accuracy", "last_val_accuracy"]

_YAML = PlainSerializer(as_yaml)
WholeSetting = int | IntRange | Choice
NumberSetting = float | FloatRange | Choice
Positive = Annotated[WholeSetting, PlainValidator(whole(1)), _YAML]
AboveZero = Annotated[NumberSetting, PlainValidator(number(0, exclusive=True)), _YAML]
NotNegative = Annotated[NumberSetting, PlainValidator(number(0)), _YAML]
Decay = Annotated[NumberSetting, PlainValidator(number(0, 1, exclusive=True)), _YAML]
Share = Annotated[NumberSetting, PlainValidator(number(0, below=1)), _YAML]
Count = Annotated[WholeSetting, PlainValidator(whole(0)), _YAML]
UpdateRule = Annotated[
    str | Choice,
    PlainValidator(one_of("sgd", "sgd_momentum", "rmsprop", "adam")),
    _YAML,
]
Schedule = Annotated[
    str | Choice,
    PlainValidator(one_of("constant", "exponential", "step", "cosine")),
    _YAML,
]
# a setting listed here is one of a trial's only while the other has that value
CONDITIONS = {
    "momentum": Condition("update_rule", ("sgd_momentum",)),
    "decay_rate": Condition("update_rule", ("rmsprop",)),
    "beta1": Condition("update_rule", ("adam",)),
    "beta2": Condition("update_rule", ("adam",)),
    "lr_decay": Condition("schedule", ("exponential",)),
    "step_every": Condition("schedule", ("step",)),
    "step_factor": Condition("schedule", ("step",)),
}


class Section(BaseModel):
    """Unknown keys are errors, values are never converted, nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Data(Section):
    """Which images, which are held out for validation, how they become inputs."""

    dataset: DatasetName
    root: str = "data"
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.2
    image_size: Annotated[int, Field(ge=1)] | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    normalize: NormalizeName = "mean"
    flip: bool = False


class HiddenDims(Section):
    """Hidden layers, their number and their widths; either may be a distribution."""

    layers: Positive
    width: Positive


class Model(Section):
    """The network; any setting may be a distribution.

    `hidden_dim` is one hidden layer. `hidden_dims` are several: a list of widths, or
    `layers` and `width` to search them, each layer with a width of its own.
    """

    hidden_dim: Positive | None = None
    hidden_dims: list[Annotated[int, Field(ge=1)]] | HiddenDims | None = None
    weight_scale: AboveZero = 1e-3
    reg: NotNegative = 0.0
    dropout: Share = 0.0

    @property
    def settings(self) -> dict[str, Setting]:
        """Every setting by its own name; several layers are layers, width_1, ..."""
        own = {"weight_scale": self.weight_scale, "reg": self.reg}
        return {**self._hidden, **own, "dropout": self.dropout}

    @property
    def _hidden(self) -> dict[str, Setting]:
        if self.hidden_dims is None:
            return {"hidden_dim": self.hidden_dim or 100}
        if isinstance(self.hidden_dims, list):
            widths = {f"width_{i}": w for i, w in enumerate(self.hidden_dims, 1)}
            return {"layers": len(self.hidden_dims), **widths}
        most = largest(self.hidden_dims.layers)
        widths_ = {f"width_{i}": self.hidden_dims.width for i in range(1, most + 1)}
        return {"layers": self.hidden_dims.layers, **widths_}


class Solver(Section):
    """How the network is trained; any setting may be a distribution."""

    learning_rate: AboveZero = 1e-2
    update_rule: UpdateRule = "sgd"
    momentum: Share = 0.9
    decay_rate: Share = 0.99
    beta1: Share = 0.9
    beta2: Share = 0.999
    schedule: Schedule = "exponential"
    lr_decay: Decay = 1.0
    step_every: Positive = 10
    step_factor: Decay = 0.1
    warmup_epochs: Count = 0
    batch_size: Positive = 100
    num_epochs: Positive = 10


class Study(Section):
    """How many trials, who proposes and stops them, and where they are kept."""

    trials: Annotated[int, Field(ge=1)] = 64
    timeout: Annotated[float | None, BeforeValidator(seconds)] = None
    sampler: SamplerName = "tpe"
    startup_trials: Annotated[int, Field(ge=1)] = 10
    pruner: PrunerName = "hyperband"
    seed: Annotated[int, Field(ge=0)] = 0
    value: ValueName = "best_val_accuracy"
    max_failures: Annotated[int, Field(ge=1)] = 5
    max_lost: Annotated[int, Field(ge=0)] = 3
    storage: Annotated[str, Field(min_length=1)] = "sqlite:///optuna.db"
    folder: Annotated[str, Field(min_length=1)] = "sweeps"
    checkpoint_every: Annotated[float, BeforeValidator(seconds_or_zero)] = 30.0
    enqueue: list[dict[str, Annotated[HParam, PlainValidator(scalar)]]] = []


class Ray(Section):
    """Where the trials run, and how many at a time."""

    address: Annotated[str, Field(min_length=1)] = "local"
    cpus_per_worker: Annotated[int, Field(ge=1)] = 1
    gpus_per_worker: Annotated[
        float | Literal["auto"], BeforeValidator(fraction_or_auto)
    ] = "auto"
    trials_per_worker: Annotated[
        int | Literal["auto"], BeforeValidator(count_or_auto)
    ] = "auto"
    patience: Annotated[float, BeforeValidator(seconds)] = 600.0


class Mlflow(Section):
    """Where the runs are recorded."""

    tracking_uri: Annotated[str, Field(min_length=1)] = "sqlite:///mlflow.db"


class Experiment(Section):
    """One YAML file, checked; its name is the study's and the MLflow experiment's."""

    name: Annotated[str, Field(max_length=500, pattern=r"^\S(.*\S)?$")]
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


def largest(setting: Setting) -> int:
    """The largest whole number that a setting may have."""
    if isinstance(setting, IntRange):
        return setting.high
    options = setting.options if isinstance(setting, Choice) else (setting,)
    return max(int(option) for option in options if not isinstance(option, FloatRange))
