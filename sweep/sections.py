"""The sections of the YAML: what each key means, what it takes, its default.

The text below a key is what people read of it: docs/reference.md and the JSON Schema
for editors are made from here.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from sweep.json_schema import given_only_with, not_both, searched_only_with
from sweep.kinds import (
    AboveZero,
    Count,
    DatasetName,
    Decay,
    Duration,
    DurationOrZero,
    GpuShare,
    Lanes,
    NormalizeName,
    NotNegative,
    Positive,
    PrunerName,
    SamplerName,
    Scalar,
    Schedule,
    Share,
    UpdateRule,
    ValueName,
)
from sweep.space import Condition, Setting, largest

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
_DEFAULTS = {"update_rule": "sgd", "schedule": "exponential"}


class Section(BaseModel):
    """Unknown keys are errors, values are never converted, nothing changes later."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


class Data(Section):
    """Which images, which are held out for validation, how they become inputs."""

    model_config = ConfigDict(
        json_schema_extra=given_only_with("image_size", "dataset", "image_folder")
    )

    dataset: DatasetName
    """The data set. `digits` is part of scikit-learn, `image_folder` is images of your
    own, the others are downloaded when they are missing."""

    root: str = "data"
    """The folder where the data set lies, or is downloaded to. Of `image_folder`: the
    one that holds `train/<class>/` and, if there are any, `test/<class>/`."""

    validation: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the training split that is held out for validation."""

    image_size: Annotated[int, Field(ge=1)] | None = None
    """Rows and columns, in pixels, that every image of an `image_folder` is resized to.
    Without it they must have one size already."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Of the draw that decides which images are held out."""

    normalize: NormalizeName = "mean"
    """How bytes become inputs. `mean`: from 0 to 1, less the mean of their channel.
    `channel`: also divided by its standard deviation. `pixel`: each value by a mean and
    a deviation of its own. Measured on the images to train on alone."""

    flip: bool = False
    """Whether each image is mirrored, left to right, with probability 1/2 in
    training."""


class HiddenDims(Section):
    """Several hidden layers, their number and their widths."""

    layers: Positive
    """Hidden layers."""

    width: Positive
    """Units of a hidden layer. Searched, each layer has one of its own: `width_1`,
    `width_2`, ..., each there while the layer is."""


def _list_or_section(value: Any) -> str | None:
    if isinstance(value, list):
        return "<list>"
    return "<section>" if isinstance(value, dict | HiddenDims) else None


Widths = Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]
HiddenLayers = Annotated[
    Annotated[Widths, Tag("<list>")] | Annotated[HiddenDims, Tag("<section>")],
    Discriminator(
        _list_or_section,
        custom_error_type="hidden_layers",
        custom_error_message="a list of widths, or a section of layers and width",
    ),
]


class Model(Section):
    """The network: `hidden_dim` units in one hidden layer, or `hidden_dims` in several.

    At most one of the two is given.
    """

    model_config = ConfigDict(json_schema_extra=not_both("hidden_dim", "hidden_dims"))

    hidden_dim: Positive | None = None
    """Units of the one hidden layer; 100 where neither this nor `hidden_dims` is
    given."""

    hidden_dims: HiddenLayers | None = None
    """Units of each hidden layer, such as `[512, 256]`, or `layers` and `width` to
    search them."""

    weight_scale: AboveZero = 1e-3
    """Standard deviation of the first weights. Biases begin at zero."""

    reg: NotNegative = 0.0
    """Strength of the L2 penalty: `reg * (sum W1² + sum W2² + ...)` is added to the
    loss, without a factor of one half."""

    dropout: Share = 0.0
    """Probability of dropping a hidden unit in training."""

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
    """How the network is trained."""

    model_config = ConfigDict(
        json_schema_extra={
            "allOf": [
                searched_only_with(key, condition, _DEFAULTS[condition.key])
                for key, condition in CONDITIONS.items()
            ]
        }
    )

    learning_rate: AboveZero = 1e-2
    """The learning rate, which the schedule multiplies."""

    update_rule: UpdateRule = _DEFAULTS["update_rule"]
    """How weights move along their gradient."""

    momentum: Share = 0.9
    """Share of the last step that is taken again."""

    decay_rate: Share = 0.99
    """Of the moving average of squared gradients, in each iteration."""

    beta1: Share = 0.9
    """Decay of the moving average of gradients, in each iteration."""

    beta2: Share = 0.999
    """Decay of the moving average of squared gradients, in each iteration."""

    schedule: Schedule = _DEFAULTS["schedule"]
    """What the learning rate is multiplied by in each epoch. `constant`: 1.
    `exponential`: `lr_decay` to the power of the finished epochs. `step`: `step_factor`
    once every `step_every` epochs. `cosine`: half a cosine, from 1 to 0 after the last
    epoch."""

    lr_decay: Decay = 1.0
    """The learning rate's factor after each epoch."""

    step_every: Positive = 10
    """Epochs from one step to the next."""

    step_factor: Decay = 0.1
    """The learning rate's factor at each step."""

    warmup_epochs: Count = 0
    """Epochs in which the learning rate first rises linearly; the schedule follows."""

    batch_size: Positive = 100
    """Images in a minibatch."""

    num_epochs: Positive = 10
    """Epochs of a trial: passes over the training split."""


