"""The main plots of a study as PNG, for MLflow. The only file that knows matplotlib."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from optuna.trial import FrozenTrial

from sweep.experiment import Experiment
from sweep.plots.colors import BEST, COLORS, FADED, SCALES
from sweep.plots.parallel import dimensions
from sweep.plots.spans import Span, read_spans
from sweep.plots.study_data import StudyData, read_study
from sweep.trial import State

_STYLE: Any = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9AA4B1",
    "axes.labelcolor": "#5B6470",
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E7EB",
    "xtick.color": "#5B6470",
    "ytick.color": "#5B6470",
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}
_ACCURACY = "validation accuracy"


def images(experiment: Experiment) -> dict[str, bytes]:
    """Draw the plots that an experiment's study has something to show for.

    Returns:
        PNGs by name: `history`, `learning_curves`, `importances`,
        `parallel_coordinates`, `timeline`.

    Raises:
        StoreError: if there is no such study, or a store cannot be read.
    """
    data = read_study(experiment)
    spans = read_spans(experiment, data.summary.study)
    drawn: dict[str, Callable[[Axes], None]] = {}
    if data.valued():
        drawn["history"] = lambda axes: _history(axes, data)
    if any(trial.intermediate_values for trial in data.trials()):
        drawn["learning_curves"] = lambda axes: _learning_curves(axes, data)
    ranked = data.weights()
    if ranked:
        drawn["importances"] = lambda axes: _importances(axes, ranked)
    if data.valued() and data.searched:
        drawn["parallel_coordinates"] = lambda axes: _parallel(axes, data)
    if spans:
        drawn["timeline"] = lambda axes: _timeline(axes, spans)
    return {name: _png(draw) for name, draw in drawn.items()}


def _png(draw: Callable[[Axes], None]) -> bytes:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(9, 5), dpi=110)
        draw(figure.subplots())
        file = io.BytesIO()
        figure.savefig(file, format="png")
    return file.getvalue()


def _history(axes: Axes, data: StudyData) -> None:
    for state in (State.PRUNED, State.COMPLETE):
        trials = data.valued(state)
        alpha = FADED + 0.2 if state is State.PRUNED else 1.0
        numbers = [trial.number for trial in trials]
        values = [trial.value or 0.0 for trial in trials]
        look: Any = {
            "color": COLORS[state],
            "alpha": alpha,
            "label": state.value.lower(),
        }
        axes.plot(numbers, values, "o", markersize=5, **look)
    best, numbers, values = 0.0, [], []
    for trial in data.valued(State.COMPLETE):
        best = max(best, trial.value or 0.0)
        numbers.append(trial.number)
        values.append(best)
    line: Any = {"color": BEST, "linewidth": 2, "label": "best so far"}
    axes.plot(numbers, values, drawstyle="steps-post", **line)
    axes.set(title="Optimisation history", xlabel="trial", ylabel=_ACCURACY)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower right")


def _learning_curves(axes: Axes, data: StudyData) -> None:
    for state in (State.PRUNED, State.FAIL, State.RUNNING, State.COMPLETE):
        alpha = FADED if state is State.PRUNED else 0.75
        for trial in data.trials(state):
            _curve(axes, trial, color=COLORS[state], linewidth=1.2, alpha=alpha)
    if data.best is not None:
        label = f"best: trial {data.best.number}"
        _curve(axes, data.best, color=BEST, linewidth=2.5, label=label)
        axes.legend(loc="lower right")
    axes.set(title="Learning curves", xlabel="epoch", ylabel=_ACCURACY)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _curve(axes: Axes, trial: FrozenTrial, **look: Any) -> None:
    curve = sorted(trial.intermediate_values.items())
    marker = "." if len(curve) == 1 else ""
    epochs, values = [epoch for epoch, _ in curve], [value for _, value in curve]
    axes.plot(epochs, values, marker=marker, **look)


def _importances(axes: Axes, ranked: Mapping[str, float]) -> None:
    names, shares = list(ranked)[::-1], list(ranked.values())[::-1]
    bars = axes.barh(names, shares, color=COLORS[State.COMPLETE], height=0.6)
    axes.bar_label(bars, [f"{share:.2f}" for share in shares], padding=4)
    axes.set(title="Importance of each setting", xlim=(0, max(shares) * 1.12))
    axes.grid(visible=False, axis="y")


def _parallel(axes: Axes, data: StudyData) -> None:
    """A line for each trial, every axis from 0 to 1, the best drawn last."""
    every = dimensions(data)
    columns = [_scaled(axis["values"], *axis["range"]) for axis in every]
    values = [trial.value or 0.0 for trial in data.valued()]
    lines = [list(enumerate(line)) for line in zip(*columns, strict=True)]
    order = sorted(range(len(lines)), key=lambda index: values[index])
    scale = LinearSegmentedColormap.from_list("scale", SCALES["light"])
    drawn = LineCollection([lines[i] for i in order], cmap=scale, alpha=0.8)
    drawn.set_array([values[i] for i in order])
    axes.add_collection(drawn)
    axes.figure.colorbar(drawn, ax=axes, label=_ACCURACY, pad=0.02)
    for place, axis in enumerate(every):
        at = _scaled(axis["tickvals"], *axis["range"])
        for height, text in zip(at, axis["ticktext"], strict=True):
            axes.annotate(text, (place, height), fontsize=7, color="#5B6470")
    axes.set(title="Parallel coordinates", xlim=(-0.2, len(every) - 0.6))
    axes.set(ylim=(-0.05, 1.08), yticks=[])
    axes.set_xticks(range(len(every)), [axis["label"] for axis in every])


def _scaled(places: Sequence[float], low: float, high: float) -> list[float]:
    return [(place - low) / (high - low) for place in places]


def _timeline(axes: Axes, spans: Sequence[Span]) -> None:
    lanes = sorted({(span.worker, span.lane) for span in spans}, reverse=True)
    for state in State:
        own = [span for span in spans if span.state is state]
        axes.barh(
            [lanes.index((span.worker, span.lane)) for span in own],
            [(span.ended_s - span.began_s) / 60 for span in own],
            left=[span.began_s / 60 for span in own],
            height=0.75,
            color=COLORS[state],
            alpha=FADED + 0.2 if state is State.PRUNED else 0.9,
            label=state.value.lower() if own else None,
        )
    axes.set(title="Workers and their lanes", xlabel="minutes")
    names = [f"{worker} lane {lane}" for worker, lane in lanes]
    axes.set_yticks(
        range(len(lanes)), names, fontsize=max(3, min(10, 300 / len(lanes)))
    )
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
