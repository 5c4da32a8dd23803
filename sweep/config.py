"""Loading an experiment: the file and its overrides, with exact errors."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from sweep.distributions import as_yaml, nearest
from sweep.errors import ConfigError
from sweep.experiment import Experiment
from sweep.sections import Section, Solver
from sweep.space import Condition, Distribution, Setting
from sweep.yaml_file import Location, YamlFile, read_yaml

_Contradiction = tuple[Location, Any, str]  # where, found, allowed


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


def _contradictions(experiment: Experiment) -> Iterator[_Contradiction]:
    """Settings that are each right but do not go together."""
    yield from _wrong_company(experiment)
    yield from _wrong_queue(experiment)
    yield from _wrong_search(experiment)


def _wrong_company(experiment: Experiment) -> Iterator[_Contradiction]:
    data, model, study = experiment.data, experiment.model, experiment.study
    if data.image_size is not None and data.dataset != "image_folder":
        allowed = "none, but with dataset: image_folder"
        yield ("data", "image_size"), data.image_size, allowed
    if None not in (model.hidden_dim, model.hidden_dims):
        found = as_yaml(model.hidden_dim)
        yield ("model", "hidden_dim"), found, "hidden_dim or hidden_dims, not both"
    if study.storage == experiment.mlflow.tracking_uri:
        allowed = "a database of its own: Optuna and MLflow both keep a table there"
        yield ("study", "storage"), study.storage, allowed


def _wrong_queue(experiment: Experiment) -> Iterator[_Contradiction]:
    space = experiment.space
    for index, queued in enumerate(experiment.study.enqueue):
        for key, value in queued.items():
            location = ("study", "enqueue", index, key)
            if key not in space:
                yield location, key, f"a searched setting: {_names(space)}"
            elif not space[key].contains(value):
                yield location, value, str(space[key])


def _wrong_search(experiment: Experiment) -> Iterator[_Contradiction]:
    for key, distribution in experiment.space.items():
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
) -> Iterator[_Contradiction]:
    if not distribution.grid():
        allowed = "with sampler: grid, a choice or a range with a step, no log"
        yield location, str(distribution), allowed
    elif condition is not None:
        allowed = f"with sampler: grid, a constant: it depends on {condition.key}"
        yield location, str(distribution), allowed


def _explain(source: YamlFile, error: dict[str, Any]) -> str:
    # <list> or <section> tells of which kind a value was, and is no key
    location: Location = tuple(p for p in error["loc"] if not str(p).startswith("<"))
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
        case "too_short":
            allowed = "a list that is not empty"
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
    section: type[Section] = Experiment
    for part in location[:-1]:
        section = next(_sections(section.model_fields[str(part)].annotation))
    allowed = list(section.model_fields)
    return (
        f"{source.where(location)}: {_dotted(location)}: unknown key; "
        f"allowed: {_names(allowed)}{_hint(str(location[-1]), allowed)}"
    )


def _sections(annotation: Any) -> Iterator[type[Section]]:
    """The sections that a value may be, of all that it may be."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for part in get_args(annotation):
        yield from _sections(part)


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
