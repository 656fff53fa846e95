"""Style against content of one run or of many: what the trade-off plots of the pages show."""

from typing import Any

from markupsafe import Markup

from ins3d.evaluation.plots import COLORS, FLOOR_COLOR, RUN_COLORS, Point, legend, point_legend, tradeoff_plot

DISTANCES = {"gram": "Gram", "remd": "REMD", "coherence": "Coherence"}
KEPT = {"ssim": "SSIM", "self_similarity": "Self-similarity"}


def tradeoff(reports: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """{legend, plots: [{svg, title}]} for {name: report}: at the frames' own size, then at the one where composition shows.

    Of one run floors and ceilings have their rows' colours; of several the runs have colours, and those are grey.
    """
    plots = [_plot(reports, -1, distance, kept) for distance, kept in (*((each, "ssim") for each in DISTANCES), _OTHER)]
    if any(len(sides) > 1 for report in reports.values() for sides in report["brushwork"].values()):
        plots += [_plot(reports, 0, distance, "ssim") for distance in ("gram", "remd")]
    entries = legend(point_legend(_points(reports, -1, "gram", "ssim")))
    return {"legend": [entry | {"key": Markup(entry["key"])} for entry in entries], "plots": plots}


_OTHER = ("remd", "self_similarity")


def _plot(reports: dict[str, dict[str, Any]], side: int, distance: str, kept: str) -> dict[str, Any]:
    points = _points(reports, side, distance, kept)
    sizes = dict.fromkeys(list(sides)[side] for report in reports.values() for sides in report["brushwork"].values())
    title = f"{DISTANCES[distance]} and {KEPT[kept]}, the painting at {' or '.join(sizes)} pixels"
    return {"svg": Markup(tradeoff_plot(points, DISTANCES[distance], KEPT[kept])), "title": title}


def _points(reports: dict[str, dict[str, Any]], side: int, distance: str, kept: str) -> list[Point]:
    """Floors and ceilings first, each once, then the runs."""
    ends: dict[tuple[Any, ...], Point] = {}
    ours = []
    for (name, report), run_color in zip(reports.items(), _run_colors(len(reports)), strict=True):
        for style, sides in report["brushwork"].items():
            rows = list(sides.values())[side]
            for label, numbers in rows.items():
                kind = label.partition(":")[0]
                if kind == "photographs":
                    continue
                value = numbers[kept] if kept in numbers else report["pictures"][label][kept]
                if kind == "stylised":
                    label = f"{name}: {style}" if name else label
                    ours.append(Point(label, style, numbers[distance], value, run_color))
                else:
                    color = FLOOR_COLOR if name else COLORS[kind]
                    label = f"unstylised, against {style}" if kind == "unstylised" else label
                    point = Point(label, style, numbers[distance], value, color, end=True)
                    ends.setdefault((label, round(point.distance, 4), round(value, 4)), point)
    return [*ends.values(), *ours]


def _run_colors(number: int) -> list[str]:
    return [RUN_COLORS[run % len(RUN_COLORS)] for run in range(number)]
