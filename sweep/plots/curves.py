"""Learning curves: the validation accuracy of every trial, epoch by epoch."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from optuna.trial import FrozenTrial

from sweep.plots.colors import BEST, COLORS, FADED
from sweep.plots.study_data import StudyData
from sweep.trial import State

_ORDER = (State.PRUNED, State.FAIL, State.WAITING, State.RUNNING, State.COMPLETE)


def learning_curves(data: StudyData) -> go.Figure:
    """A curve for each trial; one trace for each state, which draws fast."""
    figure = go.Figure()
    best = data.best
    for state in _ORDER:
        own = [t for t in data.trials(state) if t.intermediate_values]
        color = COLORS[state]
        opacity = FADED if state is State.PRUNED else 0.75
        if own:
            figure.add_trace(_trace(own, state.value.lower(), color, 1.3, opacity))
    if best is not None:
        name = f"best: trial {best.number}"
        figure.add_trace(_trace([best], name, BEST, 3, 1.0))
    figure.update_layout(
        title="Learning curves",
        xaxis={"title": "epoch", "rangemode": "tozero"},
        yaxis_title="validation accuracy",
        hovermode="closest",
    )
    return figure


def _trace(
    trials: Sequence[FrozenTrial], name: str, color: str, width: float, opacity: float
) -> go.Scatter:
    points: list[tuple[Any, Any, Any]] = []
    for trial in trials:
        curve = sorted(trial.intermediate_values.items())
        points += [(epoch, value, trial.number) for epoch, value in curve]
        points.append((None, None, None))  # lifts the pen
    epochs, values, numbers = zip(*points, strict=True)
    return go.Scatter(
        x=epochs,
        y=values,
        customdata=numbers,
        # a curve of one epoch would not be seen as a line
        mode="lines+markers",
        marker={"size": 3},
        name=name,
        opacity=opacity,
        line={"color": color, "width": width},
        hovertemplate="trial %{customdata}, epoch %{x}: <b>%{y:.4f}</b><extra></extra>",
    )
