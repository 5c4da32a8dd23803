"""Writes what a report says into its page, with everything in it escaped."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from sweep.plots.colors import template
from sweep.plots.figures import CONTOUR, SLICE
from sweep.report.contents import Contents
from sweep.words import duration, short

# what tells whose report a file is; first in its head
STUDY_TAG = '<meta name="sweep-study" content="{key}">'


def render(contents: Contents) -> str:
    """The page, with all that it needs in it."""
    environment = Environment(
        loader=PackageLoader("sweep.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = {"setting": short, "duration": duration, "moment": _moment}
    environment.filters |= filters
    source = environment.loader.get_source if environment.loader else None
    assert source is not None
    figures = contents.figures
    return environment.get_template("report.html").render(
        contents=contents,
        study_tag=Markup(STUDY_TAG.format(key=Markup.escape(contents.key))),
        style=Markup(source(environment, "report.css")[0]),
        script=Markup(source(environment, "report.js")[0]),
        plotly=Markup(get_plotlyjs()),
        templates=_json({"light": template("light"), "dark": template("dark")}),
        figures={name: _figure_json(figure) for name, figure in figures.items()},
        heights={name: figure.layout.height for name, figure in figures.items()},
        slices=[name for name in figures if name.startswith(SLICE)],
        contours=[name for name in figures if name.startswith(CONTOUR)],
    )


def _figure_json(figure: go.Figure) -> Markup:
    """A figure without what the page gives it: its title and its colours."""
    plain: dict[str, Any] = json.loads(figure.to_json())
    for key in ("template", "title", "height"):
        plain["layout"].pop(key, None)
    return _json(plain)


def _json(plain: Mapping[str, Any]) -> Markup:
    """JSON that no browser takes for anything else."""
    text = json.dumps(plain, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
