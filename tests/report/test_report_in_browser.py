"""The report in a real Chromium that is cut off from every network."""

from pathlib import Path
from typing import Literal

import pytest

from browser import Browser
from fcnet.image_data import Data
from studies import make_study, random_trials
from support import make_experiment
from sweep.report.command import report

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

WIDE = (
    "model.hidden_dim={int: [32, 1024], log: true}",
    "model.weight_scale={float: [1e-4, 1e-1], log: true}",
    "model.reg={float: [1e-7, 1e-2], log: true}",
    "solver.learning_rate={float: [1e-3, 1.0], log: true}",
    "solver.batch_size={choice: [50, 100, 200]}",
)
DRAW_ALL = """
const done = arguments[0];
Promise.all(plots.map((box) => draw(box, dark.matches))).then(() => done(
  plots.filter((box) => box.querySelector(".main-svg")).map((box) => box.id)));
"""


def write(folder: Path, trials: int, data: Data | None = None) -> Path:
    """The report of a study of so many trials of 20 epochs."""
    experiment = make_experiment(folder, *WIDE)
    make_study(experiment, random_trials(experiment, trials, 20), data)
    stores = (
        f"study.storage={experiment.study.storage}",
        f"mlflow.tracking_uri={experiment.mlflow.tracking_uri}",
    )
    file = folder / "experiment.yaml"
    return report(file, (*stores, *WIDE), folder / "reports").resolve()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_plot_is_drawn_without_a_network(
    browser: Browser, folder: Path, digits: Data, scheme: Literal["light", "dark"]
) -> None:
    """Nothing is complained of on the console, in either scheme of colours."""
    path = write(folder, 24, digits)
    browser.resize(1280, 900, scheme=scheme)
    browser.go_offline()
    browser.open(path.as_uri())
    names = browser.driver.execute_script("return plots.map((box) => box.id)")
    browser.driver.set_script_timeout(120)

    assert browser.driver.execute_async_script(DRAW_ALL) == names
    assert {"history", "timeline", "confusion_matrix"} <= set(names)
    assert browser.errors() == []


def test_plots_are_drawn_as_they_come_into_view(browser: Browser, folder: Path) -> None:
    """At first none that is far below; when people go there, that one."""
    browser.open(write(folder, 24).as_uri())
    drawn = "return document.querySelectorAll('#timeline .main-svg').length"
    assert browser.driver.execute_script(drawn) == 0

    browser.driver.execute_script(
        "document.getElementById('timeline').scrollIntoView({behavior: 'instant'})"
    )
    browser.wait(lambda: browser.driver.execute_script(drawn) > 0, "the timeline")


def test_the_page_fits_a_phone(browser: Browser, folder: Path, digits: Data) -> None:
    """Nothing stands out to the right."""
    path = write(folder, 24, digits)
    browser.resize(390, 844)
    browser.open(path.as_uri())
    browser.driver.set_script_timeout(120)
    browser.driver.execute_async_script(DRAW_ALL)

    width = browser.driver.execute_script("return document.body.scrollWidth")
    assert width <= 390


def test_a_report_of_500_trials_stays_small(browser: Browser, folder: Path) -> None:
    """Less than 10 MB, and every plot is drawn."""
    path = write(folder, 500)
    browser.open(path.as_uri())
    browser.driver.set_script_timeout(240)

    assert path.stat().st_size < 10e6
    assert "importances" in browser.driver.execute_async_script(DRAW_ALL)
    assert browser.errors() == []
