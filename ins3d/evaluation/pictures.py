"""Pictures of the report: views, flicker strips, error maps."""

import base64
from math import ceil

import imageio.v3 as imageio
import torch
from jaxtyping import Float
from matplotlib import colormaps
from torch import Tensor

from ins3d.evaluation.consistency import Warp
from ins3d.evaluation.frames import FrameFolder, Row
from ins3d.files.pictures import resize_long_side, rgb_bytes

MAX_ERROR = 0.3
"""RMS error of a pixel that is shown brightest."""
STRIP_WIDTH = 480
"""Pixels, at least, so that a strip of few frames can be seen."""


def spread(number: int, most: int) -> list[int]:
    """At most `most` of so many frames, evenly spaced, the first and the last among them.

    >>> spread(12, 3), spread(2, 5)
    ([0, 6, 11], [0, 1])
    """
    return torch.linspace(0, number - 1, min(most, number)).round().long().unique().tolist()


def views(frames: FrameFolder, row: Row, max_frames: int = 5, long_side: int = 640) -> list[Float[Tensor, "3 height width"]]:
    """Pictures of a row along its path, at their own size, or at `long_side` where they are larger."""
    return [at_most(frames.picture(row, frame), long_side) for frame in spread(len(frames), max_frames)]


def at_most(picture: Float[Tensor, "3 _ _"], long_side: int) -> Float[Tensor, "3 _ _"]:
    """Reduced to a long side, where it is longer.

    >>> at_most(torch.zeros(3, 20, 10), 40).shape, at_most(torch.zeros(3, 20, 10), 10).shape
    (torch.Size([3, 20, 10]), torch.Size([3, 10, 5]))
    """
    return resize_long_side(picture, long_side) if max(picture.shape[1:]) > long_side else picture


def flicker_strip(frames: FrameFolder, row: Row) -> Float[Tensor, "3 height width"]:
    """The middle column of pixels over time, as wide as can be seen: what flickers is torn, what stays is smooth."""
    times = ceil(STRIP_WIDTH / max(len(frames), 1))
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


def embedded(rgb: Float[Tensor, "3 height width"]) -> str:
    """A picture as a page holds it: a data URI of a JPEG."""
    jpeg = imageio.imwrite("<bytes>", rgb_bytes(rgb), extension=".jpg", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
