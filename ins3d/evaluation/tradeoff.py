"""Style against content of one run or of many: what the trade-off plots of the pages show."""

from itertools import cycle
from typing import Any

from markupsafe import Markup

from ins3d.evaluation.plots import COLORS, FLOOR_COLOR, RUN_COLORS, Point, legend, point_legend, tradeoff_plot

SPOKEN = {
    "gram": "Gram", "remd": "REMD", "coherence": "Coherence", "ssim": "SSIM", "self_similarity": "Self-similarity"
}  # fmt: skip
PLOTS = (("gram", "ssim"), ("remd", "ssim"), ("coherence", "ssim"), ("remd", "self_similarity"))
"""Distance to the style and content kept, at the frames' own size."""
COMPOSITION = PLOTS[:2]
"""At the size where composition shows."""


def tradeoff(reports: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """{legend, plots: [{svg, title}]} for {name: report}; the name is empty where there is one run alone.

    Of one run floors and ceilings have their rows' colours; of several the runs have colours, and those are grey.
    """
    plots = [_plot(reports, -1, *axes) for axes in PLOTS]
    if any(len(sides) > 1 for report in reports.values() for sides in report["brushwork"].values()):
        plots += [_plot(reports, 0, *axes) for axes in COMPOSITION]
    entries = legend(point_legend(_points(reports, -1, *PLOTS[0])))
    return {"legend": [entry | {"key": Markup(entry["key"])} for entry in entries], "plots": plots}


def _plot(reports: dict[str, dict[str, Any]], side: int, distance: str, kept: str) -> dict[str, Any]:
    points = _points(reports, side, distance, kept)
    sizes = dict.fromkeys(list(sides)[side] for report in reports.values() for sides in report["brushwork"].values())
    title = f"{SPOKEN[distance]} and {SPOKEN[kept]}, the painting at {' or '.join(sizes)} pixels"
    return {"svg": Markup(tradeoff_plot(points, SPOKEN[distance], SPOKEN[kept])), "title": title}


def _points(reports: dict[str, dict[str, Any]], side: int, distance: str, kept: str) -> list[Point]:
    """Floors and ceilings first, each once, then the runs."""
    found: dict[tuple[Any, ...], Point] = {}
    for (name, report), color in zip(reports.items(), cycle(RUN_COLORS), strict=False):
        for style, sides in report["brushwork"].items():
            for label, numbers in list(sides.values())[side].items():
                if label != "photographs":
                    value = numbers[kept] if kept in numbers else report["pictures"][label][kept]
                    point = _point(name, color, style, label, numbers[distance], value)
                    found.setdefault((point.label, round(point.distance, 4), round(point.kept, 4)), point)
    return sorted(found.values(), key=lambda point: not point.end)


def _point(name: str, color: str, style: str, label: str, distance: float, kept: float) -> Point:
    kind = label.partition(":")[0].partition(" ")[0]
    if kind == "stylised":
        return Point(f"{name}: {style}" if name else label, style, distance, kept, color)
    told = f"unstylised, against {style}" if kind == "unstylised" else label
    return Point(told, style, distance, kept, FLOOR_COLOR if name else COLORS[kind], end_of=name or "run")
