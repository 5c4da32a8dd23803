"""Loading an experiment: the file and its overrides, with exact errors."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sweep.errors import ConfigError
from sweep.experiment import Experiment, Solver
from sweep.settings import as_yaml, nearest
from sweep.space import Condition, Distribution, Setting
from sweep.yaml_file import Location, YamlFile, read_yaml


def load(path: Path, overrides: Sequence[str] = ()) -> Experiment:
    """Read, override and check an experiment.

    Args:
        path: The YAML file.
        overrides: `dotted.key=value` each, laid over the file.

    Raises:
        ConfigError: naming for each mistake file, line, key, found and allowed.
    """
    return _checked(read_yaml(path, overrides))


def check(values: Mapping[str, Any]) -> Experiment:
    """Check an experiment that was made in Python, as one of a file is.

    Args:
        values: Its sections by name, as dicts or as their classes.

    Raises:
        ConfigError: naming for each mistake key, found and allowed.
    """
    return _checked(YamlFile(Path("Experiment"), dict(values), {}))


def _checked(source: YamlFile) -> Experiment:
    try:
        experiment = Experiment.model_validate(source.values)
    except ValidationError as error:
        problems = [_explain(source, dict(details)) for details in error.errors()]
    else:
        problems = [
            _problem(source, *problem) for problem in _contradictions(experiment)
        ]
        if not problems:
            return experiment
    raise ConfigError("\n".join(dict.fromkeys(problems)))


def _contradictions(experiment: Experiment) -> Iterator[tuple[Location, Any, str]]:
    """Settings that are each right but do not go together: location, found, allowed."""
    space = experiment.space
    for index, queued in enumerate(experiment.study.enqueue):
        for key, value in queued.items():
            location = ("study", "enqueue", index, key)
            if key not in space:
                yield location, key, f"a searched setting: {_names(space)}"
            elif not space[key].contains(value):
                yield location, value, str(space[key])
    if experiment.study.storage == experiment.mlflow.tracking_uri:
        allowed = "a database of its own: Optuna and MLflow both keep a table there"
        yield ("study", "storage"), experiment.study.storage, allowed
    if experiment.model.hidden_dim is not None and experiment.model.hidden_dims:
        found = as_yaml(experiment.model.hidden_dim)
        yield ("model", "hidden_dim"), found, "hidden_dim or hidden_dims, not both"
    for key, distribution in space.items():
        section = "solver" if key in Solver.model_fields else "model"
        condition = experiment.condition(key)
        if condition is not None and not _may_hold(condition, experiment.settings):
            values = " or ".join(map(str, condition.values))
            allowed = f"to be searched only with {condition.key}: {values}"
            yield (section, key), str(distribution), allowed
        if experiment.study.sampler == "grid":
            yield from _not_on_a_grid((section, key), distribution, condition)


def _may_hold(condition: Condition, settings: Mapping[str, Setting]) -> bool:
    setting = settings[condition.key]
    if isinstance(setting, Distribution):
        return any(setting.contains(value) for value in condition.values)
    return setting in condition.values


def _not_on_a_grid(
    location: Location, distribution: Distribution, condition: Condition | None
) -> Iterator[tuple[Location, Any, str]]:
    if not distribution.grid():
        allowed = "with sampler: grid, a choice or a range with a step, no log"
        yield location, str(distribution), allowed
    elif condition is not None:
        allowed = f"with sampler: grid, a constant: it depends on {condition.key}"
        yield location, str(distribution), allowed


def _explain(source: YamlFile, error: dict[str, Any]) -> str:
    location: Location = error["loc"]
    if error["type"] == "extra_forbidden":
        return _unknown_key(source, location)
    if error["type"] == "missing":
        return f"{source.where(location)}: {_dotted(location)}: missing; it is required"
    return _problem(source, location, error["input"], _allowed(error))


def _allowed(error: dict[str, Any]) -> str:
    context = error.get("ctx", {})
    match error["type"]:
        case "literal_error":
            expected = str(context["expected"])
            allowed = expected + _hint(str(error["input"]), expected.split("'")[1::2])
        case "value_error":
            allowed = str(context["error"])
        case "bool_type":
            allowed = "true or false"
        case "string_too_short":
            allowed = "text that is not empty"
        case "string_pattern_mismatch":
            allowed = "text that is not empty and has no space at its ends"
        case "model_type" | "model_attributes_type":
            allowed = "a section of `key: value` lines"
        case _:
            message = str(error["msg"])
            allowed = message.removeprefix("Input should be ").removeprefix("a valid ")
    return allowed


def _unknown_key(source: YamlFile, location: Location) -> str:
    section: Any = Experiment
    for part in location[:-1]:
        section = section.model_fields[part].annotation
    allowed = list(section.model_fields)
    return (
        f"{source.where(location)}: {_dotted(location)}: unknown key; "
        f"allowed: {_names(allowed)}{_hint(str(location[-1]), allowed)}"
    )


def _problem(source: YamlFile, location: Location, found: Any, allowed: str) -> str:
    return (
        f"{source.where(location)}: {_dotted(location)}: "
        f"found {found!r}; allowed: {allowed}"
    )


def _hint(found: str, allowed: Sequence[str]) -> str:
    close = nearest(found, allowed)
    return f" (did you mean {close}?)" if close else ""


def _dotted(location: Location) -> str:
    return ".".join(map(str, location))


def _names(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
