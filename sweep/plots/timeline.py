"""What ran where: a bar for each trial in its worker's lane."""

from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go

from sweep.plots.colors import COLORS, FADED
from sweep.plots.spans import Span
from sweep.trial import State

_MOST_PIXELS = 900  # that all lanes take


def timeline(spans: Sequence[Span]) -> go.Figure:
    """The lanes of all workers, over the time in which the sweep ran."""
    unit, seconds = _unit(max(span.ended_s for span in spans))
    figure = go.Figure()
    lanes = sorted({(span.worker, span.lane) for span in spans}, reverse=True)
    for state in State:
        own = [span for span in spans if span.state is state]
        if own:
            figure.add_trace(_bars(own, state, seconds))
    row = max(6, min(30, _MOST_PIXELS // len(lanes)))
    figure.update_layout(
        title="Workers and their lanes",
        barmode="overlay",
        bargap=0.25,
        height=110 + row * len(lanes),
        xaxis={"title": f"{unit} since the first trial began", "rangemode": "tozero"},
        yaxis={
            "categoryorder": "array",
            "categoryarray": [_name(*lane) for lane in lanes],
            "showgrid": False,
        },
    )
    return figure


def _bars(spans: Sequence[Span], state: State, seconds: float) -> go.Bar:
    lasted = [span.ended_s - span.began_s for span in spans]
    return go.Bar(
        orientation="h",
        y=[_name(span.worker, span.lane) for span in spans],
        base=[round(span.began_s / seconds, 4) for span in spans],
        x=[round(length / seconds, 4) for length in lasted],
        customdata=[
            [span.number, round(length, 1)]
            for span, length in zip(spans, lasted, strict=True)
        ],
        name=state.value.lower(),
        marker={
            "color": COLORS[state],
            "opacity": FADED + 0.2 if state is State.PRUNED else 0.9,
            "line": {"width": 0},
        },
        hovertemplate="trial %{customdata[0]}, %{fullData.name}: "
        "%{customdata[1]} s<extra></extra>",
    )


def _name(worker: str, lane: int) -> str:
    # plotly reads tags in labels; a node's name is whatever its owner called it
    return f"{escape(worker)} lane {lane}"


def _unit(longest_s: float) -> tuple[str, float]:
    for unit, seconds in (("hours", 3600.0), ("minutes", 60.0)):
        if longest_s > 2 * seconds:
            return unit, seconds
    return "seconds", 1.0
