"""Figures of the report: contact sheets, flicker strips, error maps, plots."""

import base64
import io
from typing import Any

import imageio.v3 as imageio
import torch
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor
from torchvision.utils import make_grid

from ins3d.evaluation.consistency import Warp
from ins3d.evaluation.frames import FrameFolder, Row
from ins3d.files.pictures import resize_long_side, rgb_bytes

MAX_ERROR = 0.3
"""RMS error of a pixel that is shown brightest."""
COLORS = {"photographs": "#4c4c4c", "unstylised": "#1f77b4", "stylised": "#d95f02", "per-frame": "#7570b3"}
DASHES = ("-", "--", ":", "-.")


def contact_sheet(
    frames: FrameFolder, rows: list[Row], max_frames: int = 5, long_side: int = 220
) -> Float[Tensor, "3 height width"]:
    """A line of small pictures for each row: at most `max_frames`, evenly spaced along the path."""
    chosen = torch.linspace(0, len(frames) - 1, min(max_frames, len(frames))).round().long().unique().tolist()
    small = [resize_long_side(frames.picture(row, frame), long_side) for row in rows for frame in chosen]
    return make_grid(torch.stack(small), nrow=len(chosen), padding=3, pad_value=1.0)


def flicker_strip(frames: FrameFolder, row: Row, times: int = 6) -> Float[Tensor, "3 height width"]:
    """The middle column of pixels over time: what flickers is torn, what stays is smooth. Each column is shown `times`."""
    columns = [frames.picture(row, frame) for frame in range(len(frames))]
    return torch.stack([picture[:, :, picture.shape[2] // 2] for picture in columns], dim=2).repeat_interleave(times, dim=2)


def error_map(frames: FrameFolder, row: Row, target: int, source: int, warp: Warp) -> Float[Tensor, "3 height width"]:
    """The target, the source warped to it, and their difference from 0 (black) to MAX_ERROR; grey where not valid."""
    ours, warped = frames.picture(row, target), warp(frames.picture(row, source))
    error = (warped.picture - ours).square().mean(0).sqrt()
    heat = torch.from_numpy(colormaps["inferno"]((error / MAX_ERROR).clamp(0, 1).cpu().numpy())[..., :3])
    heat = heat.permute(2, 0, 1).to(error)
    grey = torch.full_like(heat, 0.5)
    shown = [torch.where(warped.valid, values, grey) for values in (warped.picture.clamp(0, 1), heat)]
    return torch.cat([ours, *shown], dim=2)


def gap_plot(summaries: dict[int, dict[str, dict[str, float]]], rows: list[Row], value: str, title: str) -> str:
    """A number of every row against the gap, as SVG."""
    figure = Figure(figsize=(4.6, 3.4), layout="constrained")
    axes = figure.subplots()
    for row, look in zip(rows, _looks(rows), strict=True):
        points = [(gap, found[row.label][value]) for gap, found in summaries.items() if value in found.get(row.label, {})]
        if points:
            axes.plot(*zip(*points, strict=True), **look)
    axes.set(title=title, xlabel="frames between", ylabel=value.upper(), xticks=list(summaries))
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    return _svg(figure)


def legend(rows: list[Row]) -> str:
    """The lines of the plots, as SVG."""
    figure = Figure(figsize=(9.4, 0.3 + 0.2 * ((len(rows) + 3) // 4)))
    handles = [Line2D([], [], **look) for look in _looks(rows)]
    figure.legend(handles=handles, ncols=4, loc="center", frameon=False, fontsize=8)
    return _svg(figure)


def _looks(rows: list[Row]) -> list[dict[str, Any]]:
    """How each row's line is drawn: a colour for each kind, a dash for each style."""
    styles = list(dict.fromkeys(row.style for row in rows if row.style))
    dashes = {style: DASHES[number % len(DASHES)] for number, style in enumerate(styles)}
    common = {"marker": "o", "ms": 3}
    return [
        common | {"color": COLORS[row.kind], "linestyle": dashes.get(row.style, "-"), "label": row.label} for row in rows
    ]


def _svg(figure: Figure) -> str:
    written = io.StringIO()
    figure.savefig(written, format="svg")
    return written.getvalue()[written.getvalue().index("<svg") :]


def embedded(rgb: Float[Tensor, "3 height width"]) -> str:
    """A picture as a page holds it: a data URI of a JPEG."""
    jpeg = imageio.imwrite("<bytes>", rgb_bytes(rgb), extension=".jpg", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
