"""The YAML's reference: what it says is what the loader does."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from support import DIGITS
from sweep.config import load
from sweep.errors import ConfigError
from sweep.experiment import Experiment
from sweep.reference.__main__ import write
from sweep.reference.page import reference_page
from sweep.reference.schema import experiment_schema
from sweep.sections import Section
from sweep.yaml_file import read_yaml

ROOT = Path(__file__).parents[2]
EXPERIMENTS = sorted(ROOT.glob("experiments/*.yaml"))
SCHEMA = experiment_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
SECTIONS = {
    name: field.annotation
    for name, field in Experiment.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
}
KEYS = [
    f"{name}.{key}"
    for name, section in SECTIONS.items()
    for key in section.model_fields
]
# what only the loader tells: 2.0 is not whole, ends have an order, the space has names
ONLY_THE_LOADER = ("whole number", "integer", "low <= high", "a searched setting")


@pytest.fixture(scope="session")
def digits_yaml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that is right, for overrides that may be wrong."""
    file = tmp_path_factory.mktemp("reference") / "digits.yaml"
    file.write_text(DIGITS)
    return file


def refusal(file: Path, *overrides: str) -> str | None:
    """What the loader says against a file; None if it takes it."""
    try:
        load(file, overrides)
    except ConfigError as error:
        return str(error)
    return None


def fits(file: Path, *overrides: str) -> bool:
    """Whether the JSON Schema takes a file."""
    return bool(VALIDATOR.is_valid(read_yaml(file, overrides).values))


def test_the_files_in_docs_are_what_the_code_makes(tmp_path: Path) -> None:
    """`make docs` would change nothing."""
    write(tmp_path)

    for made in tmp_path.iterdir():
        committed = ROOT / "docs" / made.name
        assert committed.read_text() == made.read_text(), "run `make docs`"


def test_the_json_schema_is_one() -> None:
    """It fits the dialect that it names."""
    Draft202012Validator.check_schema(SCHEMA)


def test_each_key_has_its_row_with_a_meaning() -> None:
    """Nothing that can be set is missing from the page."""
    page = reference_page(SCHEMA)

    for name, section in SECTIONS.items():
        text = page.partition(f"## {name}\n")[2].partition("\n## ")[0]
        for key, field in section.model_fields.items():
            [row] = [line for line in text.splitlines() if f"| `{key}` |" in line]
            assert field.description
            assert " ".join(field.description.split()) in row


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.name)
def test_each_experiment_that_we_ship_fits_the_schema(file: Path) -> None:
    """And its first line leads editors there."""
    schema = file.read_text().split("\n")[0].partition("$schema=")[2]

    assert fits(file)
    assert json.loads((file.parent / schema).read_text()) == SCHEMA


def test_the_yaml_of_the_readme_fits_the_schema(tmp_path: Path) -> None:
    """What people copy first is not underlined in their editor."""
    text = (
        (ROOT / "README.md").read_text().partition("```yaml\n")[2].partition("```")[0]
    )
    (tmp_path / "readme.yaml").write_text(text)

    assert fits(tmp_path / "readme.yaml")


@pytest.mark.parametrize(
    "override",
    [
        "study.trails=4",
        "study.trials=many",
        "study.trials=0",
        "study.timeout=soon",
        "study.timeout=0s",
        "study.timeout=0",
        "study.checkpoint_every=never",
        "study.checkpoint_every=-1",
        "study.pruner=hyper",
        "study.storage=",
        "study.enqueue=[{hidden_dim: [4]}]",
        "model.hidden_dim=-5",
        "model.hidden_dim={int: [-4, 16]}",
        "model.hidden_dim={int: [4, 8, 16]}",
        "model.hidden_dim={itn: [4, 16]}",
        "model.hidden_dim={float: [4, 16]}",
        "model.hidden_dim={int: [4, 16], log: true, step: 2}",
        "model.hidden_dim={int: [4, 16], step: 0}",
        "model.hidden_dim={choice: []}",
        "model.hidden_dim={choice: [4, 4]}",
        "model.hidden_dims=[5]",
        "model={hidden_dims: []}",
        "model={hidden_dims: [0]}",
        "model={hidden_dims: {layers: 2}}",
        "model={hidden_dims: {layers: 2, widht: 5}}",
        "model.weight_scale=null",
        "model.reg={float: [0, 1], log: true}",
        "model.dropout=1.0",
        "solver.learning_rate={float: [0, 0.5], log: true}",
        "solver.lr_decay=1.5",
        "solver.update_rule=adagrad",
        "solver.update_rule={choice: [sgd, adagrad]}",
        "solver.momentum={float: [0.5, 0.9]}",
        "solver.lr_decay={float: [0.5, 0.9]}\nsolver.schedule=cosine",
        "solver.beta1={float: [0.5, 0.9]}\nsolver.update_rule={choice: [sgd, rmsprop]}",
        "data.normalize=pixels",
        "data.flip=yes",
        "data.filp=true",
        "data.image_size=8",
        "data.validation=1",
        "data=digits",
        "name=' '",
        "ray.gpus_per_worker=1.5",
        "ray.trials_per_worker=0",
        "ray.address=5",
        "notes=none",
    ],
)
def test_what_the_loader_refuses_the_schema_refuses_too(
    digits_yaml: Path, override: str
) -> None:
    """An editor underlines it before it is run."""
    overrides = override.split("\n")

    assert refusal(digits_yaml, *overrides) is not None
    assert not fits(digits_yaml, *overrides)


numbers = st.integers(-3, 300) | st.sampled_from([0.0, 0.5, 0.9, 1.0, 1.5, 64.0, 1e-3])
words = st.sampled_from(
    [
        "auto",
        "sgd",
        "adam",
        "rmsprop",
        "cosine",
        "digits",
        "image_folder",
        "tpe",
        "none",
        "mean",
        "5s",
        "0s",
        "1.5h",
        "5",
    ]
)
scalars = numbers | words | st.booleans() | st.none()
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["int", "float", "choice", "log", "step", "hidden_dim"]),
            inner,
            max_size=3,
        )
        | st.fixed_dictionaries({"layers": inner, "width": inner})
    ),
    max_leaves=5,
)
ranges = st.fixed_dictionaries(
    {}, optional={"log": st.booleans(), "step": numbers}
).flatmap(
    lambda rest: st.builds(
        lambda kind, ends: {kind: ends, **rest},
        st.sampled_from(["int", "float"]),
        st.tuples(numbers, numbers).map(list),
    )
)
choices = st.lists(numbers | words, min_size=1, max_size=3).map(
    lambda options: {"choice": options}
)


@given(st.sampled_from(KEYS), values | ranges | choices, values | choices)
def test_schema_and_loader_agree_on_any_value(
    digits_yaml: Path, key: str, value: Any, other: Any
) -> None:
    """The schema never refuses what runs, and takes little that does not."""
    overrides = [f"{key}={json.dumps(value)}"]
    if key == "solver.momentum":
        overrides.append(f"solver.update_rule={json.dumps(other)}")
    message = refusal(digits_yaml, *overrides)

    if message is None:
        assert fits(digits_yaml, *overrides)
    elif fits(digits_yaml, *overrides):
        assert any(reason in message for reason in ONLY_THE_LOADER), message
