"""Renders an object from a camera: colour, normals, depth, alpha."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from matplotlib import colormaps
from torch import Tensor

from ins3d.placement.cameras import ObjectCameras
from ins3d.surfaces.content import STEP
from ins3d.surfaces.sphere_tracing import trace_rays
from ins3d.surfaces.stylized import ShownSurface

RAYS_AT_ONCE = 2**17
CELL = 2 * STEP
"""Radii of the ball within which fields' colours hardly change: a cell of their finest planes."""
STEEPEST = 10.0
"""Pixels' widths by which neighbours' depths differ where one part of the object ends before another: surfaces that are
seen at less than 12 degrees are taken for such, too."""
CREASE = 0.5
"""Difference of a coordinate of the normals of neighbours at which the object has a crease between them."""


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
    """One picture. Pixels at edges, of the object and within it, are the mean of `finer` x `finer` rays; all others are one
    ray's, as long as pixels are no wider than a `CELL`."""
    places = cameras.picture_places()
    seen = _look(surface, cameras, camera, places).reshape(cameras.height, cameras.width, -1)
    if finer > 1:
        at = _edges(seen, float(cameras.pixels[camera])) | (cameras[[camera]].footprint > CELL)
        parts = (torch.arange(finer, device=places.device) + 0.5) / finer - 0.5
        around = torch.stack(torch.meshgrid(parts, parts, indexing="xy"), dim=-1).reshape(-1, 2)
        finest = (places[at.flatten()][:, None] + around).reshape(-1, 2)
        seen[at] = _look(surface, cameras, camera, finest).reshape(-1, finer**2, seen.shape[-1]).mean(1)
    rgb, normals, depth, alpha = seen.permute(2, 0, 1).split([3, 3, 1, 1])
    return SurfaceView(rgb, normals, depth, alpha, float(cameras.camera_to_world[camera, :, 3].norm()) + 1)


def _edges(seen: Float[Tensor, "height width 8"], pixel: float) -> Bool[Tensor, "height width"]:
    """Pixels beside which the object ends, or lies elsewhere: further away, or turned away, than a smooth surface would."""
    normals, depth, alpha = seen.permute(2, 0, 1)[None, 3:].split([3, 1, 1], dim=1)
    apart = (_range(depth) > STEEPEST * pixel * depth) | (_range(normals).amax(1, keepdim=True) > CREASE)
    return ((_range(alpha) > 0) | (apart & (alpha > 0)))[0, 0]


def _range(values: Float[Tensor, "1 channels height width"]) -> Float[Tensor, "1 channels height width"]:
    """How far values of a pixel and its neighbours are apart."""
    return F.max_pool2d(values, 3, stride=1, padding=1) + F.max_pool2d(-values, 3, stride=1, padding=1)


def _look(surface: ShownSurface, cameras: ObjectCameras, camera: int, places: Tensor) -> Float[Tensor, "places 8"]:
    """Colour, normal, depth and alpha at places of a picture; 0 where there is nothing."""
    return torch.cat([_look_at_once(surface, cameras, camera, some) for some in places.split(RAYS_AT_ONCE)])


def _look_at_once(surface: ShownSurface, cameras: ObjectCameras, camera: int, places: Tensor) -> Tensor:
    origins, directions = cameras.rays(torch.full((len(places),), camera, device=places.device), places)
    hits = trace_rays(surface.signed_distance, origins, directions)
    seen, positions = origins.new_zeros(len(origins), 8), hits.positions[hits.hit]
    if len(positions):
        normals = F.normalize(surface.gradient(positions), dim=-1)
        axis = -cameras.camera_to_world[camera, :, 2]
        depth = ((positions - origins[0]) @ axis)[:, None]
        rgb = surface.rgb(positions).clamp(0, 1)
        seen[hits.hit] = torch.cat([rgb, normals, depth, torch.ones_like(depth)], dim=-1)
    return seen
