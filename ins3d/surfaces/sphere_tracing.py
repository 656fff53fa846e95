"""First hits of rays with a signed distance field, by sphere tracing (spec A.9)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

SignedDistance = Callable[[Float[Tensor, "points 3"]], Float[Tensor, "points 1"]]
MOST_STEPS = 40
SAMPLES = 64
"""Places at which a ray that neither arrives nor leaves is looked at (A.9: 100)."""
SECANTS = 6


@dataclass
class Hits:
    """Where rays first meet the surface."""

    distances: Float[Tensor, " rays"]
    """Along the ray: of the hit; of rays that miss, of the place at which they came nearest to the surface."""
    hit: Bool[Tensor, " rays"]
    positions: Float[Tensor, "rays 3"]
    """The places at those distances."""


@torch.no_grad()
def trace_rays(
    ask: SignedDistance,
    origins: Float[Tensor, "rays 3"],
    directions: Float[Tensor, "rays 3"],
    threshold: float = 2e-4,
    radius: float = 1.0,
) -> Hits:
    """The first place inside the sphere of `radius` where the distance falls to 0 (spec A.9); directions have unit length.

    A step is as long as the distance, so a function that overestimates it oversteps the surface: then the distance changes
    its sign, and the place is found between the last two. Differs from IDR, which traces from both ends and steps back:
    here the ends are only sampled for the rays that are left, and the nearest place of a miss is that of the march.
    """
    near, far = sphere_ends(origins, directions, radius)
    march = _March(ask, origins, directions, near, far)
    alive = (far > near).nonzero()[:, 0]
    for _ in range(MOST_STEPS):
        if not len(alive):
            break
        alive = march.step(alive, threshold)
    march.sample(alive)
    march.refine()
    distances = torch.where(march.hit, march.at, march.nearest_at)
    return Hits(distances, march.hit, origins + distances[:, None] * directions)


def sphere_ends(
    origins: Float[Tensor, "rays 3"], directions: Float[Tensor, "rays 3"], radius: float
) -> tuple[Float[Tensor, " rays"], Float[Tensor, " rays"]]:
    """Where rays enter and leave the sphere around 0; a ray that misses it enters where it leaves.

    >>> sphere_ends(torch.tensor([[0.0, 0.0, -3.0]]), torch.tensor([[0.0, 0.0, 1.0]]), 1.0)
    (tensor([2.]), tensor([4.]))
    """
    middle = -(origins * directions).sum(-1)
    half = (radius**2 - (origins + middle[:, None] * directions).square().sum(-1)).clamp(min=0).sqrt()
    return (middle - half).clamp(min=0), (middle + half).clamp(min=0)


def surface_positions(
    at: Float[Tensor, "rays 3"],
    directions: Float[Tensor, "rays 3"],
    signed_distance: Float[Tensor, "rays 1"],
    gradient: Float[Tensor, "rays 3"],
) -> Float[Tensor, "rays 3"]:
    """Hits `at` which rays meet the surface, as functions of it: x - v (S(x) - S(x) kept) / (grad S kept . v) (spec A.9).

    `signed_distance` is that at the hits, with gradients; the positions' values are the hits'. Rays that graze the surface
    would be moved without bounds: their slope counts as .05 at least.
    """
    slope = (gradient * directions).sum(-1, keepdim=True).detach().clamp(max=-0.05)
    return at - directions * (signed_distance - signed_distance.detach()) / slope


class _March:
    """All rays of a call: how far they have come, and what they have found."""

    def __init__(self, ask: SignedDistance, origins: Tensor, directions: Tensor, near: Tensor, far: Tensor) -> None:
        self.ask, self.origins, self.directions, self.far = ask, origins, directions, far
        self.at, self.nearest_at = near.clone(), near.clone()
        self.nearest = torch.full_like(near, torch.inf)
        self.last = near.clone()
        self.last_value = torch.full_like(near, torch.nan)
        self.brackets = near.new_full((4, len(near)), torch.nan)
        """Of rays whose distance has changed its sign: a place outside, its distance, a place inside, its distance."""
        self.hit = torch.zeros_like(near, dtype=torch.bool)

    def distance(self, rays: Tensor, at: Tensor) -> Tensor:
        return self.ask(self.origins[rays] + at[:, None] * self.directions[rays])[:, 0]

    def step(self, rays: Tensor, threshold: float) -> Tensor:
        """One step of the rays that are under way; those that still are."""
        at = self.at[rays]
        value = self.distance(rays, at)
        nearer = value < self.nearest[rays]
        self.nearest[rays[nearer]], self.nearest_at[rays[nearer]] = value[nearer], at[nearer]
        through = (value < 0) & (self.last_value[rays] > 0)
        ends = (self.last[rays], self.last_value[rays], at, value)
        self.brackets[:, rays[through]] = torch.stack(ends)[:, through]
        # A ray that begins inside is at the surface at once; so is one that came near enough.
        self.hit[rays] |= value < threshold
        self.last[rays], self.last_value[rays] = at, value
        on = ~self.hit[rays]
        self.at[rays[on]] += value[on]
        return rays[on & (self.at[rays] < self.far[rays])]

    def sample(self, rays: Tensor) -> None:
        """Looks for the first change of sign on what is left of the rays."""
        if not len(rays):
            return
        shares = torch.linspace(0, 1, SAMPLES, device=self.at.device)
        places = torch.lerp(self.last[rays, None], self.far[rays, None], shares)
        repeated = rays.repeat_interleave(SAMPLES)
        values = self.distance(repeated, places.flatten()).reshape(places.shape)
        least, where = values.min(1)
        nearer = least < self.nearest[rays]
        self.nearest[rays[nearer]] = least[nearer]
        self.nearest_at[rays[nearer]] = places.gather(1, where[:, None])[nearer, 0]
        crosses = (values[:, :-1] > 0) & (values[:, 1:] <= 0)
        first, found = crosses.int().argmax(1, keepdim=True), crosses.any(1)
        ends = [part.gather(1, first + step)[found, 0] for step in (0, 1) for part in (places, values)]
        self.brackets[:, rays[found]] = torch.stack(ends)

    def refine(self) -> None:
        """The zeros between places outside and places inside, by secants that keep them between the two."""
        rays = self.brackets[0].isfinite().nonzero()[:, 0]
        if not len(rays):
            return
        before, outside, behind, inside = self.brackets[:, rays]
        for _ in range(SECANTS):
            middle = before + (behind - before) * outside / (outside - inside)
            value = self.distance(rays, middle)
            out = value > 0
            before, outside = torch.where(out, middle, before), torch.where(out, value, outside)
            behind, inside = torch.where(out, behind, middle), torch.where(out, inside, value)
        self.at[rays], self.hit[rays] = before + (behind - before) * outside / (outside - inside), True
