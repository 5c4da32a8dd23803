"""Figures for notebooks, and pictures for MLflow."""

import io
from pathlib import Path

import pytest
from optuna.trial import TrialState
from PIL import Image

from stores import Stores
from studies import Made, make_study
from support import make_experiment
from sweep.errors import StoreError
from sweep.experiment import Experiment
from sweep.opening import Opening
from sweep.plots.figures import figures
from sweep.plots.images import images
from sweep.plots.study_data import read_study
from sweep.storage import open_storage, study_key
from sweep.tracking_process import TrackerProcess
from tracked import EMPTY

MAIN = {
    "history",
    "learning_curves",
    "importances",
    "parallel_coordinates",
    "timeline",
}


@pytest.fixture
def experiment(folder: Path) -> Experiment:
    """The digits, with four trials that are complete and one that was pruned."""
    experiment = make_experiment(folder)
    trials = [
        Made(
            TrialState.COMPLETE,
            {"hidden_dim": dim, "learning_rate": rate},
            (0.1, rate + dim / 50),
        )
        for dim, rate in ((4, 0.1), (8, 0.2), (16, 0.4), (10, 0.03))
    ]
    pruned = {"hidden_dim": 5, "learning_rate": 0.02}
    make_study(experiment, [*trials, Made(TrialState.PRUNED, pruned, (0.1,))])
    return experiment


def test_figures_are_named_for_what_they_show(experiment: Experiment) -> None:
    """One for each searched setting, and one for each two of them."""
    drawn = figures(experiment)

    slices = {"slice_hidden_dim", "slice_learning_rate"}
    contours = {name for name in drawn if name.startswith("contour_")}
    assert set(drawn) == MAIN | slices | contours
    assert len(contours) == 1


def test_a_choice_is_no_number(folder: Path) -> None:
    """It has a slice, but is no side of a contour, wherever in the space it stands."""
    rules = "solver.update_rule={choice: [sgd, adam]}"
    experiment = make_experiment(folder, rules)
    trials = [
        Made(
            TrialState.COMPLETE,
            {"hidden_dim": 8, "learning_rate": 0.1 + value, "update_rule": rule},
            (value,),
        )
        for rule, value in (("sgd", 0.1), ("adam", 0.4), ("sgd", 0.2), ("adam", 0.3))
    ]
    make_study(experiment, trials)
    drawn = figures(experiment)

    [contour] = [name for name in drawn if name.startswith("contour_")]
    assert "update_rule" not in contour
    assert "slice_update_rule" in drawn


def test_importances_are_optunas(experiment: Experiment) -> None:
    """They are those of its default evaluator, and add up to one."""
    bars = figures(experiment)["importances"].data[0]

    shares = dict(zip(bars.y, bars.x, strict=True))
    assert shares == read_study(experiment).weights()
    assert sum(shares.values()) == pytest.approx(1.0)


def test_pictures_are_pngs(experiment: Experiment) -> None:
    """Of the main plots, large enough to be read."""
    pictures = images(experiment)

    assert set(pictures) == MAIN
    for content in pictures.values():
        picture = Image.open(io.BytesIO(content))
        assert picture.format == "PNG"
        assert picture.width >= 800


def test_reading_a_study_that_is_not_there_makes_none(folder: Path) -> None:
    """Neither the study nor its database."""
    experiment = make_experiment(folder)
    with pytest.raises(StoreError, match="holds no study named 'digits'"):
        figures(experiment)

    assert not (folder / "optuna.db").exists()


def test_the_trackers_process_draws_while_others_clean_up(
    experiment: Experiment, folder: Path
) -> None:
    """When it has stopped, the plots are with the study's run, and all went well."""
    storage = open_storage(experiment.study.storage)
    key = study_key(storage, storage.get_study_id_from_name(experiment.name))
    said: list[str] = []
    process = TrackerProcess(experiment)
    process.open(Opening(folder / "sweep", {}, read_study(experiment).summary, {}))
    process.close("FINISHED", None)
    process.draw(said.append)
    process.stop()

    assert said == []
    stores = Stores.in_files(folder)
    run, _ = stores.runs()
    assert run.data.tags["sweep.study_key"] == key
    found = stores.client.list_artifacts(run.info.run_id, "plots")
    assert {Path(file.path).name for file in found} == {f"{name}.png" for name in MAIN}


def test_plots_that_cannot_be_drawn_are_a_notice(folder: Path) -> None:
    """Here Optuna's database has no such study; nothing is raised."""
    said: list[str] = []
    process = TrackerProcess(make_experiment(folder))
    process.open(Opening(folder / "sweep", {}, EMPTY, {}))
    process.draw(said.append)
    process.stop()

    [notice] = said
    assert notice.startswith("MLflow has no plots of this study: study.storage: ")