class Study(Section):
    """How many trials, who proposes and stops them, and where they are kept."""

    trials: Annotated[int, Field(ge=1)] = 64
    """Trials wanted in all: COMPLETE and PRUNED count, FAIL does not. A grid ends when
    each of its points was tried."""

    timeout: Duration | None = None
    """Seconds after which no trial is begun, counted from the start of each `run`."""

    sampler: SamplerName = "tpe"
    """Optuna's sampler, which proposes trials. `grid` takes choices and ranges with a
    step alone."""

    startup_trials: Annotated[int, Field(ge=1)] = 10
    """Trials that `tpe`, `gp` and `cmaes` draw at random before they learn."""

    pruner: PrunerName = "hyperband"
    """Optuna's pruner, which stops trials early, looking once an epoch. `percentile`
    keeps the best quarter."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Of the sampler, the first weights, the minibatches, flips and dropout. All trials
    of a study share it."""

    value: ValueName = "best_val_accuracy"
    """The one number that is told to Optuna: validation accuracy of a trial's best
    epoch, or of its last."""

    max_failures: Annotated[int, Field(ge=1)] = 5
    """Failed trials in a row that end the sweep."""

    max_lost: Annotated[int, Field(ge=0)] = 3
    """How many times a trial goes on after its worker was lost; then it is FAIL."""

    storage: Annotated[str, Field(min_length=1)] = "sqlite:///optuna.db"
    """The database of the study, as SQLAlchemy spells it: `sqlite:///FILE` or
    `postgresql+psycopg://USER:PASSWORD@HOST:PORT/NAME`."""

    folder: Annotated[str, Field(min_length=1)] = "sweeps"
    """The folder for trials in training and for what MLflow does not have yet; each
    study has its own in it, which is removed when it is done."""

    checkpoint_every: DurationOrZero = 30.0
    """Seconds from one saved state of a trial in training to the next; 0 saves after
    each epoch."""

    enqueue: list[dict[str, Scalar]] = []
    """Trials that are tried first: of searched settings some or all, the sampler
    proposes the rest."""


class Ray(Section):
    """Where the trials run, and how many at a time."""

    address: Annotated[str, Field(min_length=1)] = "local"
    """`local` starts a Ray of this machine alone; `auto` and `host:port` join a cluster
    that runs."""

    cpus_per_worker: Annotated[int, Field(ge=1)] = 1
    """CPU cores of a worker; also its threads."""

    gpus_per_worker: GpuShare = "auto"
    """GPUs of a worker: 0, a fraction of one, or whole ones. `auto`: one if there is
    any."""

    trials_per_worker: Lanes = "auto"
    """Trials that a worker trains at a time, as one pack. `auto`: as many as prove
    fastest on its device, and with a sampler that learns no more than a quarter of the
    study at once."""

    patience: Duration = 600.0
    """Seconds that a worker may take for an epoch of its trials before it counts as
    lost."""


class Mlflow(Section):
    """Where the runs are recorded."""

    tracking_uri: Annotated[str, Field(min_length=1)] = "sqlite:///mlflow.db"
    """A database of its own, or `http://HOST:PORT` of an MLflow server."""
