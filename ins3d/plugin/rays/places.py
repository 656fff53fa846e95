"""Where pictures look along rays: at places that hang on the scene and hardly on the view."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from ins3d.placement.scene import ScenePlacement
from ins3d.plugin.rays.proposals import PlaneDensity

SIDE = 192
"""Corners along a side of the scene's cube: 28 MB, whatever the scene. The network's planes have 128."""
NUM_STEPS = 64
"""Along a ray, at which the grid is read, or as many as the proposal network was asked at; 96 are hardly better."""
PADDING = 1e-3
"""The share of a ray that every step has, whatever the grid says."""


@dataclass
class Steps:
    """Pieces of rays; those of one ray lie in a column, so that sums along rays are sums of whole rows."""

    edges: Float[Tensor, "edges rays"]
    """In scene units."""
    middles: Float[Tensor, "steps rays"]
    positions: Float[Tensor, "3 steps rays"]
    """Of the middles, in the unit ball."""
    shrinkage: Float[Tensor, "steps rays"]
    """There, across the ray: ball radii per radius of the scene."""

    def __len__(self) -> int:
        return len(self.middles)

    def stopped(self, density: Float[Tensor, "steps rays"], scale: Tensor) -> Float[Tensor, "edges rays"]:
        """The share of each ray that has ended before each edge, at a density times `scale` per scene unit."""
        optical = running_sums(density * (self.edges.diff(dim=0) * scale))
        return F.pad(optical.neg_().expm1_().neg_(), (0, 0, 1, 0))


def steps_along(rays: RayBundle, edges: Float[Tensor, "edges rays"], placement: ScenePlacement) -> Steps:
    """The pieces of rays between edges."""
    middles = (edges[1:] + edges[:-1]) / 2
    start = ((rays.origins - placement.center) / placement.radius).T.contiguous()
    relative = start[:, None] + (rays.directions / placement.radius).T.contiguous()[:, None] * middles
    shrinkage = placement.shrinkage(relative, axis=0)
    return Steps(edges, middles, relative * shrinkage, shrinkage[0])


class ProposalGrid:
    """Of one state of a proposal network."""

    def __init__(self, proposal: PlaneDensity) -> None:
        self.density = proposal.on_grid(SIDE).flatten()

    def __call__(self, positions: Float[Tensor, "3 steps rays"]) -> Float[Tensor, "steps rays"]:
        """Density at positions in the unit ball, per ball radius; trilinear."""
        places = ((positions + 1) * ((SIDE - 1) / 2)).clamp(0, SIDE - 1.001)
        low = places.int()
        x, y, z = places - low
        corner = ((low[2] * SIDE + low[1]) * SIDE + low[0]).flatten()

        def across(down: int, away: int) -> Tensor:
            first = corner + (SIDE * down + SIDE**2 * away)
            low, high = (self.density.index_select(0, first + along).reshape(x.shape) for along in (0, 1))
            return torch.lerp(low, high, x)

        near, far = (torch.lerp(across(0, away), across(1, away), y) for away in (0, 1))
        return torch.lerp(near, far, z)


class Places:
    """Of the content's samples, by a grid of the proposal network's density.

    Differs from the host's sampler, which asks the network at steps that are others in every view: as many samples are
    nearer to what ever more would show, and what is painted on them moves less between views (docs/results.md, Frames).
    """

    def __init__(self, proposal: PlaneDensity, placement: ScenePlacement, num_steps: int) -> None:
        self.grid, self.placement, self.num_steps = ProposalGrid(proposal), placement, max(NUM_STEPS, num_steps)

    def edges(
        self, rays: RayBundle, near: Float[Tensor, "rays 1"], far: Float[Tensor, "rays 1"], number: int
    ) -> Float[Tensor, "edges rays"]:
        """Of `number` samples, in scene units: equal shares of what the grid says ends a ray."""
        bounds = near[:, 0].log(), far[:, 0].log()
        shares = torch.linspace(0, 1, self.num_steps + 1, device=near.device)[:, None]
        steps = steps_along(rays, torch.lerp(*bounds, shares).exp(), self.placement)
        padding = PADDING * torch.arange(self.num_steps + 1, device=near.device)[:, None]
        chosen = quantiles(steps.stopped(self.grid(steps.positions), self.placement.density_scale) + padding, number)
        return torch.lerp(*bounds, chosen).exp()


def quantiles(shares: Float[Tensor, "edges rays"], number: int) -> Float[Tensor, "cuts rays"]:
    """Edges of `number` pieces between the middles of equal parts, as the host's PDFSampler; in [0, 1] of the steps.

    `shares` grow from 0 down each column.
    """
    steps, cumulative = len(shares) - 1, (shares / shares[-1]).T.contiguous()
    parts = number + 1
    wanted = (torch.linspace(0, 1 - 1 / parts, parts, device=shares.device) + 1 / (2 * parts)).expand(len(cumulative), -1)
    wanted = wanted.contiguous()
    below = (torch.searchsorted(cumulative, wanted, right=True) - 1).clamp(0, steps - 1)
    low, high = cumulative.gather(1, below), cumulative.gather(1, below + 1)
    within = ((wanted - low) / (high - low)).nan_to_num(0).clamp(0, 1)
    return ((below + within) / steps).T.contiguous()


def running_sums(values: Float[Tensor, "steps rays"]) -> Float[Tensor, "steps rays"]:
    """As `cumsum` down each column, which on a CPU takes five times as long."""
    return values.new_ones(len(values), len(values)).tril_() @ values
