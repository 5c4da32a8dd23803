"""Parallel coordinates: all settings of all trials at once.

Optuna's are a trace for each trial, which is slow, and leave trials out that lack one
of the settings.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial

from sweep.plots.study_data import StudyData, is_log

_ABSENT = "none"


def parallel_coordinates(data: StudyData) -> go.Figure:
    """A line for each trial with a value; drag along an axis to choose among them."""
    values = [float(trial.value or 0.0) for trial in data.valued()]
    accuracy = {"label": "accuracy", "values": values, "tickformat": ".3f"}
    figure = go.Figure(
        go.Parcoords(
            line={"color": values, "coloraxis": "coloraxis"},
            dimensions=[*dimensions(data), accuracy],
        )
    )
    figure.update_layout(
        title="Parallel coordinates",
        coloraxis={"colorbar": {"title": None, "tickformat": ".3f"}},
        margin={"l": 64, "r": 48, "t": 56, "b": 24},
    )
    return figure


def dimensions(data: StudyData) -> list[dict[str, Any]]:
    """An axis for each setting that a trial with a value has, as plotly takes them."""
    trials, of = data.valued(), data.distributions
    tried = {name for trial in trials for name in trial.params}
    names = [name for name in data.searched if name in tried]
    return [_dimension(of[name], name, trials) for name in names]


def _dimension(
    distribution: BaseDistribution, name: str, trials: Sequence[FrozenTrial]
) -> dict[str, Any]:
    """An axis; trials that lack the setting meet at its lower end."""
    chosen = [trial.params.get(name) for trial in trials]
    if isinstance(distribution, CategoricalDistribution):
        ticks = {float(i): str(c) for i, c in enumerate(distribution.choices)}
        places = [
            None if c is None else distribution.to_internal_repr(c) for c in chosen
        ]
        return _axis(name, places, ticks)
    log = is_log(distribution)
    places = [None if c is None else math.log10(c) if log else float(c) for c in chosen]
    return _axis(name, places, _ticks([p for p in places if p is not None], log))


def _axis(
    name: str, places: Sequence[float | None], ticks: dict[float, str]
) -> dict[str, Any]:
    low, high = min(ticks), max(ticks)
    if None in places:
        low -= (high - low) / 8 or 1.0
        ticks = {low: _ABSENT, **ticks}
    return {
        "label": name,
        "values": [low if place is None else place for place in places],
        "range": [low, high] if low < high else [low - 1, high + 1],
        "tickvals": list(ticks),
        "ticktext": list(ticks.values()),
    }


def _ticks(places: Sequence[float], log: bool) -> dict[float, str]:
    """Five places from the lowest to the highest, and what stands there."""
    evenly = sorted(set(np.linspace(min(places), max(places), 5).tolist()))
    return {place: f"{10**place if log else place:.3g}" for place in evenly}
