"""Warps a picture to another view by depth and cameras."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from kornia.geometry.calibration import distort_points, undistort_points
from torch import Tensor

from ins3d.evaluation.picture_warp import Warped, look_up, pixel_centers

TOLERANCE = 0.02
"""Relative difference of distances up to which two views are taken to see the same surface."""
MIN_OPACITY = 0.5
"""Opacity below which a pixel shows no surface that could be compared."""


@dataclass(frozen=True)
class GeometryView:
    """What a camera sees of a frozen field: how far away the surface is along each pixel's ray."""

    camera_to_world: Float[Tensor, "3 4"]
    """The camera looks along its -z axis, y is up (as in nerfstudio)."""
    intrinsics: Float[Tensor, " 4"]
    """fx, fy, cx, cy in pixels."""
    distortion: Float[Tensor, " 6"]
    """k1, k2, k3, k4, p1, p2 of nerfstudio's lens; k4 must be 0."""
    distance: Float[Tensor, "1 height width"]
    """Along the ray, in scene units."""
    accumulation: Float[Tensor, "1 height width"]
    """Share of the ray that ends, in [0, 1]."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the picture."""
        return self.distance.shape[2], self.distance.shape[1]

    @property
    def directions(self) -> Float[Tensor, "height width 3"]:
        """Unit vectors through the pixels' centres."""
        width, height = self.size
        focal, middle = self.intrinsics.split(2)
        flat = (pixel_centers(height, width, self.distance.device) - middle) / focal
        camera, lens = torch.eye(3).to(flat), self._lens
        if bool((lens != 0).any()):
            flat = undistort_points(flat.reshape(1, -1, 2), camera[None], lens[None], num_iters=20).reshape(flat.shape)
        local = torch.stack([flat[..., 0], -flat[..., 1], -torch.ones_like(flat[..., 0])], dim=-1)
        return F.normalize(local @ self.camera_to_world[:, :3].T, dim=-1)

    @property
    def positions(self) -> Float[Tensor, "height width 3"]:
        """Where the surface is."""
        return self.camera_to_world[:, 3] + self.distance[0, ..., None] * self.directions

    @property
    def _lens(self) -> Tensor:
        """In OpenCV's order."""
        k1, k2, k3, _, p1, p2 = self.distortion
        return torch.stack([k1, k2, p1, p2, k3])

    def project(self, positions: Float[Tensor, "height width 3"]) -> Float[Tensor, "height width 2"]:
        """Where the camera sees positions, in pixels; far outside its picture for those behind it."""
        local = (positions - self.camera_to_world[:, 3]) @ self.camera_to_world[:, :3]
        depth = -local[..., 2]
        flat = torch.stack([local[..., 0], -local[..., 1]], dim=-1) / depth.clamp(min=1e-6)[..., None]
        focal, middle = self.intrinsics.split(2)
        size = flat.new_tensor(self.size)
        # Far outside the picture the lens's polynomial may lead back into it.
        beyond = ((flat * focal + middle - size / 2).abs() > size).any(-1)
        camera = torch.eye(3).to(flat)
        seen = distort_points(flat.reshape(1, -1, 2), camera[None], self._lens[None]).reshape(flat.shape)
        away = (depth <= 1e-6) | beyond
        return torch.where(away[..., None], torch.full_like(seen, -1e6), seen * focal + middle)


def warp_by_geometry(
    source: Float[Tensor, "channels height width"],
    source_view: GeometryView,
    target_view: GeometryView,
    tolerance: float = TOLERANCE,
) -> Warped:
    """What the source frame shows of the target frame's surfaces: exact up to the field's depth, and free of flow error.

    Valid where both views are opaque, and the source sees a surface as far away as the target's place is (`tolerance`,
    relative): else something stands before it. Protocol G (spec I.6).
    """
    positions = target_view.positions
    places = source_view.project(positions)
    asked = torch.cat([source, source_view.distance, source_view.accumulation])
    values, inside = look_up(asked, places)
    picture, seen, opaque = values[:-2], values[-2], values[-1]
    away = (positions - source_view.camera_to_world[:, 3]).norm(dim=-1)
    same = (seen - away).abs() <= tolerance * away
    solid = (target_view.accumulation[0] > MIN_OPACITY) & (opaque > MIN_OPACITY)
    return Warped(picture, inside & same & solid)
