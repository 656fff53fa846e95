"""Cache of traced rays in square windows, from which the style stage cuts its patches."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ins3d.placement.cameras import ObjectCameras
from ins3d.style.windows import WindowPlan
from ins3d.surfaces.content import SurfaceContent
from ins3d.surfaces.sphere_tracing import trace_rays

LEAST_FOREGROUND = 0.15
"""A patch of which less counts is cut elsewhere."""
MAX_DRAWS = 50
GLANCE = 64
"""Pixels of the pictures in which it is looked up where the object is."""


@dataclass(frozen=True)
class RayWeighting:
    """How much what a ray meets counts in the losses."""

    by_angle: bool = False
    """What is seen at a slant counts less: by the cosine of the angle (StyleMesh, section 3.3)."""
    by_depth: bool = False
    """Strokes keep their size in the world, not in the picture: rays lie the denser, the further away the window's middle
    is, and what is nearer or further than that by a factor of f counts 1 - |log2 f| (StyleMesh, section 3.2)."""


@dataclass
class SurfaceRays:
    """Rays and what the frozen content says about the places they meet; values of rays that miss are 0."""

    origins: Float[Tensor, "*batch 3"]
    directions: Float[Tensor, "*batch 3"]
    hit: Float[Tensor, "*batch 1"]
    """0 or 1."""
    weight: Float[Tensor, "*batch 1"]
    """How much the ray's pixel counts in the losses."""
    positions: Float[Tensor, "*batch 3"]
    normals: Float[Tensor, "*batch 3"]
    rgb: Float[Tensor, "*batch 3"]
    footprint: Float[Tensor, "*batch 1"]
    """How wide what the ray's pixel sees is, across the ray, in radii of the ball."""

    def cut(self, *where: slice | int) -> "SurfaceRays":
        """A part of the batch, flat."""
        return SurfaceRays(*(value[where].flatten(0, -2).float() for value in vars(self).values()))

    @classmethod
    def stack(cls, windows: list["SurfaceRays"]) -> "SurfaceRays":
        """Windows, one after the other."""
        return cls(*(torch.stack(values) for values in zip(*(vars(each).values() for each in windows), strict=True)))


class SurfaceWindows:
    """Windows at every stride, each somewhere on the object."""

    def __init__(
        self, content: SurfaceContent, cameras: ObjectCameras, plan: WindowPlan, weighting: RayWeighting,
        generator: torch.Generator,
    ) -> None:  # fmt: skip
        self.content, self.cameras, self.plan, self.weighting = content, cameras, plan, weighting
        self.glances: dict[int, tuple[Tensor, Tensor]] = {}
        self.windows = {
            stride: SurfaceRays.stack([self._window(stride, generator) for _ in range(plan.counts[stride])])
            for stride in sorted(plan.sides)
        }

    def draw(self, generator: torch.Generator) -> SurfaceRays:
        """A patch that sees more than emptiness: `patch` squared rays, row by row."""
        size, strides = self.plan.patch, self.plan.strides
        for _ in range(MAX_DRAWS):
            which, window, row, column = torch.rand(4, generator=generator).tolist()
            stride = strides[int(which * len(strides))]
            windows, room = self.windows[stride], self.plan.sides[stride] - size + 1
            top, left = int(row * room), int(column * room)
            patch = windows.cut(int(window * len(windows.hit)), slice(top, top + size), slice(left, left + size))
            if float(patch.weight.mean()) >= LEAST_FOREGROUND:
                return patch
        return patch

    @torch.no_grad()
    def _window(self, stride: int, generator: torch.Generator) -> SurfaceRays:
        """Rays around a place of the object, as one camera sees it."""
        camera, place, depth = self._aim(generator)
        spacing = float(stride)
        # The camera's distance from the ball's middle is where a pixel is as large as it is meant to be.
        usual = float(self.cameras.camera_to_world[camera, :, 3].norm())
        if self.weighting.by_depth:
            spacing *= usual / depth
        side = self.plan.sides[stride]
        steps = (torch.arange(side, device=place.device) - (side - 1) / 2) * spacing
        grid = place + torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1).reshape(-1, 2)
        origins, directions = self.cameras.rays(torch.full((len(grid),), camera, device=grid.device), grid)
        rays = ask_content(self.content, origins, directions, spacing * float(self.cameras.pixels[camera]))
        if self.weighting.by_angle:
            rays.weight *= -(rays.normals * directions).sum(-1, keepdim=True).clamp(max=0)
        if self.weighting.by_depth:
            axis = -self.cameras.camera_to_world[camera, :, 2]
            depths = ((rays.positions - origins) @ axis)[:, None].clamp(min=1e-6)
            rays.weight *= (1 - (depths * spacing / (stride * usual)).log2().abs()).clamp(0, 1)
        return SurfaceRays(*(value.reshape(side, side, -1) for value in vars(rays).values()))

    def _aim(self, generator: torch.Generator) -> tuple[int, Tensor, float]:
        """(camera, place in pixels, depth) of a random place at which a random camera sees the object."""
        for _ in range(MAX_DRAWS):
            camera = int(torch.randint(len(self.cameras), (), generator=generator))
            if camera not in self.glances:
                self.glances[camera] = self._glance(camera)
            places, depths = self.glances[camera]
            if len(places):
                break
        else:
            raise ValueError(f"{MAX_DRAWS} cameras saw nothing of the object; check the cameras, or fit it again.")
        which = int(torch.randint(len(places), (), generator=generator))
        return camera, places[which], float(depths[which])

    def _glance(self, camera: int) -> tuple[Tensor, Tensor]:
        """(places in pixels, depths) at which a camera sees the object."""
        small = self.cameras.resized(GLANCE)
        origins, directions = small.picture_rays(camera)
        hits = trace_rays(self.content.signed_distance, origins, directions)
        pixels = hits.hit.nonzero()[:, 0]
        places = torch.stack([pixels % small.width, pixels // small.width], dim=-1) + 0.5
        axis = -self.cameras.camera_to_world[camera, :, 2]
        return places * (self.cameras.width / small.width), hits.distances[pixels] * (directions[pixels] @ axis)


@torch.no_grad()
def ask_content(
    content: SurfaceContent, origins: Float[Tensor, "rays 3"], directions: Float[Tensor, "rays 3"], pixel: float = 0.0
) -> SurfaceRays:
    """Traces rays and asks the content where they end; `pixel` is how far rays are apart at distance 1."""
    hits = trace_rays(content.signed_distance, origins, directions)
    hit = hits.hit
    found = SurfaceRays(
        origins,
        directions,
        hit[:, None].float(),
        hit[:, None].float(),
        hits.positions * hit[:, None],
        normals=torch.zeros_like(origins),
        rgb=torch.zeros_like(origins),
        footprint=pixel * hits.distances[:, None] * hit[:, None],
    )
    if hit.any():
        at = hits.positions[hit]
        _, features = content(at)
        found.normals[hit] = F.normalize(content.gradient(at), dim=-1)
        found.rgb[hit] = content.rgb(features, at, found.normals[hit])
    return found
