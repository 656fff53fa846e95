"""What a report says in short: one sentence, and one table of the numbers that defaults are decided by."""

from collections.abc import Iterable
from typing import Any, NamedTuple

SHORT, LONG, VARIANCE, DRIFT = 3.0, 2.0, 0.9, 0.02
"""Aims: per-frame RMSE by ours between neighbours and over longer gaps, colour variance, median depth drift."""
BRUSHWORK = {
    "gram": "Gram, share of the unstylised", "remd": "REMD", "coherence": "stroke coherence", "spectrum": "radial spectrum",
    "ssim": "SSIM to the content",
}  # fmt: skip


class Cell(NamedTuple):
    """One number of one style."""

    name: str
    value: Any
    met: bool | None = None
    """Its aim; None where there is none."""
    aim: str = ""


def overview(report: dict[str, Any]) -> list[dict[str, Any]]:
    """By style: {style, cells}. The cells of every style have the same names, in the same order."""
    return [
        {"style": style, "cells": [*_steadiness(report, style), *_brushwork(report, style), *_pictures(report, style)]}
        for style in report["run"]["styles"]
    ]


def verdict(report: dict[str, Any]) -> str:
    """One sentence: how steady, how near to the painting, how much of the content, how still the geometry, over all styles.

    It names what was measured and no winner: how it looks is for the reader to see.
    """
    styles = report["run"]["styles"]
    parts = [_told_steadiness(report), _told_style(report), _told_recognition(report), _told_geometry(report)]
    return f"{', '.join(styles)}: {'; '.join(filter(None, parts))}."


def against(value: float, aim: float, least: int = 1) -> str:
    """A number with as few decimals, `least` or more, as do not contradict whether it reaches an aim.

    >>> against(1.98, 2.0), against(1.9, 2.0), against(2.04, 2.0), against(0.899, 0.9, 2)
    ('1.98', '1.9', '2.0', '0.899')
    """
    decimals = next((digits for digits in range(least, 6) if (round(value, digits) >= aim) == (value >= aim)), 6)
    return f"{value:.{decimals}f}"


def span(values: Iterable[float], form: str = ".1f") -> str:
    """The smallest and the largest, or what they have in common.

    >>> span([2.04, 1.9]), span([2.01, 2.0])
    ('1.9 to 2.0', '2.0')
    """
    every = list(values)
    ends = dict.fromkeys(format(value, form) for value in (min(every), max(every)))
    return " to ".join(ends)


def _steadiness(report: dict[str, Any], style: str) -> list[Cell]:
    cells = []
    for path, gaps in report["ratios"].items():
        for gap, styles in gaps.items():
            found, wanted = styles[style], _wanted(gap)
            told = f"{against(found['mean'], wanted)}, worst pair {against(found['least'], wanted)}"
            name = f"{path}, gap {gap}: times steadier than per-frame"
            cells.append(Cell(name, told, found["least"] >= wanted, f"{wanted:.0f} or more in every pair"))
    return cells


def _wanted(gap: str) -> float:
    return SHORT if int(gap) == 1 else LONG


def _brushwork(report: dict[str, Any], style: str) -> list[Cell]:
    sides = report["brushwork"][style]
    where = f"at {' / '.join(sides)} px"
    numbers = [rows[f"stylised: {style}"] for rows in sides.values()]
    return [
        Cell(f"{told}, {where}", " / ".join("–" if found[name] is None else f"{found[name]:.3f}" for found in numbers))
        for name, told in BRUSHWORK.items()
    ]


def _pictures(report: dict[str, Any], style: str) -> list[Cell]:
    label = f"stylised: {style}"
    found = report["pictures"][label]
    variance, drift = found["colour_variance"], _drift(report, style)
    cells = [
        Cell("self-similarity to the content", found["self_similarity"]),
        Cell(
            "colour variance / what is possible", against(variance, VARIANCE, 2), variance >= VARIANCE, f"{VARIANCE} or more"
        ),
        Cell("high frequencies / photographs'", found["high_frequency"]),
        Cell("median depth drift", against(drift, DRIFT, 3), drift < DRIFT, f"below {DRIFT}"),
    ]
    nearest = report["recognised"][label]
    if len(next(iter(report["styles"][label].values()))) > 1:
        told = f"{sum(nearest.values())} of {len(nearest)} distances"
        cells.append(Cell("nearest to its own painting", told, all(nearest.values()), "all"))
    return cells


def _drift(report: dict[str, Any], style: str) -> float:
    return max(paths[style]["depth_drift_median"] for paths in report["geometry"].values())


def _told_steadiness(report: dict[str, Any]) -> str:
    found = [
        (ratio["mean"], ratio["least"] >= _wanted(gap))
        for gaps in report["ratios"].values()
        for gap, styles in gaps.items()
        for ratio in styles.values()
    ]
    if not found:
        return "how steady it is beside frames painted one by one was not measured"
    missed = sum(not met for _, met in found)
    aim = f"the aim of {LONG:.0f} to {SHORT:.0f} is " + (
        f"missed in {missed} of {len(found)} cases" if missed else "reached"
    )
    by = report["run"].get("per_frame", "microast")  # the one that there was when reports did not say it
    return (
        f"errors between frames are {span(mean for mean, _ in found)} times smaller than painted one by one by {by} ({aim})"
    )


def _told_style(report: dict[str, Any]) -> str:
    """At the frames' own size."""
    own = {style: list(sides.values())[-1] for style, sides in report["brushwork"].items()}
    ours = [(rows[f"stylised: {style}"], rows["unstylised"]) for style, rows in own.items()]
    gram, remd = (
        span((100 * (1 - found[name] / max(floor[name], 1e-9)) for found, floor in ours), ".0f") for name in ("gram", "remd")
    )
    return (
        f"held-out views are {gram} % nearer to the painting than unstylised by Gram and {remd} % by REMD, with "
        f"SSIM {span((found['ssim'] for found, _ in ours), '.2f')} to the content"
    )


def _told_recognition(report: dict[str, Any]) -> str:
    lost = [style for style in report["run"]["styles"] if not all(report["recognised"][f"stylised: {style}"].values())]
    return f"{' and '.join(lost)} is nearer to another painting by some distance" if lost else ""


def _told_geometry(report: dict[str, Any]) -> str:
    most = max(_drift(report, style) for style in report["run"]["styles"])
    return f"depth moves by {100 * most:.2g} % at most (median)" if most > 0 else "the geometry has not moved"
