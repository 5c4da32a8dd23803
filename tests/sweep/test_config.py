"""The YAML: what it means, and how mistakes in it are told."""

from pathlib import Path

import pytest

from support import DIGITS, make_experiment
from sweep.config import load
from sweep.errors import ConfigError
from sweep.space import Choice, FloatRange, IntRange

EXPERIMENTS = sorted(Path(__file__).parents[2].glob("experiments/*.yaml"))


def mistake(folder: Path, text: str, *overrides: str) -> str:
    """The message that an experiment is refused with."""
    file = folder / "wrong.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        load(file, overrides)
    return str(error.value).replace(str(folder) + "/", "")


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.name)
def test_each_experiment_that_we_ship_is_valid(file: Path) -> None:
    """Loading it raises nothing, and its name is its own."""
    names = [load(other).name for other in EXPERIMENTS]

    assert names.count(load(file).name) == 1


def test_a_distribution_is_what_makes_a_setting_searched(tmp_path: Path) -> None:
    """Constants are fixed, distributions are the space, both are settings."""
    experiment = make_experiment(tmp_path, "model.reg={choice: [0.0, 1e-3]}")

    assert experiment.space == {
        "hidden_dim": IntRange(4, 16),
        "reg": Choice((0.0, 0.001)),
        "learning_rate": FloatRange(0.01, 0.5, log=True),
    }
    assert experiment.hparams({"hidden_dim": 5})["batch_size"] == 100


def test_images_are_less_their_mean_and_never_mirrored_unless_asked(
    tmp_path: Path,
) -> None:
    """The defaults, and that each may be asked for."""
    plain = make_experiment(tmp_path).data
    asked = make_experiment(tmp_path, "data.normalize=channel", "data.flip=true").data

    assert (plain.normalize, plain.flip) == ("mean", False)
    assert (asked.normalize, asked.flip) == ("channel", True)


def test_yaml_1_2_makes_1e_3_a_number(tmp_path: Path) -> None:
    """Exponents need no dot, and yes is text rather than true."""
    experiment = make_experiment(tmp_path, "model.weight_scale=1e-3", "name=yes")

    assert experiment.settings["weight_scale"] == 0.001
    assert experiment.name == "yes"


def test_the_resolved_yaml_reads_back_as_the_same_experiment(tmp_path: Path) -> None:
    """The copy that is kept in MLflow has the overrides and the defaults in it."""
    experiment = make_experiment(
        tmp_path, "study.timeout=2h", "model.hidden_dim={int: [4, 16], step: 4}"
    )
    copy = tmp_path / "copy.yaml"
    copy.write_text(experiment.to_yaml())

    assert load(copy) == experiment
    assert experiment.study.timeout == 7200.0


def test_a_grid_ends_when_each_point_was_tried(tmp_path: Path) -> None:
    """Trials wanted are at most the points of the grid."""
    grid = ("study.sampler=grid", "solver.learning_rate={choice: [0.1, 0.2]}")

    assert make_experiment(tmp_path, *grid, "study.trials=99").trials == 26
    assert make_experiment(tmp_path, *grid, "study.trials=3").trials == 3


def test_a_setting_is_a_trial_s_only_where_it_has_a_meaning(tmp_path: Path) -> None:
    """Momentum belongs to the rule that has one, a decay to its schedule."""
    rules = "solver.update_rule={choice: [sgd, sgd_momentum]}"
    experiment = make_experiment(tmp_path, rules, "solver.schedule=cosine")

    assert "momentum" not in experiment.hparams({"update_rule": "sgd"})
    with_momentum = experiment.hparams({"update_rule": "sgd_momentum"})
    assert with_momentum["momentum"] == 0.9
    assert not {"lr_decay", "step_every", "beta1"} & with_momentum.keys()


