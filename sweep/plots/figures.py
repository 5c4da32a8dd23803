"""All plots of a study as plotly figures, by name."""

from collections.abc import Iterator, Sequence
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
    drawn = dict(_plots(data, spans))
    for figure in drawn.values():
        figure.update_layout(template=template("light"))
    return drawn


def _plots(data: StudyData, spans: Sequence[Span]) -> Iterator[tuple[str, go.Figure]]:
    if data.valued():
        yield "history", history(data)
    if any(trial.intermediate_values for trial in data.trials()):
        yield "learning_curves", learning_curves(data)
    ranked = data.weights()
    if ranked:
        yield "importances", importances(data)
    if data.searched and data.valued():
        yield "parallel_coordinates", parallel_coordinates(data)
    complete = [trial.params.keys() for trial in data.valued(State.COMPLETE)]
    for name in data.searched:
        if any(name in names for names in complete):
            yield f"{SLICE}{name}", slice_of(data, name)
    numbers = [name for name in ranked or data.searched if name in data.numbers]
    for x, y in combinations(numbers[:_MOST_IN_CONTOURS], 2):
        if any({x, y} <= names for names in complete):
            yield f"{CONTOUR}{x}_{y}", contour(data, x, y)
    if spans:
        yield "timeline", timeline(spans)
