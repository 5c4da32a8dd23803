"""The plots that Optuna draws, in our colours, and with the trials that were pruned."""

from collections.abc import Sequence
from typing import Any

import optuna.visualization
import plotly.graph_objects as go
from optuna.trial import FrozenTrial

from sweep.plots.colors import BEST, COLORS, FADED
from sweep.plots.study_data import StudyData
from sweep.trial import State

ACCURACY = "validation accuracy"
_HOVER = "trial %{customdata}<br>%{x}: <b>%{y:.4f}</b><extra>%{fullData.name}</extra>"


def history(data: StudyData) -> go.Figure:
    """The value of every trial by its number, and the best one so far."""
    plot = optuna.visualization.plot_optimization_history(
        data.study, target_name=ACCURACY
    )
    if plot.data:  # else no trial is complete
        complete, best, _ = plot.data
        complete.update(customdata=complete.x, **_look(State.COMPLETE))
        best.update(name="best so far", line={"color": BEST, "width": 2, "shape": "hv"})
    trials = data.valued(State.PRUNED)
    pruned = _pruned([trial.number for trial in trials], trials)
    figure = go.Figure([pruned, *plot.data], plot.layout)
    figure.update_layout(title="Optimisation history", xaxis_title="trial")
    return figure


def importances(data: StudyData) -> go.Figure:
    """How much of the differences among complete trials each setting explains."""
    figure = optuna.visualization.plot_param_importances(data.study)
    figure.update_traces(marker_color=COLORS[State.COMPLETE], showlegend=False)
    figure.update_layout(
        title="Importance of each setting",
        xaxis={"title": "share of the variance explained", "rangemode": "tozero"},
        yaxis_title=None,
    )
    return figure


def slice_of(data: StudyData, name: str) -> go.Figure:
    """The value of every trial by one of its settings."""
    plot = optuna.visualization.plot_slice(
        data.study, params=[name], target_name=ACCURACY
    )
    complete = plot.data[0]
    numbers = complete.marker.color
    complete.marker = None
    complete.update(customdata=numbers, **_look(State.COMPLETE))
    trials = [t for t in data.valued(State.PRUNED) if name in t.params]
    xs = [trial.params[name] for trial in trials]
    if plot.layout.xaxis.type == "category":
        xs = [repr(x) for x in xs]  # as Optuna spells it
    figure = go.Figure([_pruned(xs, trials), complete], plot.layout)
    figure.update_layout(title=name, showlegend=False)
    return figure


def _look(state: State) -> dict[str, Any]:
    marker = {"color": COLORS[state], "size": 7}
    return {"name": state.value.lower(), "marker": marker, "hovertemplate": _HOVER}


def _pruned(xs: Sequence[Any], trials: Sequence[FrozenTrial]) -> go.Scatter:
    return go.Scatter(
        x=xs,
        y=[trial.value for trial in trials],
        customdata=[trial.number for trial in trials],
        mode="markers",
        opacity=FADED + 0.2,
        **_look(State.PRUNED),
    )
