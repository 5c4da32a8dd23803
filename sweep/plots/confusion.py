"""What a network takes for what."""

from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go

_MOST_WRITTEN = 20  # classes whose numbers have room
_HOVER = (
    "is %{y}, taken for %{x}: <b>%{customdata}</b>, %{z:.1%} of the row<extra></extra>"
)


def confusion_matrix(
    counts: Sequence[Sequence[int]], classes: Sequence[str]
) -> go.Figure:
    """The number of images by class and predicted class.

    Args:
        counts: A row for each class, with a number for each predicted class.
        classes: The class names.
    """
    # plotly reads tags in labels; a class is whatever its folder was called
    names = [escape(name) for name in classes]
    cells = go.Heatmap(
        z=[[count / max(sum(row), 1) for count in row] for row in counts],
        x=names,
        y=names,
        customdata=counts,
        texttemplate="%{customdata}" if len(names) <= _MOST_WRITTEN else None,
        xgap=1,
        ygap=1,
        zmin=0,
        zmax=1,
        showscale=False,
        hovertemplate=_HOVER,
    )
    figure = go.Figure(cells)
    side = {"type": "category", "showgrid": False, "dtick": 1}
    figure.update_layout(
        title="Confusion matrix",
        xaxis={"title": "taken for", **side},
        yaxis={"title": "is", "autorange": "reversed", **side},
        height=max(360, min(760, 130 + 40 * len(names))),
    )
    return figure
