"""Pixel grids of windows of a picture, as positions at which its field is evaluated."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Bounds = tuple[float, float, float, float]
WHOLE: Bounds = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class PictureWindow:
    """The part of a picture that is asked for, and in how many pixels.

    `left, top, right, bottom` are shares of the picture's width and height: (0, 0, 1, 1) is all of it, and what lies
    outside that is extrapolated by the field.
    """

    height: int
    width: int
    aspect: float
    """Width by height of the whole picture."""
    bounds: Bounds = WHOLE

    @property
    def pixel(self) -> float:
        """Width of a pixel, in units of positions.

        >>> PictureWindow(2, 4, aspect=2.0).pixel, PictureWindow(4, 2, aspect=0.5).pixel
        (0.5, 0.5)
        """
        return 2 * (self.bounds[2] - self.bounds[0]) * min(self.aspect, 1.0) / self.width

    def __post_init__(self) -> None:
        left, top, right, bottom = self.bounds
        if not (left < right and top < bottom):
            raise ValueError(
                f"window: {left:g} {top:g} {right:g} {bottom:g} is empty; give left top right bottom, for example 0 0 .5 .5 "
                "for the upper left quarter."
            )
        if min(self.height, self.width) < 1:
            raise ValueError(f"size: {self.width}x{self.height} pixels is no picture; use 1 or more.")

    def shares(self, rows: slice, shift: tuple[float, float] = (0.0, 0.0)) -> Float[Tensor, "points 2"]:
        """(across, down) of the pixels' centres in shares of the picture; `shift` moves them, in pixels.

        >>> PictureWindow(1, 2, aspect=2.0).shares(slice(0, 1)).tolist()
        [[0.25, 0.5], [0.75, 0.5]]
        """
        left, top, right, bottom = self.bounds
        across = left + (torch.arange(self.width) + 0.5 + shift[0]) / self.width * (right - left)
        down = top + (torch.arange(self.height)[rows] + 0.5 + shift[1]) / self.height * (bottom - top)
        return torch.stack(torch.meshgrid(across, down, indexing="xy"), dim=-1).reshape(-1, 2)

    def positions(self, rows: slice, shift: tuple[float, float] = (0.0, 0.0)) -> Float[Tensor, "points 2"]:
        """Where a field is asked: the whole picture's long side spans [-1, 1].

        Differs from INR-st, whose outermost pixels' centres lie on the border: pictures of two sizes would not cover the
        same place.

        >>> PictureWindow(1, 2, aspect=2.0).positions(slice(0, 1)).tolist()
        [[-0.5, 0.0], [0.5, 0.0]]
        """
        return positions_of(self.shares(rows, shift), self.aspect)


def positions_of(shares: Float[Tensor, "points 2"], aspect: float) -> Float[Tensor, "points 2"]:
    """Shares of a picture's width and height as positions: the long side spans [-1, 1].

    >>> positions_of(torch.tensor([[1.0, 0.5], [0.5, 0.0]]), aspect=2.0).tolist()
    [[1.0, 0.0], [0.0, -0.5]]
    """
    half = torch.tensor([min(aspect, 1.0), min(1 / aspect, 1.0)], device=shares.device)
    return (2 * shares - 1) * half


def read_shares(
    picture: Float[Tensor, "channels height width"],
    shares: Float[Tensor, "points 2"],
    mode: Literal["bilinear", "nearest"] = "bilinear",
) -> Float[Tensor, "points channels"]:
    """A picture's values at (across, down) in shares of it; beyond its border the border goes on.

    >>> read_shares(torch.tensor([[[0.0, 1.0]]]), torch.tensor([[0.5, 0.5], [2.0, 0.5]])).tolist()
    [[0.5], [1.0]]
    """
    grid = (2 * shares.to(picture) - 1)[None, None]
    return F.grid_sample(picture[None], grid, mode=mode, padding_mode="border", align_corners=False)[0, :, 0].T


def window_of_size(long_side: int, aspect: float, bounds: Bounds = WHOLE) -> PictureWindow:
    """A window whose long side has so many pixels, all of them square.

    >>> window_of_size(512, aspect=2.0).height, window_of_size(512, 2.0, (0.0, 0.0, 0.5, 1.0)).height
    (256, 512)
    """
    if long_side < 1:
        raise ValueError(f"size: {long_side} is no picture; use 1 or more.")
    shape = aspect * (bounds[2] - bounds[0]) / max(bounds[3] - bounds[1], 1e-9)
    width, height = (long_side, long_side / shape) if shape >= 1 else (long_side * shape, long_side)
    return PictureWindow(max(round(height), 1), max(round(width), 1), aspect, bounds)
