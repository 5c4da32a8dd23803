"""The kinds of values in the YAML's sections. Owns pydantic, with its neighbours."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from sweep.distributions import as_yaml
from sweep.json_schema import Schema
from sweep.settings import (
    Reader,
    count_or_auto,
    duration,
    fraction_or_auto,
    number,
    one_of,
    scalar,
    whole,
)
from sweep.space import Choice, FloatRange, IntRange
from sweep.trial import HParam


@dataclass(frozen=True, eq=False)
class Read:
    """Has pydantic read and write a value as a reader does, and tell its schema."""

    reader: Reader

    def __get_pydantic_core_schema__(
        self, _source: Any, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.reader.read,
            serialization=core_schema.plain_serializer_function_ser_schema(as_yaml),
        )

    def __get_pydantic_json_schema__(
        self, _core: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> Schema:
        return deepcopy(self.reader.schema)  # pydantic adds a key's default to it


DatasetName = Literal["cifar10", "fashion_mnist", "mnist", "digits", "image_folder"]
NormalizeName = Literal["mean", "channel", "pixel"]
SamplerName = Literal["tpe", "random", "grid", "gp", "cmaes", "qmc"]
PrunerName = Literal["none", "median", "percentile", "hyperband", "asha"]
ValueName = Literal["best_val_accuracy", "last_val_accuracy"]

WholeSetting = int | IntRange | Choice
NumberSetting = float | FloatRange | Choice
Positive = Annotated[WholeSetting, Read(whole(1))]
Count = Annotated[WholeSetting, Read(whole(0))]
AboveZero = Annotated[NumberSetting, Read(number(0, exclusive=True))]
NotNegative = Annotated[NumberSetting, Read(number(0))]
Decay = Annotated[NumberSetting, Read(number(0, 1, exclusive=True))]
Share = Annotated[NumberSetting, Read(number(0, below=1))]
UpdateRule = Annotated[
    str | Choice, Read(one_of("sgd", "sgd_momentum", "rmsprop", "adam"))
]
Schedule = Annotated[
    str | Choice, Read(one_of("constant", "exponential", "step", "cosine"))
]

Duration = Annotated[float, Read(duration())]
DurationOrZero = Annotated[float, Read(duration(zero=True))]
GpuShare = Annotated[float | Literal["auto"], Read(fraction_or_auto())]
Lanes = Annotated[int | Literal["auto"], Read(count_or_auto())]
Scalar = Annotated[HParam, Read(scalar())]
