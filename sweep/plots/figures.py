"""All plots of a study as plotly figures, by name."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import combinations

import plotly.graph_objects as go

from sweep.experiment import Experiment
from sweep.plots.colors import template
from sweep.plots.contours import contour
from sweep.plots.curves import learning_curves
from sweep.plots.optuna_plots import history, importances, slice_of
from sweep.plots.parallel import parallel_coordinates
from sweep.plots.spans import Span, read_spans
from sweep.plots.study_data import StudyData, read_study
from sweep.plots.timeline import timeline
from sweep.trial import State

SLICE, CONTOUR = "slice_", "contour_"
Plot = Callable[[], go.Figure]
_MOST_IN_CONTOURS = 3  # settings, the most important ones


def figures(experiment: Experiment) -> dict[str, go.Figure]:
    """Draw all that an experiment's study has something to show for.

    Returns:
        Of `history`, `learning_curves`, `importances`, `parallel_coordinates`,
        `slice_NAME`, `contour_NAME_NAME` and `timeline` those that are not empty.

    Raises:
        StoreError: if there is no such study, or a store cannot be read.
    """
    data = read_study(experiment)
    return draw(data, read_spans(experiment, data.summary.study))


def draw(data: StudyData, spans: Sequence[Span]) -> dict[str, go.Figure]:
    """Draw what there is to show; see `figures`."""
    return {name: plot() for name, plot in plots(data, spans).items()}


def plots(data: StudyData, spans: Sequence[Span]) -> dict[str, Plot]:
    """What there is to show, each drawn when it is called; see `figures`."""
    return {name: partial(_styled, plot) for name, plot in _plots(data, spans)}


def _styled(plot: Plot) -> go.Figure:
    return plot().update_layout(template=template("light"))


def _plots(data: StudyData, spans: Sequence[Span]) -> Iterator[tuple[str, Plot]]:
    if data.valued():
        yield "history", partial(history, data)
    if any(trial.intermediate_values for trial in data.trials()):
        yield "learning_curves", partial(learning_curves, data)
    ranked = data.weights()
    if ranked:
        yield "importances", partial(importances, data)
    if data.searched and data.valued():
        yield "parallel_coordinates", partial(parallel_coordinates, data)
    complete = [trial.params.keys() for trial in data.valued(State.COMPLETE)]
    for name in data.searched:
        if any(name in names for names in complete):
            yield f"{SLICE}{name}", partial(slice_of, data, name)
    numbers = [name for name in ranked or data.searched if name in data.numbers]
    for x, y in combinations(numbers[:_MOST_IN_CONTOURS], 2):
        if any({x, y} <= names for names in complete):
            yield f"{CONTOUR}{x}_{y}", partial(contour, data, x, y)
    if spans:
        yield "timeline", partial(timeline, spans)
