"""Colours of all plots: for the colour-blind (Okabe and Ito), on light and on dark."""

from typing import Any, Literal

from sweep.trial import State

Scheme = Literal["light", "dark"]

BEST = "#D55E00"
FADED = 0.35  # how opaque a pruned trial is
COLORS = {
    State.COMPLETE: "#0072B2",
    State.PRUNED: "#8A929C",
    State.FAIL: "#CC79A7",
    State.RUNNING: "#009E73",
    State.WAITING: "#E69F00",
}
# cividis, with the best values where they stand out: dark on light, bright on dark
_SCALE = ("#00224E", "#35456C", "#666970", "#948E77", "#C8B866", "#FEE838")
SCALES: dict[Scheme, tuple[str, ...]] = {
    "light": _SCALE[4::-1],
    "dark": _SCALE[1:],
}
_INK = {"light": "#1B1F24", "dark": "#E7EAEE"}
_MUTED = {"light": "#5B6470", "dark": "#9AA4B1"}
_GRID = {"light": "#E4E7EB", "dark": "#2B313A"}
_CARD = {"light": "#FFFFFF", "dark": "#1A1E24"}
_FULL = {"light": COLORS[State.COMPLETE], "dark": "#56B4E9"}
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"


def template(scheme: Scheme) -> dict[str, Any]:
    """A plotly template; figures have no colours of their own that depend on it."""
    steps = len(SCALES[scheme]) - 1
    scale = [[index / steps, color] for index, color in enumerate(SCALES[scheme])]
    axis = {
        "gridcolor": _GRID[scheme],
        "linecolor": _GRID[scheme],
        "zeroline": False,
        "automargin": True,
        "exponentformat": "power",
        "title": {"font": {"color": _MUTED[scheme], "size": 12}},
        "tickfont": {"color": _MUTED[scheme], "size": 11},
    }
    layout = {
        "font": {"family": _FONT, "size": 12, "color": _INK[scheme]},
        "title": {"x": 0, "xref": "paper", "font": {"size": 15}},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "colorway": list(COLORS.values()),
        "coloraxis": {"colorscale": scale, "colorbar": _colorbar(scheme)},
        "xaxis": axis,
        "yaxis": axis,
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "modebar": {
            "bgcolor": "rgba(0,0,0,0)",
            "color": _MUTED[scheme],
            "activecolor": _FULL[scheme],
        },
        "hoverlabel": {
            "bgcolor": _CARD[scheme],
            "bordercolor": _GRID[scheme],
            "font": {"color": _INK[scheme]},
        },
    }
    # plotly.js 4.1 hangs where a contour shares the colours of `coloraxis`
    contour = [{"colorscale": scale}]
    shares = [[0.0, _CARD[scheme]], [1.0, _FULL[scheme]]]
    data = {"contour": contour, "heatmap": [{"colorscale": shares}]}
    return {"layout": layout, "data": data}


def _colorbar(scheme: Scheme) -> dict[str, Any]:
    font = {"color": _MUTED[scheme], "size": 11}
    return {"thickness": 10, "outlinewidth": 0, "tickfont": font}
