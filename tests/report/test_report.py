"""The report says what the stores say, and nothing in it is taken for HTML."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState
from typer.testing import CliRunner, Result

from fcnet.image_data import Data
from stores import Stores
from studies import Made, make_study
from support import DIGITS, make_experiment
from sweep.cli import app
from sweep.experiment import Experiment
from sweep.model.evaluation import evaluate
from sweep.model.network import best_model
from sweep.report.command import report

NASTY = "</script><script>alert(1)</script>"
COMPLETE, PRUNED, FAIL = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL
RUNNING = TrialState.RUNNING
CONDITIONAL = (
    "solver.update_rule={choice: [sgd_momentum, adam]}",
    "solver.momentum={float: [0.1, 0.9]}",
    "model.hidden_dims={layers: {int: [1, 2]}, width: {int: [4, 16]}}",
    "model.hidden_dim=null",
)


def made(
    state: TrialState, *curve: float, rate: float = 0.1, dim: int = 8, **more: Any
) -> Made:
    return Made(state, {"hidden_dim": dim, "learning_rate": rate}, curve, **more)


SEVERAL = (
    made(COMPLETE, 0.2, 0.5, 0.7, rate=0.1, dim=8),
    made(PRUNED, 0.1, rate=0.01, dim=4),
    made(COMPLETE, 0.3, 0.8125, 0.6, rate=0.2, dim=12),
    made(FAIL, 0.2, reason="Traceback:\n  a line\nRuntimeError: no luck"),
    made(COMPLETE, 0.4, 0.5, 0.6, rate=0.3, dim=16),
    made(COMPLETE, 0.4, 0.6, 0.5, rate=0.05, dim=5),
    made(RUNNING, 0.3),
)


class Page(HTMLParser):
    """A page's elements, texts and the JSON in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.json: dict[str, Any] = {}
        self._texts: list[str] = []
        self._inside: list[tuple[str, dict[str, str | None]]] = []
        self.feed(path.read_text())

    @property
    def text(self) -> str:
        """What people read, with single spaces."""
        return " ".join(" ".join(self._texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        tag, attributes = self._inside[-1] if self._inside else ("", {})
        if tag not in ("script", "style"):
            self._texts.append(data)
        elif attributes.get("type") == "application/json" and data.strip():
            self.json[str(attributes["id"])] = json.loads(data)

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop()[0] != tag:
            pass


def write(experiment: Experiment, folder: Path, *overrides: str) -> Page:
    """The page of an experiment that `make_experiment` made in this folder."""
    stores = (
        f"study.storage={experiment.study.storage}",
        f"mlflow.tracking_uri={experiment.mlflow.tracking_uri}",
    )
    file = folder / "experiment.yaml"
    return Page(report(file, (*stores, *overrides), folder / "reports"))


def figure(page: Page, name: str) -> Any:
    return page.json[f"figure-{name}"]


def test_the_numbers_are_those_of_the_stores(folder: Path) -> None:
    """Counts, the best, history and curves are Optuna's; the timeline is MLflow's."""
    experiment = make_experiment(folder)
    trials = make_study(experiment, SEVERAL)
    page = write(experiment, folder)

    assert (
        "reached 81.25 % validation accuracy on digits: trial 2, epoch 2" in page.text
    )
    assert "complete 4" in page.text
    assert "3: RuntimeError: no luck" not in page.text
    assert "RuntimeError: no luck" in page.text
    assert "a line" in page.text

    pruned, complete, best = figure(page, "history")["data"][:3]
    assert dict(zip(complete["x"], complete["y"], strict=True)) == values(trials)
    assert best["y"][-1] == 0.8125
    assert (pruned["x"], pruned["y"]) == ([1], [0.1])
    for trace in figure(page, "learning_curves")["data"]:
        points = zip(trace["customdata"], trace["x"], trace["y"], strict=True)
        for number, epoch, value in points:
            if number is not None:
                assert trials[number].intermediate_values[epoch] == value

    _, runs = Stores.in_files(folder).runs()
    bars = [
        (number, length)
        for trace in figure(page, "timeline")["data"]
        for number, length in trace["customdata"]
        if trace["name"] != "running"
    ]
    assert dict(bars) == {
        number: run.data.metrics["seconds"]
        for number, run in runs.items()
        if "seconds" in run.data.metrics
    }


def values(trials: list[FrozenTrial]) -> dict[int, float | None]:
    return {t.number: t.value for t in trials if t.state is COMPLETE}


def test_names_and_reasons_are_text(folder: Path) -> None:
    """A name that ends a script and begins another is shown, and is no element."""
    plain, nasty = make_experiment(folder), f"name='{NASTY}'"
    make_study(plain, SEVERAL)
    scripts = sum(tag == "script" for tag, _ in write(plain, folder).tags)
    experiment = make_experiment(folder, nasty)
    make_study(experiment, (*SEVERAL, made(FAIL, reason=f"{NASTY}<img src=x>")))
    page = write(experiment, folder, nasty)

    assert sum(tag == "script" for tag, _ in page.tags) == scripts
    assert not [a for tag, a in page.tags if tag == "img" and a.get("src") == "x"]
    assert page.text.count(NASTY) >= 3
    assert f"{NASTY}<img src=x>" in page.text


@pytest.mark.parametrize(
    ("trials", "overrides", "drawn", "says"),
    [
        ((), (), set(), "No trial is finished yet"),
        ((made(FAIL, reason="so"),), (), set(), "1 failed"),
        ((made(RUNNING),), (), set(), "No trial is finished yet"),
        ((made(RUNNING, 0.3),), (), {"learning_curves", "timeline"}, "0 of 4 trials"),
        (
            (made(PRUNED, 0.3),),
            (),
            {"history", "learning_curves", "parallel_coordinates", "timeline"},
            "No trial is complete yet; 1 was pruned",
        ),
        (
            (made(COMPLETE, 0.5), made(COMPLETE, 0.5)),
            (),
            {"history", "slice_hidden_dim", "contour_hidden_dim_learning_rate"},
            "Importances are unknown",
        ),
        (
            tuple(
                Made(COMPLETE, {"learning_rate": rate}, (rate, 0.5 + rate))
                for rate in (0.1, 0.2, 0.3)
            ),
            ("model.hidden_dim=8",),
            {"history", "importances", "slice_learning_rate"},
            "learning_rate",
        ),
        (
            tuple(
                Made(
                    COMPLETE,
                    {"learning_rate": 0.05 * (i + 1), "layers": 1 + i % 2, "width_1": 5}
                    | ({"width_2": 6} if i % 2 else {})
                    | (
                        {"update_rule": "sgd_momentum", "momentum": 0.2 + i / 10}
                        if i < 3
                        else {"update_rule": "adam"}
                    ),
                    (0.1 * i, 0.5 + i / 20),
                )
                for i in range(6)
            ),
            CONDITIONAL,
            {"importances", "slice_momentum", "slice_update_rule", "slice_width_2"},
            "momentum",
        ),
    ],
    ids=[
        "nothing",
        "failed",
        "running",
        "epoch",
        "pruned",
        "equal",
        "one",
        "conditional",
    ],
)
def test_a_study_in_any_state_has_a_report(
    folder: Path,
    trials: tuple[Made, ...],
    overrides: tuple[str, ...],
    drawn: set[str],
    says: str,
) -> None:
    """What there is nothing to show of is left out, and said."""
    experiment = make_experiment(folder, *overrides)
    make_study(experiment, trials)
    page = write(experiment, folder, *overrides)

    names = {name.removeprefix("figure-") for name in page.json}
    assert drawn <= names
    assert drawn or names == {"templates"}
    assert says in page.text


def test_the_best_network_is_shown_on_the_validation_split(
    folder: Path, digits: Data
) -> None:
    """Until the test split was scored, which the report does not do."""
    experiment = make_experiment(folder)
    make_study(experiment, SEVERAL, digits)
    page = write(experiment, folder)

    cells = figure(page, "confusion_matrix")["data"][0]["customdata"]
    assert sum(map(sum, cells)) == len(digits.y_val)
    assert "validation split" in page.text
    assert "test split" not in page.text.replace("The test split is scored once", "")
    assert sum(a.get("alt", "").startswith("weights") for _, a in images(page)) == 12
    assert f"{right(cells):.2%}".replace("%", " %") in page.text
    parent, _ = Stores.in_files(folder).runs()
    assert "test_accuracy" not in parent.data.metrics


def test_the_test_split_is_shown_once_it_was_scored(folder: Path, digits: Data) -> None:
    """With the accuracy that MLflow has; for another best trial, validation again."""
    experiment = make_experiment(folder)
    make_study(experiment, SEVERAL, digits)
    evaluation, _ = evaluate(best_model(experiment))
    page = write(experiment, folder)

    cells = figure(page, "confusion_matrix")["data"][0]["customdata"]
    assert right(cells) == pytest.approx(evaluation.accuracy)
    assert f"on the test split {100 * evaluation.accuracy:.2f} %" in page.text
    assert "validation split" not in page.text


def images(page: Page) -> list[tuple[str, Any]]:
    return [(tag, attributes) for tag, attributes in page.tags if tag == "img"]


def right(cells: list[list[int]]) -> float:
    return sum(row[i] for i, row in enumerate(cells)) / sum(map(sum, cells))


def test_the_page_asks_for_nothing_from_elsewhere(folder: Path) -> None:
    """No element has an address but in the page itself, and its policy allows none."""
    experiment = make_experiment(folder)
    make_study(experiment, SEVERAL)
    page = write(experiment, folder)

    links = [a.get("src") or a.get("href") for _, a in page.tags]
    assert all(re.match("data:|#", link) for link in links if link)
    policies = [a for _, a in page.tags if a.get("http-equiv")]
    assert "default-src 'none'" in str(policies[0]["content"])


def call(folder: Path, *more: str) -> Result:
    return CliRunner().invoke(app, ["report", str(folder / "experiment.yaml"), *more])


def test_the_command_prints_the_path_and_writes_over_its_own_report(
    folder: Path,
) -> None:
    """By default into reports/, in the folder where it is called."""
    make_study(make_experiment(folder), SEVERAL)
    first, second = call(folder), call(folder)

    path = Path(first.stdout.strip())
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert first.stdout == second.stdout
    assert path.parent == Path("reports")
    assert list(Path("reports").iterdir()) == [path]


def test_what_is_no_report_of_the_study_is_not_written_over(folder: Path) -> None:
    """The message names the file; it stays as it is."""
    make_study(make_experiment(folder), SEVERAL)
    path = Path(call(folder).stdout.strip())
    path.write_text("mine")
    result = call(folder)

    assert result.exit_code == 2
    assert "is not a report of this study" in result.stderr
    assert path.read_text() == "mine"


def test_a_study_that_is_not_there_ends_with_2_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a store nor a report is made."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "experiment.yaml"
    file.write_text(DIGITS)
    result = call(tmp_path)

    assert result.exit_code == 2
    assert "holds no study named 'digits'" in result.stderr
    assert list(tmp_path.iterdir()) == [file]
