"""Writes report.json and report.html; the page holds its pictures and needs no network."""

import json
from pathlib import Path
from typing import Any, cast

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ins3d.evaluation.consistency import pair_warps
from ins3d.evaluation.frames import FrameFolder, Row, RowKind
from ins3d.evaluation.pictures import contact_sheet, embedded, error_map, flicker_strip, gap_plot, legend
from ins3d.files.whole import replace_file

JSON, PAGE = "report.json", "report.html"
SHORT, LONG, VARIANCE, DRIFT = 3.0, 2.0, 0.9, 0.02
"""Targets: per-frame RMSE by ours between neighbours and over longer gaps, colour variance, median depth drift."""


def write_report(output: Path, report: dict[str, Any], frames: dict[Any, FrameFolder]) -> None:
    """Writes report.json and report.html."""
    replace_file(output / JSON, lambda aside: aside.write_text(json.dumps(report, indent=1)))
    pictures = report_pictures(report, frames)
    page = render_page("report.html.jinja", report=report, pictures=pictures, overview=overview(report))
    replace_file(output / PAGE, lambda aside: aside.write_text(page))


def render_page(template: str, **contents: Any) -> str:
    """A page; what is not there is an error, and text cannot become markup."""
    environment = Environment(loader=PackageLoader("ins3d.evaluation", "."), autoescape=True, undefined=StrictUndefined)
    environment.filters["number"] = number
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


def row_of(label: str) -> Row:
    """The row that a label names."""
    kind, _, style = label.partition(": ")
    return Row(cast(RowKind, kind), style)


def overview(report: dict[str, Any]) -> list[dict[str, Any]]:
    """By style: the numbers that defaults are decided by, each with whether it meets its target (None: no target)."""
    found = []
    for style in report["run"]["styles"]:
        label = f"stylised: {style}"
        cells: list[tuple[str, Any, bool | None]] = []
        for path, gaps in report["ratios"].items():
            for gap, styles in gaps.items():
                mean, least = styles[style]["mean"], styles[style]["least"]
                wanted = SHORT if int(gap) == 1 else LONG
                cells.append((f"{path}, gap {gap}: per-frame / ours", f"{mean:.1f}, least {least:.1f}", least >= wanted))
        variance = report["pictures"][label]["colour_variance"]
        cells.append(("colour variance / photographs'", variance, variance >= VARIANCE))
        cells.append(("high frequencies / photographs'", report["pictures"][label]["high_frequency"], None))
        drift = max(paths[style]["depth_drift_median"] for paths in report["geometry"].values())
        cells.append(("median depth drift", drift, drift < DRIFT))
        nearest = report["recognised"][label]
        cells.append(
            ("nearest to its own style", f"{sum(nearest.values())} of {len(nearest)} distances", all(nearest.values()))
        )
        found.append({"style": style, "cells": cells})
    return found


def report_pictures(report: dict[str, Any], frames: dict[Any, FrameFolder]) -> dict[str, Any]:
    """Everything that is looked at, ready to stand in the page."""
    shown: dict[str, Any] = {"sheets": [], "strips": [], "plots": [], "worst": []}
    for path, labels in report["rows"].items():
        rows = [row_of(label) for label in labels]
        sheet = contact_sheet(frames[path], rows)
        shown["sheets"].append({"path": path, "rows": labels, "picture": embedded(sheet)})
    moving = "smooth" if "smooth" in frames else next(iter(report["consistency"]), "held-out")
    for label in report["rows"][moving]:
        shown["strips"].append({"row": label, "picture": embedded(flicker_strip(frames[moving], row_of(label)))})
    for path, protocols in report["consistency"].items():
        rows = [row_of(label) for label in report["rows"][path]]
        for protocol, gaps in protocols.items():
            summaries = {int(gap): rows_found for gap, rows_found in gaps.items()}
            for value in ("rmse", "lpips"):
                if any(value in numbers for found in summaries.values() for numbers in found.values()):
                    title = f"{path}, protocol {protocol}"
                    shown["plots"].append(Markup(gap_plot(summaries, rows, value, title)))
    every = dict.fromkeys(label for path in report["consistency"] for label in report["rows"][path])
    shown["legend"] = Markup(legend([row_of(label) for label in every])) if every else ""
    shown["worst"] = _worst_pairs(report, frames)
    return shown


def _worst_pairs(report: dict[str, Any], frames: dict[Any, FrameFolder]) -> list[dict[str, Any]]:
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
