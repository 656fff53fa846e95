"""Compares finished evaluations: one table, one page."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ins3d.evaluation.frames import FrameFolder
from ins3d.evaluation.judges import network_name
from ins3d.evaluation.pictures import embedded
from ins3d.evaluation.report import JSON, LARGE, gallery, painting_path, render_page
from ins3d.evaluation.settings import Compare
from ins3d.evaluation.tradeoff import tradeoff
from ins3d.evaluation.verdict import overview, verdict
from ins3d.files.pictures import read_rgb
from ins3d.files.whole import replace_file
from ins3d.runs.record import CONSOLE, make_folder

COMMON = ("judge", "lpips", "flow", "per-frame")
SECTIONS = (
    "run",
    "conditions",
    "judges",
    "consistency",
    "ratios",
    "pictures",
    "styles",
    "brushwork",
    "recognised",
    "geometry",
    "cost",
)


def run_compare(settings: Compare) -> None:
    """Writes comparison.json and comparison.html."""
    if len(settings.runs) < 2:
        raise ValueError(f"runs: {len(settings.runs)} is too few to compare; name two or more.")
    folders = tuple(report_folder(run).resolve() for run in settings.runs)
    if len(set(folders)) < len(folders):
        raise ValueError("runs: one is named twice; name every run once.")
    reports = dict(zip(run_names(folders), map(read_report, folders), strict=True))
    table = comparison_table(reports)
    unlike = differences(reports)
    for line in unlike:
        CONSOLE.print(f"These numbers do not compare: {line}", soft_wrap=True)
    make_folder(settings.output)
    told = {"runs": {name: report["run"]["config"] for name, report in reports.items()}, "differ": unlike, "table": table}
    replace_file(settings.output / "comparison.json", lambda aside: aside.write_text(json.dumps(told, indent=1)))
    page = render_page(
        "comparison.html.jinja", told=told, verdicts={name: verdict(report) for name, report in reports.items()},
        galleries=galleries(reports, folders), tradeoff=tradeoff(reports),
    )  # fmt: skip
    replace_file(settings.output / "comparison.html", lambda aside: aside.write_text(page))
    CONSOLE.print(f"Comparison: {settings.output / 'comparison.html'}", soft_wrap=True)


def report_folder(run: Path) -> Path:
    """Where a run's report lies: the folder itself, or `evaluation` in it."""
    for folder in (run, run / "evaluation"):
        if (folder / JSON).is_file():
            return folder
    raise FileNotFoundError(f"runs: there is no {JSON} in {run} or in its folder evaluation; evaluate that run first.")


def read_report(folder: Path) -> dict[str, Any]:
    """What `write_report` wrote."""
    path = folder / JSON
    try:
        report = json.loads(path.read_text())
        _ = [report[section] for section in SECTIONS], report["run"]["styles"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"runs: {path} is not what ins3d evaluate writes; evaluate that run again.") from error
    return report


def run_names(runs: tuple[Path, ...]) -> list[str]:
    """As short as tells them apart: the ends of their paths.

    >>> run_names((Path("fox/three/evaluation"), Path("fern/three/evaluation")))
    ['fox/three', 'fern/three']
    """
    parts = [path.parts[:-1] if path.name == "evaluation" else path.parts for path in map(Path, runs)]
    length = 1
    while len({part[-length:] for part in parts}) < len(parts) and length < max(map(len, parts)):
        length += 1
    return ["/".join(part[-length:]) for part in parts]


def comparison_table(reports: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """One line for each run and style: what the overview says, and the style's own distances and errors."""
    lines = []
    for name, report in reports.items():
        for style in overview(report):
            label = f"stylised: {style['style']}"
            cells = {cell.name: cell.value for cell in style["cells"]}
            cells |= {f"{what} to its style": to[style["style"]] for what, to in report["styles"][label].items()}
            for path, protocols in report["consistency"].items():
                for gap, rows in protocols.get("G", {}).items():
                    if label in rows:
                        cells[f"{path}, gap {gap}: RMSE (G)"] = rows[label]["rmse"]
            cells["seconds per frame"] = report["cost"]["seconds_per_frame"]
            lines.append({"run": name, "style": style["style"], "cells": cells})
    return lines


def differences(reports: dict[str, dict[str, Any]]) -> list[str]:
    """Networks, scenes, paths and sizes that the runs do not share, with each run's: such numbers do not compare."""
    every = reports.values()
    told = {name: [network_name(report["judges"].get(name, "none")) for report in every] for name in COMMON}
    for name in next(iter(every))["conditions"]:
        told[name] = [str(report["conditions"].get(name)) for report in every]
    return [f"{name}: {'; '.join(values)}" for name, values in told.items() if len(set(values)) > 1]


def galleries(reports: dict[str, dict[str, Any]], folders: Sequence[Path]) -> dict[str, list[dict[str, Any]]]:
    """By style: the held-out views of each run whose frames are still there, each scene and the painting once."""
    found: dict[str, list[dict[str, Any]]] = {}
    scenes: set[tuple[str, str]] = set()
    for (name, report), folder in zip(reports.items(), folders, strict=True):
        frames = FrameFolder(folder / "frames" / "held-out")
        for style in report["run"]["styles"] if len(frames) else []:
            rows = found.setdefault(style, [])
            path, painted = painting_path(folder, style), any(row["painting"] for row in rows)
            painting = {style: embedded(read_rgb(path, "runs"))} if path.is_file() and not painted else {}
            if (scene := (style, report["conditions"]["data"])) not in scenes:
                scenes.add(scene)
                rows += gallery(frames, ["unstylised"], LARGE)
            rows += [row | {"label": name} for row in gallery(frames, [f"stylised: {style}"], LARGE, painting)]
    return found
