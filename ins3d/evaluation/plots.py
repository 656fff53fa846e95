"""Plots of the pages, as SVG that takes the page's colour of text, so that it can be read in both themes."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ins3d.evaluation.frames import Row

COLORS = {"photographs": "#8a8a8a", "unstylised": "#2f83c4", "stylised": "#e0690f", "per-frame": "#8a80d8"}
"""Of the kinds of rows: all of them show on white and on black."""
RUN_COLORS = ("#e0690f", "#2f9e6e", "#d4488e", "#2f83c4", "#b08d00", "#8a80d8", "#c0504d", "#5f8f9f")
FLOOR_COLOR = "#8a8a8a"
DASHES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
INK = "#123456"
"""Stands for the page's own colour of text while matplotlib draws."""
TEXT: dict[Any, Any] = {"svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9.0} | dict.fromkeys(
    ("text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color"), INK
)


@dataclass(frozen=True)
class Point:
    """A way to make pictures in a trade-off plot."""

    label: str
    style: str
    """Points of one style have one marker."""
    distance: float
    """To the style: 0 is the painting itself."""
    kept: float
    """Of the content: 1 is all of it."""
    color: str
    end_of: str = ""
    """The run whose floor or ceiling it is; a line joins the two of a style."""

    @property
    def end(self) -> bool:
        """Is it a floor or a ceiling?"""
        return bool(self.end_of)

    def marker(self, styles: Sequence[str]) -> dict[str, Any]:
        """How it is drawn: hollow where it is an end."""
        shape = MARKERS[list(styles).index(self.style) % len(MARKERS)]
        face = "none" if self.end else self.color
        return {"marker": shape, "ms": 7, "mfc": face, "mec": self.color, "mew": 1.6, "linestyle": "", "label": self.label}


def tradeoff_plot(points: Sequence[Point], distance: str, kept: str) -> str:
    """Style against content, as SVG: up and to the left is better; along the line one is paid for with the other."""
    styles = styles_of(points)
    figure, axes = _axes(3.9, 3.1)
    for pair in dict.fromkeys((point.end_of, point.style) for point in points if point.end):
        ends = [(point.distance, point.kept) for point in points if (point.end_of, point.style) == pair]
        axes.plot(*zip(*ends, strict=True), color=FLOOR_COLOR, lw=0.8, ls=":")
    for point in points:
        axes.plot([point.distance], [point.kept], **point.marker(styles))
    axes.margins(0.12)
    axes.set(xlabel=f"{distance}: farther from the painting →", ylabel=f"{kept}: more content →")
    return _svg(figure)


def styles_of(points: Sequence[Point]) -> list[str]:
    """Each once, in their order."""
    return list(dict.fromkeys(point.style for point in points))


def point_legend(points: Sequence[Point]) -> list[dict[str, Any]]:
    """How points are drawn, each label once."""
    styles = styles_of(points)
    return list({point.label: point.marker(styles) for point in points}.values())


def gap_plot(summaries: dict[int, dict[str, dict[str, float]]], rows: list[Row], value: str, title: str) -> str:
    """A number of every row against the gap, as SVG."""
    figure, axes = _axes(3.9, 2.9)
    for row, look in zip(rows, row_legend(rows), strict=True):
        points = [(gap, found[row.label][value]) for gap, found in summaries.items() if value in found.get(row.label, {})]
        if points:
            axes.plot(*zip(*points, strict=True), **look)
    axes.set(title=title, xlabel="gap: frames from one to the other", ylabel=value.upper(), xticks=list(summaries))
    axes.set_ylim(bottom=0)
    return _svg(figure)


def row_legend(rows: list[Row]) -> list[dict[str, Any]]:
    """How each row's line is drawn: a colour for each kind, a dash for each style."""
    styles = list(dict.fromkeys(row.style for row in rows if row.style))
    dashes = {style: DASHES[number % len(DASHES)] for number, style in enumerate(styles)}
    common = {"marker": "o", "ms": 3}
    return [
        common | {"color": COLORS[row.kind], "linestyle": dashes.get(row.style, "-"), "label": row.label} for row in rows
    ]


def legend(looks: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """Each look's label with a small SVG of its line or marker: a legend that wraps with the page."""
    found = []
    for look in looks:
        with rc_context(TEXT):
            figure = Figure(figsize=(0.36, 0.16))
            figure.add_artist(Line2D([0.08, 0.5, 0.92], [0.5] * 3, markevery=[1], **look))
            found.append({"label": look["label"], "key": _svg(figure)})
    return found


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    with rc_context(TEXT):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots()
        axes.grid(alpha=0.15, color=INK)
        axes.set_axisbelow(True)
        axes.set_facecolor("none")
        axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Figure) -> str:
    written = io.StringIO()
    with rc_context(TEXT):
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    return written.getvalue()[written.getvalue().index("<svg") :].replace(INK, "currentColor")
