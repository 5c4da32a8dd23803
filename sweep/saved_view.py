"""A saved view of MLflow's UI: the trials of a study as a table and as charts.

MLflow keeps the views that people save as tags of its experiment, and opens one that
an address names. This writes the tag, as its UI of version 3.17 does.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from sweep.experiment import Experiment

TRIALS = "Trials, best first"
VIEW_TAG = "mlflow.sharedViewState.trials"
_ACCURACY = "best_val_accuracy"
_MOST_SHOWN = 100  # runs whose curves a browser draws without delay
_MOST_SCATTERED = 12  # settings with a chart of their own: a tag has 20,000 characters

Json = dict[str, Any]


def trials_page(experiment_id: str, *, charts: bool = False) -> str:
    """The address of the view, relative to where MLflow's UI is served."""
    words = {"viewStateShareKey": "trials", "workflowType": "machine_learning"}
    if charts:
        words["compareRunsMode"] = "CHART"
    return f"#/experiments/{experiment_id}/runs?{urlencode(words)}"


def trials_view(experiment: Experiment, parent_run_id: str, now_ms: int) -> str:
    """The value of the tag that is the view.

    Args:
        experiment: Its searched settings are the columns, and have charts.
        parent_run_id: Of the study whose trials are shown.
        now_ms: The time, in milliseconds since 1970.
    """
    columns = [
        "tags.`sweep.state`",
        *[f"metrics.`{key}`" for key in (_ACCURACY, "best_epoch", "seconds")],
        *[f"params.`{key}`" for key in experiment.space],
        "tags.`sweep.worker`",
    ]
    widths = dict.fromkeys(columns, 105) | {f"metrics.`{_ACCURACY}`": 140}
    all_shown = experiment.trials <= _MOST_SHOWN
    state = {
        "searchFilter": f"tags.mlflow.parentRunId = '{parent_run_id}'",
        "orderByKey": f"metrics.`{_ACCURACY}`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": columns,
        "columnWidths": widths,
        "runsHiddenMode": "SHOW_ALL" if all_shown else "FIRST_20_RUNS",
        "isAccordionReordered": True,
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0},
        **_charts(experiment),
    }
    view = {"name": TRIALS, "createdAt": now_ms, "updatedAt": now_ms}
    return json.dumps({**view, "state": json.dumps(state)})


def _charts(experiment: Experiment) -> Json:
    settings, curves, scatters = "settings", "curves", "scatters"
    charts = [
        _chart("LINE", curves, metricKey=key, selectedMetricKeys=[key])
        for key in ("val_accuracy", "train_loss")
    ]
    sections = [_section(curves, "Curves, by epoch", 2)]
    if experiment.space:
        # a trial without one of the settings would not be drawn
        always = [k for k in experiment.space if experiment.condition(k) is None]
        selected = {"selectedParams": always, "selectedMetrics": [_ACCURACY]}
        charts.append(_chart("PARALLEL", settings, **selected, showAllRuns=True))
        charts += [
            _chart("SCATTER", scatters, xaxis=_axis(key, "PARAM"), yaxis=_value())
            for key in list(experiment.space)[:_MOST_SCATTERED]
        ]
        sections.insert(0, _section(settings, "All settings and the accuracy", 1))
        sections.append(_section(scatters, "The accuracy by each setting", 2))
    for number, chart in enumerate(charts):
        chart["uuid"] = f"chart-{number}"
    return {"compareRunCharts": charts, "compareRunSections": sections}


def _chart(kind: str, section: str, **more: Any) -> Json:
    own = {"type": kind, "metricSectionId": section, "runsCountToCompare": _MOST_SHOWN}
    return {**own, "deleted": False, "isGenerated": False, **more}


def _section(key: str, name: str, columns: int) -> Json:
    own = {"uuid": key, "name": name, "display": True, "isReordered": True}
    return {**own, "columns": columns, "cardHeight": 340}


def _axis(key: str, kind: str) -> Mapping[str, str]:
    return {"key": key, "type": kind}


def _value() -> Mapping[str, str]:
    return _axis(_ACCURACY, "METRIC")
