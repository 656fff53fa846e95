"""A content of feature planes that nothing changes any more, as pictures look at it: the same samples, sooner."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from ins3d.fields.content_features import PlanesContent
from ins3d.fields.merged_points import SurfacePoints
from ins3d.fields.precision import rounded_products
from ins3d.plugin.rays.compositing import MIN_ACCUMULATION
from ins3d.plugin.rays.field_along_rays import BEHIND, FieldAlongRays
from ins3d.plugin.rays.look import Look, Merging
from ins3d.plugin.rays.proposal_grid import ProposalGrid, running_sums
from ins3d.plugin.rays.proposals import PlaneDensity


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


class StillPlanes:
    """Looks along rays as `FieldAlongRays` does, where nothing learns: 40 dB or better to it (docs/results.md, Frames).

    Coordinates lie apart instead of together, the proposal network is asked where its grid says that it matters, what a
    direction says is computed once for a ray, and networks are rounded (`rounded_products`); places are not.
    """

    def __init__(self, field: FieldAlongRays) -> None:
        content, (proposal,) = field.content, field.proposals
        assert isinstance(content, PlanesContent) and isinstance(proposal, PlaneDensity)
        self.field, self.content, self.placement = field, content, field.placement
        self.grid = ProposalGrid(proposal)

    @staticmethod
    def suits(field: FieldAlongRays) -> bool:
        """Whether the field is one of planes, proposed for by one network of planes: the default."""
        return isinstance(field.content, PlanesContent) and [type(each) for each in field.proposals] == [PlaneDensity]

    def look(self, rays: RayBundle, merging: Merging) -> Look:
        """See `Content.look`."""
        steps = self._steps(rays, self._edges(rays))
        with rounded_products(rays.origins.device):
            point = self.content(steps.positions.permute(1, 2, 0))
            features = point.color_features
            rgb = self.content.rgb_along(features, rays.directions)
        stopped = self._stopped(steps, self.content.density(point.raw_density.float())[..., 0])
        weights, accumulation = stopped.diff(dim=0), stopped[-1, :, None]
        depth = (weights * steps.middles).sum(0)[:, None] / accumulation.clamp(min=1e-6)
        return Look(
            rgb=(weights[..., None] * rgb).sum(0) + (1 - accumulation) * self.field.background,
            accumulation=accumulation,
            depth=torch.where(accumulation > MIN_ACCUMULATION, depth, self.placement.far + BEHIND),
            points=self._points(rays, steps, stopped, features, merging),
            weights=weights.T[..., None],
        )

    # ---- where

    def _steps(self, rays: RayBundle, edges: Float[Tensor, "edges rays"]) -> Steps:
        middles = (edges[1:] + edges[:-1]) / 2
        start = ((rays.origins - self.placement.center) / self.placement.radius).T.contiguous()
        relative = start[:, None] + (rays.directions / self.placement.radius).T.contiguous()[:, None] * middles
        shrinkage = self.placement.shrinkage(relative, axis=0)
        return Steps(edges, middles, relative * shrinkage, shrinkage[0])

    def _edges(self, rays: RayBundle) -> Float[Tensor, "edges rays"]:
        """Of the content's samples: as the host's sampler chooses them, without jitter."""
        sampler = self.field.sampler
        near, far = (bound[:, 0].log() for bound in self.field.bounds(rays))
        (number,) = sampler.num_proposal_samples_per_ray
        edges = torch.linspace(0, 1, number + 1, device=near.device)[:, None]
        steps = self._steps(rays, torch.lerp(near, far, edges).exp())
        density = self.grid(steps.positions, steps.edges.diff(dim=0) * self.placement.density_scale)
        padding = sampler.pdf_sampler.histogram_padding * torch.arange(number + 1, device=near.device)[:, None]
        chosen = quantiles(
            _stopped(steps, density, self.placement.density_scale) + padding, sampler.num_nerf_samples_per_ray
        )
        return torch.lerp(near, far, chosen).exp()

    # ---- what

    def _stopped(self, steps: Steps, density: Float[Tensor, "steps rays"]) -> Float[Tensor, "edges rays"]:
        stopped = _stopped(steps, density, self.placement.density_scale)
        if not bool(self.placement.bounded):
            stopped[-1] = 1  # every ray ends at its last sample at the latest
        return stopped

    def _points(self, rays: RayBundle, steps: Steps, stopped: Tensor, features: Tensor, merging: Merging) -> SurfacePoints:
        """As `fields.merged_points.merge_samples`."""
        area = rays.pixel_area[:, 0]
        side = torch.where(area < 1, area, 0).sqrt() * merging.footprint_mult / self.placement.radius
        footprint = side * steps.middles * steps.shrinkage
        number = merging.num_points
        if number is None:
            return SurfacePoints(
                steps.positions.permute(2, 1, 0), features.transpose(0, 1).float(), stopped.diff(dim=0).T[..., None],
                footprint.T[..., None],
            )  # fmt: skip
        cuts = torch.arange(number, device=stopped.device)[:, None, None] / number
        shares = (stopped / stopped[-1].clamp(min=1e-6)).clamp(cuts, cuts + 1 / number).diff(dim=1) * number
        with rounded_products(features.device):
            merged_features = torch.bmm(shares.permute(2, 0, 1), features.transpose(0, 1))
        # Near the middle sample, so that squares of places can be subtracted from each other.
        middle = steps.positions[:, len(steps) // 2]
        away = steps.positions - middle[:, None]
        measured = torch.cat([away, (away * away).sum(0, keepdim=True), footprint[None]])
        means = torch.stack([(share * measured).sum(1) for share in shares])
        variance = (means[:, 3] - (means[:, :3] ** 2).sum(1)).clamp(min=0)
        spread = (merging.spread_mult**2 * variance + means[:, 4] ** 2).sqrt()
        return SurfacePoints(
            (means[:, :3] + middle).permute(2, 0, 1), merged_features.float(),
            (stopped[-1] / number)[:, None, None].expand(-1, number, 1), spread.T[..., None],
        )  # fmt: skip


def _stopped(steps: Steps, density: Float[Tensor, "steps rays"], scale: Tensor) -> Float[Tensor, "edges rays"]:
    """The share of each ray that has ended before each edge."""
    optical = running_sums(density * (steps.edges.diff(dim=0) * scale))
    return F.pad(optical.neg_().expm1_().neg_(), (0, 0, 1, 0))


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
