"""Writes report.json and report.html; the page holds its pictures and needs no network."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ins3d.evaluation.consistency import pair_warps
from ins3d.evaluation.frames import FrameFolder, Row, RowKind
from ins3d.evaluation.measures import Picture
from ins3d.evaluation.pictures import at_most, embedded, error_map, flicker_strip, views
from ins3d.evaluation.plots import gap_plot, legend, row_legend
from ins3d.evaluation.tradeoff import tradeoff
from ins3d.evaluation.verdict import overview, verdict
from ins3d.files.pictures import write_rgb
from ins3d.files.whole import replace_file

JSON, PAGE, PAINTINGS = "report.json", "report.html", "paintings"
SPOKEN = {name: name.upper() for name in ("ssim", "lpips", "remd", "sifid", "swd")} | {
    "gram": "Gram", "self_similarity": "self-similarity", "depth_drift_median": "depth drift, median",
    "depth_drift_p95": "depth drift, 95th percentile", "silhouette_iou": "overlap of silhouettes",
}  # fmt: skip
LARGE, SMALL = 640, 220
"""Long sides in pixels at which pages hold held-out views and paintings, and frames of other paths."""


def write_report(
    output: Path, report: dict[str, Any], frames: Mapping[Any, FrameFolder], paintings: Mapping[str, Picture]
) -> None:
    """Writes report.json, report.html, and the paintings that `ins3d evaluate compare` shows."""
    replace_file(output / JSON, lambda aside: aside.write_text(json.dumps(report, indent=1)))
    for name, painting in paintings.items():
        replace_file(painting_path(output, name), lambda aside, shown=painting: write_rgb(aside, at_most(shown, LARGE)))
    pictures = report_pictures(report, frames, {name: embedded(at_most(each, LARGE)) for name, each in paintings.items()})
    page = render_page(
        "report.html.jinja", report=report, pictures=pictures, overview=overview(report), verdict=verdict(report)
    )
    replace_file(output / PAGE, lambda aside: aside.write_text(page))


def painting_path(output: Path, style: str) -> Path:
    """Where an evaluation keeps the picture of a style."""
    return output / PAINTINGS / f"{style.replace('/', '_')}.png"


def render_page(template: str, **contents: Any) -> str:
    """A page; what is not there is an error, and text cannot become markup."""
    environment = Environment(loader=PackageLoader("ins3d.evaluation", "."), autoescape=True, undefined=StrictUndefined)
    environment.filters |= {"number": number, "spoken": spoken}
    return environment.get_template(template).render(**contents)


def number(value: Any) -> str:
    """As tables show it: three digits, or a dash for what is not measured.

    >>> number(0.12345), number(1234567), number(None), number(0.0)
    ('0.123', '1,234,567', '–', '0')
    """
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or value == 0:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def spoken(name: str) -> str:
    """A number's name as headings have it.

    >>> spoken("depth_drift_p95"), spoken("ssim"), spoken("gram")
    ('depth drift, 95th percentile', 'SSIM', 'Gram')
    """
    return SPOKEN.get(name, name.replace("_", " "))


def row_of(label: str) -> Row:
    """The row that a label names.

    >>> row_of("per-frame adain: wave").network
    'adain'
    """
    first, _, style = label.partition(": ")
    kind, _, network = first.partition(" ")
    return Row(cast(RowKind, kind), style, network)


def report_pictures(
    report: dict[str, Any], frames: Mapping[Any, FrameFolder], paintings: Mapping[str, str]
) -> dict[str, Any]:
    """Everything that is looked at, ready to stand in the page; `paintings` are embedded already."""
    moving = "smooth" if "smooth" in frames else next(iter(report["consistency"]), "held-out")
    every = dict.fromkeys(label for path in report["consistency"] for label in report["rows"][path])
    return {
        "held_out": gallery(frames["held-out"], report["rows"]["held-out"], LARGE, paintings),
        "paths": {path: gallery(frames[path], report["rows"][path], SMALL) for path in frames if path != "held-out"},
        "tradeoff": tradeoff({"": report}),
        "moving": moving,
        "strips": [
            {"row": label, "picture": embedded(flicker_strip(frames[moving], row_of(label)))}
            for label in report["rows"][moving]
        ],
        "legend": [entry | {"key": Markup(entry["key"])} for entry in legend(row_legend(list(map(row_of, every))))],
        "plots": _gap_plots(report),
        "geometry": {f"{path}, {name}": told for path, by in report["geometry"].items() for name, told in by.items()},
        "worst": _worst_pairs(report, frames),
    }


def gallery(
    frames: FrameFolder, labels: list[str], long_side: int, paintings: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Of each row {label, painting, pictures}, style by style, a painting beside what our renders made of it."""
    found = []
    styles = ["", *dict.fromkeys(row_of(label).style for label in labels)]
    for row in sorted(map(row_of, labels), key=lambda each: styles.index(each.style)):
        painting = (paintings or {}).get(row.style) if row.kind == "stylised" else None
        pictures = [embedded(picture) for picture in views(frames, row, long_side=long_side)]
        found.append({"label": row.label, "painting": painting, "pictures": pictures})
    return found


def _gap_plots(report: dict[str, Any]) -> list[dict[str, Any]]:
    """{protocol, svg} for each number of each path and protocol that was measured."""
    plots = []
    for path, protocols in report["consistency"].items():
        rows = [row_of(label) for label in report["rows"][path]]
        for protocol, gaps in protocols.items():
            summaries = {int(gap): by_row for gap, by_row in gaps.items()}
            for value in ("rmse", "lpips"):
                if any(value in numbers for by_row in summaries.values() for numbers in by_row.values()):
                    svg = Markup(gap_plot(summaries, rows, value, f"{path}, protocol {protocol}"))
                    plots.append({"protocol": protocol, "svg": svg})
    return plots


def _worst_pairs(report: dict[str, Any], frames: Mapping[Any, FrameFolder]) -> list[dict[str, Any]]:
    """By style and path: the pair with our largest error by protocol G, and the same pair painted frame by frame."""
    found = []
    for path, protocols in report["pairs"].items():
        records = [record for gap in protocols.get("G", {}).values() for record in gap]
        for style in report["run"]["styles"]:
            ours = [record for record in records if record["row"] == f"stylised: {style}"]
            if not ours:
                continue
            worst = max(ours, key=lambda record: record["rmse"])
            target, source = worst["target"], worst["source"]
            warp = pair_warps(frames[path], ["G"], target, source, None)["G"]
            for record in records:
                same = (record["target"], record["source"]) == (target, source)
                if same and record["row"].endswith(f": {style}"):
                    picture = error_map(frames[path], row_of(record["row"]), target, source, warp)
                    title = f"{record['row']}, {path}, frames {target} and {source}: RMSE {record['rmse']:.3f}"
                    found.append({"title": title, "picture": embedded(picture)})
    return found
