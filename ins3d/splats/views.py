"""Cameras that look at splats."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class View:
    """A pinhole camera and the size of its picture; it looks along its -z axis, y is up (as in nerfstudio)."""

    camera_to_world: Float[Tensor, "3 4"]
    fx: float
    fy: float
    cx: float
    cy: float
    """In pixels; the middle of the first pixel is at .5."""
    width: int
    height: int

    @property
    def center(self) -> Float[Tensor, " 3"]:
        """Where the camera is."""
        return self.camera_to_world[:, 3]

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    def axes(self) -> Float[Tensor, "3 3"]:
        """Rows: rightwards, downwards and forwards, as unit vectors of the scene."""
        return self.camera_to_world[:, :3].T * self.camera_to_world.new_tensor([[1.0], [-1.0], [-1.0]])

    def seen_from(self, points: Float[Tensor, "*points 3"]) -> Float[Tensor, "*points 3"]:
        """Points in the camera's axes: how far to the right, down, and away along the view axis."""
        return (points - self.center) @ self.axes().T

    def places(self, seen: Float[Tensor, "*points 3"]) -> tuple[Float[Tensor, "*points 2"], Bool[Tensor, "*points"]]:
        """(columns and rows, in pixels, of what `seen_from` says; whether they lie in the picture)."""
        x, y, z = seen.unbind(-1)
        away = z.clamp(min=1e-6)
        column, row = self.fx * x / away + self.cx, self.fy * y / away + self.cy
        inside = (z > 1e-6) & (column >= 0) & (row >= 0) & (column < self.width) & (row < self.height)
        return torch.stack([column, row], dim=-1), inside

    def resized(self, width: int, height: int) -> "View":
        """The same view in another number of pixels."""
        across, down = width / self.width, height / self.height
        return replace(
            self, fx=self.fx * across, cx=self.cx * across, fy=self.fy * down, cy=self.cy * down, width=width, height=height
        )

    def reduced(self, long_side: int) -> "View":
        """The same view with so many pixels along its longer side."""
        share = long_side / max(self.shape)
        return self.resized(max(round(self.width * share), 1), max(round(self.height * share), 1))

    def window(self, left: int, top: int, width: int, height: int) -> "View":
        """A part of the picture."""
        return replace(self, cx=self.cx - left, cy=self.cy - top, width=width, height=height)


def nearest_pixel(points: Float[Tensor, "points 3"], views: list[View]) -> Float[Tensor, " points"]:
    """How wide a pixel is at each point, in scene units: that of the camera which sees it largest; infinite where none does.

    What hides points is not asked.
    """
    least = torch.full((len(points),), float("inf"))
    for view in views:
        seen = view.seen_from(points)
        _, inside = view.places(seen)
        least = torch.where(inside, torch.minimum(least, seen[:, 2] / max(view.fx, view.fy)), least)
    return least
