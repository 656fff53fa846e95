"""Multi-view consistency: errors between pairs of frames, one warped onto the other.

Protocols (docs/evaluation.md): G warps by the frozen field's depth and the cameras; A and B by optical flow between the
unstylised renders. Numbers of different protocols do not compare, nor do those of different LPIPS networks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ins3d.evaluation.flow_warp import FlowPair, Valid, protocol_a, protocol_b
from ins3d.evaluation.frames import FrameFolder, Row
from ins3d.evaluation.geometry_warp import warp_by_geometry
from ins3d.evaluation.picture_warp import Warped, rms_error
from ins3d.perception.lpips import InputRange

Protocol = Literal["G", "A", "B"]
LPIPS_RANGE: dict[Protocol, InputRange] = {"G": "-1..1", "A": "-1..1", "B": "0..1"}
"""What pictures are mapped to before LPIPS looks at them; the survey of protocol B feeds it unmapped ones."""
MIN_VALID_SHARE = 0.05
"""Share of valid pixels below which a pair of frames is left out."""

Flow = Callable[[Float[Tensor, "3 height width"], Float[Tensor, "3 height width"]], Float[Tensor, "2 height width"]]
"""Where each pixel of the first picture is in the second; see `evaluation.optical_flow`."""
Warp = Callable[[Float[Tensor, "3 height width"]], Warped]


@dataclass(frozen=True)
class Judges:
    """The networks that some protocols need, None where there is none and nothing is measured by it; and A's rule."""

    flow: Flow | None
    lpips: Callable[..., float] | None
    """See `perception.lpips`."""
    valid: Valid = "consistent"
    """Which pixels count by protocol A."""


def frame_pairs(num_frames: int, gap: int, max_pairs: int) -> list[tuple[int, int]]:
    """(target, source) frames that lie `gap` apart: at most `max_pairs`, evenly spaced.

    >>> frame_pairs(5, 2, 2)
    [(0, 2), (2, 4)]
    """
    targets = torch.linspace(0, num_frames - gap - 1, min(max_pairs, max(num_frames - gap, 0))).round().long().unique()
    return [(target, target + gap) for target in targets.tolist()]


def pair_warps(
    frames: FrameFolder,
    protocols: Sequence[Protocol],
    target: int,
    source: int,
    flow: Flow | None,
    valid: Valid = "consistent",
) -> dict[Protocol, Warp]:
    """By protocol: how pictures of the source frame are brought to the target frame; the same for every row.

    Without a network for optical flow there is G alone.
    """
    warps: dict[Protocol, Warp] = {}
    if "G" in protocols:
        views = frames.view(source), frames.view(target)
        warps["G"] = lambda picture: warp_by_geometry(picture, *views)
    if flow is not None and {"A", "B"} & set(protocols):
        theirs, ours = (frames.picture(Row("unstylised"), frame) for frame in (source, target))
        pair = FlowPair(flow(ours, theirs), flow(theirs, ours))
        warps["A"] = lambda picture: protocol_a(picture, pair, theirs, ours, valid)
        warps["B"] = lambda picture: protocol_b(picture, pair)
    return {protocol: warps[protocol] for protocol in protocols if protocol in warps}


def measure_pair(
    frames: FrameFolder, rows: list[Row], protocols: Sequence[Protocol], target: int, source: int, judges: Judges
) -> list[dict[str, Any]]:
    """One record for each protocol and row: RMSE and LPIPS on valid pixels, and their share; none where too few are."""
    found = []
    for protocol, warp in pair_warps(frames, protocols, target, source, judges.flow, judges.valid).items():
        for row in rows:
            ours, warped = frames.picture(row, target), warp(frames.picture(row, source))
            share = float(warped.valid.float().mean())
            if share < MIN_VALID_SHARE:
                break  # of every row: what is valid depends on the content alone
            record = {"protocol": protocol, "row": row.label, "target": target, "source": source, "valid": share}
            record["rmse"] = rms_error(warped.picture, ours, warped.valid)
            if judges.lpips is not None:
                record["lpips"] = judges.lpips(ours, warped.picture.clamp(0, 1), warped.valid, LPIPS_RANGE[protocol])
            found.append(record)
    return found


def summarise(records: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """By row: means over pairs, and how many there were."""
    found: dict[str, dict[str, float]] = {}
    for label in dict.fromkeys(record["row"] for record in records):
        mine = [record for record in records if record["row"] == label]
        names = [name for name in ("rmse", "lpips", "valid") if name in mine[0]]
        found[label] = {name: sum(record[name] for record in mine) / len(mine) for name in names} | {"pairs": len(mine)}
    return found


def min_ratio(records: list[dict[str, Any]], ours: Row, theirs: Row) -> float | None:
    """The smallest ratio, over pairs of frames, of their RMSE to ours; None without pairs."""
    by_pair: dict[tuple[int, int], dict[str, float]] = {}
    for record in records:
        by_pair.setdefault((record["target"], record["source"]), {})[record["row"]] = record["rmse"]
    both = [errors for errors in by_pair.values() if ours.label in errors and theirs.label in errors]
    return min((errors[theirs.label] / errors[ours.label] for errors in both), default=None)
