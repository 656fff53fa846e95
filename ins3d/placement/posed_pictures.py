"""Small pictures with pinhole cameras, from which a scene's extent is measured."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


@dataclass
class PosedPictures:
    """Pictures of one size with pinhole cameras; a camera looks along its -z axis, y is up (as in nerfstudio)."""

    pictures: Float[Tensor, "cameras channels height width"]
    """RGB in [0, 1], and alpha where there is one."""
    camera_to_world: Float[Tensor, "cameras 3 4"]
    intrinsics: Float[Tensor, "cameras 4"]
    """fx, fy, cx, cy in pixels of `pictures`."""

    @property
    def centers(self) -> Float[Tensor, "cameras 3"]:
        """Where the cameras are."""
        return self.camera_to_world[:, :, 3]

    @property
    def view_axes(self) -> Float[Tensor, "cameras 3"]:
        """Where they look: unit vectors."""
        return -F.normalize(self.camera_to_world[:, :, 2], dim=-1)

    def pixel_rays(self, camera: int) -> Float[Tensor, "height width 3"]:
        """The vectors from the camera to its pixels' centres at depth 1 along the view axis."""
        height, width = self.pictures.shape[2:]
        fx, fy, cx, cy = self.intrinsics[camera]
        rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
        local = torch.stack([(columns - cx) / fx, (cy - rows) / fy, -torch.ones_like(rows)], dim=-1)
        return local @ self.camera_to_world[camera, :, :3].T

    def look_up(
        self, camera: int, points: Float[Tensor, "*batch 3"]
    ) -> tuple[Float[Tensor, "channels *batch"], Float[Tensor, "*batch"]]:
        """What a camera sees where the points project to, and 1 where they do lie inside its picture (else 0)."""
        height, width = self.pictures.shape[2:]
        fx, fy, cx, cy = self.intrinsics[camera]
        local = (points - self.centers[camera]) @ self.camera_to_world[camera, :, :3]
        depth = -local[..., 2]
        safe = depth.clamp(min=1e-6)
        columns = fx * local[..., 0] / safe + cx
        rows = cy - fy * local[..., 1] / safe
        grid = torch.stack([2 * columns / width - 1, 2 * rows / height - 1], dim=-1)
        inside = (depth > 1e-6) & (grid.abs() < 1).all(-1)
        places = grid.reshape(1, -1, 1, 2).clamp(-2, 2)
        flat = F.grid_sample(self.pictures[camera][None], places, padding_mode="border", align_corners=False)
        return flat[0, :, :, 0].reshape(-1, *points.shape[:-1]), inside.float()
