"""Maps scene units to the unit ball, in which every field is evaluated.

The host scales poses so that the cameras fill a cube; a forward-facing capture then lies far outside it, squeezed into
the rim of the contracted space (fern: 11 dB instead of 22). So the scene is placed by what its pictures show.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ins3d.placement.flags import KnownFlag


@dataclass
class Placement:
    """A ball around what the pictures show, and the depths between which it is seen. All in scene units."""

    center: tuple[float, float, float]
    radius: float
    near: float
    far: float
    bounded: bool
    """True for an object before an empty background: nothing lies outside the ball."""
    found_by: str
    """How it was found, in words for the person who runs it."""


class ScenePlacement(nn.Module):
    """Maps positions to the unit ball, and rays to the stretch on which to look for something.

    A bounded scene fills the ball. Otherwise the ball's inner half holds what lies within `radius`, and everything
    farther out is contracted into the shell around it (mip-NeRF 360, eq. 10, halved). A contraction by the distance,
    not by the largest coordinate, has no preferred axes. nerfacto's runs contract by the largest coordinate (`cubic`):
    their ball is a cube.
    """

    center: Tensor
    radius: Tensor
    near: Tensor
    far: Tensor
    bounded: Tensor
    cubic: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, shape in {"center": (3,), "radius": (), "near": (), "far": ()}.items():
            self.register_buffer(name, torch.ones(shape))
        self.register_buffer("bounded", torch.tensor(False))
        self.register_buffer("cubic", torch.tensor(False))
        self._is_bounded, self._is_cubic = KnownFlag(), KnownFlag()

    def place(self, placement: Placement) -> None:
        """Takes over measured values; they are saved with the field from then on."""
        self.center.copy_(torch.tensor(placement.center))
        for name in ("radius", "near", "far", "bounded"):
            getattr(self, name).fill_(getattr(placement, name))

    def forward(self, positions: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
        """Scene units to the unit ball."""
        relative = (positions - self.center) / self.radius
        return relative * self.shrinkage(relative)

    def scale_across(self, positions: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 1"]:
        """The length in the ball of a scene unit perpendicular to the direction of the centre: ball radii per scene unit."""
        return self.shrinkage((positions - self.center) / self.radius) / self.radius

    def shrinkage(self, relative: Tensor, axis: int = -1) -> Tensor:
        """What positions, in radii from the centre, are multiplied by; `axis` holds their three coordinates, and stays."""
        if self._is_cubic(self.cubic):
            distance = relative.abs().amax(axis, keepdim=True).clamp(min=1)
            return (2 - 1 / distance) / distance / 2
        # Guarded inside the square root: the gradient at the centre stays finite.
        distance = (relative * relative).sum(axis, keepdim=True).clamp(min=1e-12).sqrt().clamp(min=1)
        return 1 / distance if self.is_bounded else (2 - 1 / distance) / distance / 2

    @property
    def is_bounded(self) -> bool:
        """Whether nothing lies outside the ball."""
        return self._is_bounded(self.bounded)

    @property
    def density_scale(self) -> Tensor:
        """Fields answer in 1 / ball radius; times this it is 1 / scene unit."""
        return 1 / self.radius

    def ray_bounds(
        self, origins: Float[Tensor, "*rays 3"], directions: Float[Tensor, "*rays 3"]
    ) -> tuple[Float[Tensor, "*rays 1"], Float[Tensor, "*rays 1"]]:
        """Near and far of each ray. In a bounded scene: where it passes through the ball, or close by it."""
        near, far = self.near, self.far
        if not self.is_bounded:
            return near.expand(*origins.shape[:-1], 1), far.expand(*origins.shape[:-1], 1)
        radius = self.radius
        to_center = self.center - origins
        closest = (to_center * directions).sum(-1, keepdim=True)
        miss = (to_center * to_center).sum(-1, keepdim=True) - closest**2
        half_chord = (radius**2 - miss).clamp(min=(0.02 * radius) ** 2).sqrt()
        start = torch.maximum(closest - half_chord, near)
        return start, torch.maximum(closest + half_chord, start + 0.02 * radius)


def placement_from_points(points: Float[Tensor, "points 3"], depths: Float[Tensor, " depths"], found_by: str) -> Placement:
    """A ball around four fifths of what the pictures see; near and far around nearly all of it."""
    center = points.median(0).values
    radius = torch.quantile((points - center).norm(dim=-1), 0.8)
    near, far = torch.quantile(depths, torch.tensor([0.01, 0.99], device=depths.device))
    return Placement(
        center=(float(center[0]), float(center[1]), float(center[2])),
        radius=float(radius),
        near=0.6 * float(near),
        far=2.0 * float(far),
        bounded=False,
        found_by=found_by,
    )


def placement_from_hull(points: Float[Tensor, "points 3"], camera_centers: Float[Tensor, "cameras 3"]) -> Placement:
    """The ball around an object's visual hull; near and far are where the cameras' rays can meet it."""
    center = (points.amin(0) + points.amax(0)) / 2
    radius = 1.05 * (points - center).norm(dim=-1).amax()
    distances = (camera_centers - center).norm(dim=-1)
    return Placement(
        center=(float(center[0]), float(center[1]), float(center[2])),
        radius=float(radius),
        near=max(float(distances.amin() - radius), 0.01 * float(radius)),
        far=float(distances.amax() + radius),
        bounded=True,
        found_by="the visual hull of the pictures' alpha",
    )
