"""Renders an object from a camera: colour, normals, depth, alpha."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from matplotlib import colormaps
from torch import Tensor

from ins3d.surfaces.cameras import ObjectCameras
from ins3d.surfaces.sphere_tracing import trace_rays
from ins3d.surfaces.stylized import ShownSurface

RAYS_AT_ONCE = 2**17


@dataclass
class SurfaceView:
    """What a camera sees; where there is nothing, all is 0."""

    rgb: Float[Tensor, "3 height width"]
    """In [0, 1], times alpha."""
    normals: Float[Tensor, "3 height width"]
    """Unit vectors in the ball's axes, times alpha."""
    depth: Float[Tensor, "1 height width"]
    """Along the view axis, in radii of the ball, times alpha."""
    alpha: Float[Tensor, "1 height width"]
    """The share of the pixel's rays that meet the object."""
    far: float
    """Depth at which the ball ends."""

    def over(self, background: float) -> Float[Tensor, "3 height width"]:
        """The colours before a grey background."""
        return self.rgb + (1 - self.alpha) * background

    def picture(self, what: str, background: float = 1.0) -> Float[Tensor, "3 height width"]:
        """`rgb`, `normals` or `depth`, as a picture; near is light."""
        if what == "rgb":
            return self.over(background)
        if what == "normals":
            return (self.normals + self.alpha) / 2 + (1 - self.alpha) * background
        seen = self.depth / self.alpha.clamp(min=1e-6)
        # The ball's front to its back: all views of an object share one scale.
        share = ((self.far - seen) / 2).clamp(0, 1)[0].cpu().numpy()
        color = torch.from_numpy(colormaps["magma"](share)[..., :3]).to(seen).permute(2, 0, 1)
        return color * self.alpha + (1 - self.alpha) * background


@torch.no_grad()
def render_view(surface: ShownSurface, cameras: ObjectCameras, camera: int, finer: int = 1) -> SurfaceView:
    """One picture; `finer` x `finer` rays are cast for each pixel, and averaged."""
    rows = max(RAYS_AT_ONCE // (cameras.width * finer**2), 1)
    bands = [
        _band(surface, cameras, camera, slice(top, min(top + rows, cameras.height)), finer)
        for top in range(0, cameras.height, rows)
    ]
    rgb, normals, depth, alpha = torch.cat(bands, dim=1).split([3, 3, 1, 1])
    return SurfaceView(rgb, normals, depth, alpha, float(cameras.camera_to_world[camera, :, 3].norm()) + 1)


def _band(surface: ShownSurface, cameras: ObjectCameras, camera: int, rows: slice, finer: int) -> Tensor:
    """8 x rows x width: colour, normal, depth and alpha."""
    origins, directions = cameras.picture_rays(camera, rows, finer)
    hits = trace_rays(surface.signed_distance, origins, directions)
    seen = origins.new_zeros(len(origins), 8)
    positions = hits.positions[hits.hit]
    if len(positions):
        normals = F.normalize(surface.gradient(positions), dim=-1)
        axis = -cameras.camera_to_world[camera, :, 2]
        depth = ((positions - origins[0]) @ axis)[:, None]
        rgb = surface.rgb(positions).clamp(0, 1)
        seen[hits.hit] = torch.cat([rgb, normals, depth, torch.ones_like(depth)], dim=-1)
    grid = seen.reshape(rows.stop - rows.start, finer, cameras.width, finer, 8)
    return grid.mean((1, 3)).permute(2, 0, 1)
