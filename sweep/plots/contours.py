"""The value over two numeric settings.

Optuna's plot is a matrix of all values of one setting by all of the other: for 500
trials, too much for a browser.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from optuna.trial import FrozenTrial
from scipy.interpolate import griddata
from scipy.spatial import QhullError

from sweep.plots.colors import COLORS, FADED
from sweep.plots.study_data import StudyData, is_log
from sweep.trial import State

_CELLS = 40  # of the surface, each way
_COLORS = {"coloraxis": "coloraxis"}
_OUTLINE = {"width": 1, "color": COLORS[State.PRUNED]}
_HOVER = (
    "trial %{customdata[0]}: <b>%{customdata[1]:.4f}</b><br>"
    "%{x:.3g}, %{y:.3g}<extra>%{fullData.name}</extra>"
)


@dataclass(frozen=True)
class _Axis:
    """A numeric setting; its logarithm, if that is what is searched evenly."""

    name: str
    is_log: bool

    def layout(self) -> dict[str, Any]:
        return {"title": self.name, "type": "log" if self.is_log else "linear"}

    def places(self, trials: Sequence[FrozenTrial]) -> list[float]:
        chosen = (float(trial.params[self.name]) for trial in trials)
        return [math.log10(value) if self.is_log else value for value in chosen]

    def values(self, places: NDArray[np.float64]) -> list[float]:
        values = 10.0**places if self.is_log else places
        return [float(f"{value:.6g}") for value in values]


def contour(data: StudyData, x: str, y: str) -> go.Figure:
    """A surface between the complete trials, and all trials on it."""
    across, up = (_Axis(name, is_log(data.distributions[name])) for name in (x, y))
    having = [t for t in data.valued() if x in t.params and y in t.params]
    complete = [t for t in having if t.state.name == State.COMPLETE]
    pruned = [t for t in having if t.state.name == State.PRUNED]
    color = {"color": [trial.value for trial in complete], **_COLORS}
    faded = {"color": COLORS[State.PRUNED], "opacity": FADED}
    figure = go.Figure(
        [
            *_surface(complete, across, up),
            _dots(pruned, across, up, "pruned", faded),
            _dots(complete, across, up, "complete", color),
        ]
    )
    figure.update_layout(
        title=f"{x} and {y}",
        showlegend=False,
        xaxis=across.layout(),
        yaxis=up.layout(),
        coloraxis={"colorbar": {"title": None, "tickformat": ".2f"}},
    )
    return figure


def _surface(
    trials: Sequence[FrozenTrial], across: _Axis, up: _Axis
) -> list[go.Contour]:
    """Linear between trials, nothing outside of them, or where they are in a line."""
    points = np.array([across.places(trials), up.places(trials)])
    if points.size == 0:
        return []
    sides = [np.linspace(side.min(), side.max(), _CELLS) for side in points]
    values = np.array([trial.value for trial in trials])
    cells = tuple(np.meshgrid(*sides))
    try:
        z = griddata(points.T, values, cells, rescale=True)
    except (QhullError, ValueError):
        return []
    return [
        go.Contour(
            x=across.values(sides[0]),
            y=up.values(sides[1]),
            z=np.round(z, 5).tolist(),
            ncontours=12,
            line_width=0,
            hoverinfo="skip",
            showscale=False,
            zmin=values.min(),
            zmax=values.max(),
        )
    ]


def _dots(
    trials: Sequence[FrozenTrial],
    across: _Axis,
    up: _Axis,
    name: str,
    marker: dict[str, Any],
) -> go.Scatter:
    return go.Scatter(
        x=[trial.params[across.name] for trial in trials],
        y=[trial.params[up.name] for trial in trials],
        customdata=[[trial.number, trial.value] for trial in trials],
        mode="markers",
        name=name,
        marker={"size": 7, "line": _OUTLINE, **marker},
        hovertemplate=_HOVER,
    )