def test_hidden_layers_are_a_list_or_a_number_of_them_with_widths(
    tmp_path: Path,
) -> None:
    """Searched, each layer has a width of its own, there while the layer is."""
    fixed = make_experiment(tmp_path, "model={hidden_dims: [30, 20]}")
    searched = make_experiment(
        tmp_path, "model={hidden_dims: {layers: {int: [1, 3]}, width: {int: [8, 64]}}}"
    )

    hparams = fixed.hparams({})
    assert [hparams[key] for key in ("layers", "width_1", "width_2")] == [2, 30, 20]
    assert "hidden_dim" not in hparams
    assert {"layers", "width_1", "width_2", "width_3"} < searched.space.keys()
    widths = {"width_1": 8, "width_2": 9, "width_3": 10}
    assert "width_2" in searched.hparams({"layers": 2, **widths})
    assert "width_3" not in searched.hparams({"layers": 2, **widths})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "trials: 4",
            "trails: 4",
            "wrong.yaml:11: study.trails: unknown key; allowed: trials, timeout, "
            "sampler, startup_trials, pruner, seed, value, max_failures, max_lost, "
            "storage, folder, checkpoint_every, enqueue (did you mean trials?)",
        ),
        (
            "trials: 4",
            "checkpoint_every: never",
            "wrong.yaml:11: study.checkpoint_every: found 'never'; allowed: seconds, "
            "or text such as 90s, 45m, 2h, 1d",
        ),
        (
            "trials: 4",
            "trials: many",
            "wrong.yaml:11: study.trials: found 'many'; allowed: integer",
        ),
        (
            "{int: [4, 16]}",
            "{int: [16, 4]}",
            "wrong.yaml:4: model.hidden_dim: found {'int': [16, 4]}; allowed: a range "
            "[low, high] with low <= high",
        ),
        (
            "{float: [0.01, 0.5], log: true}",
            "{float: [0, 0.5], log: true}",
            "wrong.yaml:7: solver.learning_rate: found {'float': [0, 0.5], 'log': "
            "True}; allowed: with log: true, a range with low > 0",
        ),
        (
            "{int: [4, 16]}",
            "-5",
            "wrong.yaml:4: model.hidden_dim: found -5; allowed: a whole number >= 1, "
            "or {int: [low, high]}",
        ),
        (
            "{int: [4, 16]}",
            "{int: [-4, 16]}",
            "wrong.yaml:4: model.hidden_dim: found {'int': [-4, 16]}; allowed: a whole "
            "number >= 1",
        ),
        (
            "{int: [4, 16]}",
            "{itn: [4, 16]}",
            "wrong.yaml:4: model.hidden_dim: found {'itn': [4, 16]}; allowed: the keys "
            "int, float, choice, log, step (did you mean int instead of itn?)",
        ),
        (
            "pruner: none",
            "pruner: hyper",
            "wrong.yaml:12: study.pruner: found 'hyper'; allowed: 'none', 'median', "
            "'percentile', 'hyperband' or 'asha' (did you mean hyperband?)",
        ),
        (
            "trials: 4",
            "timeout: soon",
            "wrong.yaml:11: study.timeout: found 'soon'; allowed: seconds, or text "
            "such as 90s, 45m, 2h, 1d",
        ),
        (
            "pruner: none",
            "enqueue:\n    - {hidden_dim: 400}",
            "wrong.yaml:13: study.enqueue.0.hidden_dim: found 400; allowed: "
            "int 4 to 16",
        ),
        (
            "pruner: none",
            "enqueue: [{width: 4}]",
            "wrong.yaml:12: study.enqueue.0.width: found 'width'; allowed: a searched "
            "setting: hidden_dim, learning_rate",
        ),
        (
            "pruner: none",
            "sampler: grid",
            "wrong.yaml:7: solver.learning_rate: found 'float 0.01 to 0.5, log'; "
            "allowed: with sampler: grid, a choice or a range with a step, no log",
        ),
        (
            "pruner: none",
            "storage: sqlite:///mlflow.db",
            "wrong.yaml:12: study.storage: found 'sqlite:///mlflow.db'; allowed: a "
            "database of its own: Optuna and MLflow both keep a table there",
        ),
        (
            "batch_size: 100",
            "momentum: {float: [0.5, 0.9]}",
            "wrong.yaml:8: solver.momentum: found 'float 0.5 to 0.9'; allowed: to be "
            "searched only with update_rule: sgd_momentum",
        ),
        (
            "weight_scale: 0.1",
            "hidden_dims: [5]",
            "wrong.yaml:4: model.hidden_dim: found {'int': [4, 16]}; allowed: "
            "hidden_dim or hidden_dims, not both",
        ),
        (
            "batch_size: 100",
            "update_rule: adagrad",
            "wrong.yaml:8: solver.update_rule: found 'adagrad'; allowed: one of sgd, "
            "sgd_momentum, rmsprop, adam, or {choice: [...]} of them",
        ),
        (
            "name: digits\n",
            "name: ' '\n",
            "wrong.yaml:1: name: found ' '; allowed: text that is not empty and has no "
            "space at its ends",
        ),
        (
            "name: digits\n",
            f"name: {'x' * 501}\n",
            f"wrong.yaml:1: name: found '{'x' * 501}'; allowed: "
            "String should have at most 500 characters",
        ),
        ("name: digits\n", "", "wrong.yaml: name: missing; it is required"),
        (
            "data: {dataset: digits}",
            "data: {dataset: digits, normalize: pixels}",
            "wrong.yaml:2: data.normalize: found 'pixels'; allowed: 'mean', 'channel' "
            "or 'pixel' (did you mean pixel?)",
        ),
        (
            "data: {dataset: digits}",
            "data: {dataset: digits, flip: yes}",
            "wrong.yaml:2: data.flip: found 'yes'; allowed: true or false",
        ),
        (
            "data: {dataset: digits}",
            "data: {dataset: digits, filp: true}",
            "wrong.yaml:2: data.filp: unknown key; allowed: dataset, root, validation, "
            "image_size, seed, normalize, flip (did you mean flip?)",
        ),
        (
            "data: {dataset: digits}",
            "data: {dataset: digits, image_size: 8}",
            "wrong.yaml:2: data.image_size: found 8; allowed: none, but with dataset: "
            "image_folder",
        ),
        (
            "hidden_dim: {int: [4, 16]}",
            "hidden_dims: {layers: 2, width: 8, widht: 8}",
            "wrong.yaml:4: model.hidden_dims.widht: unknown key; allowed: layers, "
            "width (did you mean width?)",
        ),
        (
            "hidden_dim: {int: [4, 16]}",
            "hidden_dims: []",
            "wrong.yaml:4: model.hidden_dims: found []; allowed: a list that is not "
            "empty",
        ),
        (
            "hidden_dim: {int: [4, 16]}",
            "hidden_dims: 2",
            "wrong.yaml:4: model.hidden_dims: found 2; allowed: a list of widths, or a "
            "section of layers and width",
        ),
        (
            "pruner: none",
            "pruner: none\nray: {gpus_per_worker: .inf}",
            "wrong.yaml:13: ray.gpus_per_worker: found inf; allowed: auto, 0, a "
            "fraction of one GPU, or whole GPUs",
        ),
        (
            "data: {dataset: digits}",
            "data: digits",
            "wrong.yaml:2: data: found 'digits'; allowed: a section of `key: value` "
            "lines",
        ),
    ],
)
def test_a_mistake_is_told_with_line_key_found_and_allowed(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    """One line says where it stands, what was found and what would be right."""
    assert old in DIGITS
    assert mistake(tmp_path, DIGITS.replace(old, new)) == message


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """A user who made three need not run three times."""
    text = DIGITS.replace("trials: 4", "trials: 0").replace("num_epochs", "epochs")

    assert mistake(tmp_path, text, "ray.address=5").count("\n") == 2


def test_an_override_is_named_as_the_place_of_its_mistake(tmp_path: Path) -> None:
    """--set is where the user looks, not the file."""
    found = mistake(tmp_path, DIGITS, "solver.batch_size=0")

    assert found.startswith("--set solver.batch_size=0: solver.batch_size: found 0;")
    assert "key=value" in mistake(tmp_path, DIGITS, "solver.batch_size")
    assert "not valid YAML" in mistake(tmp_path, DIGITS, "solver.batch_size=[1")


def test_a_file_that_is_no_experiment_says_what_it_is(tmp_path: Path) -> None:
    """Missing, empty, a list, broken, twice the same key: each has its message."""
    with pytest.raises(ConfigError, match="no such file"):
        load(tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)
    assert "is empty" in mistake(tmp_path, "# nothing but a comment\n")
    assert "allowed: `key: value` lines" in mistake(tmp_path, "- a\n- b\n")
    assert mistake(tmp_path, "name: a\ndata: [1, 2\n").startswith("wrong.yaml:3:1: not")
    assert "duplicate key" in mistake(tmp_path, DIGITS + "name: again\n")


def test_the_written_experiment_has_no_password(tmp_path: Path) -> None:
    """It is kept in MLflow, for all to read; the addresses are told without it."""
    experiment = make_experiment(
        tmp_path,
        "study.storage=postgresql+psycopg://me:secret@host:5/optuna",
        "mlflow.tracking_uri=http://me:secret@host:5000",
    )

    assert "secret" not in experiment.to_yaml()
    assert "postgresql+psycopg://me:***@host:5/optuna" in experiment.to_yaml()
    assert "http://me:***@host:5000" in experiment.to_yaml()
