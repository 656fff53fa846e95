"""A content field along rays: where samples lie, what the field says there, and what that is worth for the pixel."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from nerfstudio.cameras.rays import RayBundle, RaySamples
from nerfstudio.model_components.ray_samplers import ProposalNetworkSampler
from torch import Tensor, nn

from ins3d.fields.content_features import ContentFeatures, ContentPoint
from ins3d.fields.table_rows import parameter_state
from ins3d.placement.scene import ScenePlacement
from ins3d.plugin.rays.compositing import expected_depth
from ins3d.plugin.rays.places import Places
from ins3d.plugin.rays.proposals import CoarseDensity, PlaneDensity

PREPARING = Lock()
SHORT_RAY = 0.3
"""In radii of the scene: rays that texture a mesh are shorter."""
BEHIND = 2.0
"""Scene units: as far beyond all that cameras see as the box is wide in which the host looks for a mesh."""


@dataclass
class RayContent:
    """What the content field says along rays."""

    samples: RaySamples
    positions: Float[Tensor, "rays samples 3"]
    """In the unit ball."""
    point: ContentPoint
    weights: Float[Tensor, "rays samples 1"]
    proposal_weights: list[Tensor]
    proposal_samples: list[RaySamples]


class FieldAlongRays(nn.Module):
    """Samples rays and asks the field; whoever inherits builds the parts."""

    content: ContentFeatures
    proposals: nn.ModuleList
    placement: ScenePlacement
    background: Tensor
    sampler: ProposalNetworkSampler
    _places: tuple[tuple[int, ...], Places] | None = None

    def density_functions(self) -> list[Callable[[Tensor], Tensor]]:
        """For the host's sampler: positions in scene units to density per scene unit."""

        def asked(proposal: nn.Module) -> Callable[[Tensor], Tensor]:
            return lambda positions: proposal(self.placement(positions)) * self.placement.density_scale

        return [asked(proposal) for proposal in self.proposals]

    def bounds(self, rays: RayBundle) -> tuple[Float[Tensor, "rays 1"], Float[Tensor, "rays 1"]]:
        """Where along the rays to look, in scene units."""
        near, far = self.placement.ray_bounds(rays.origins, rays.directions)
        if rays.nears is not None and rays.fars is not None:
            # A crop box of the viewer or of a camera path; or, where rays are short, `ns-export` looking at a mesh from
            # close by: these do not start at a camera, and the scene's near is none of theirs.
            short = rays.fars - rays.nears < SHORT_RAY * self.placement.radius
            near = torch.where(short, torch.maximum(rays.nears, 0.1 * rays.fars), torch.maximum(near, rays.nears))
            far = torch.maximum(torch.where(short, rays.fars, torch.minimum(far, rays.fars)), near * 1.001)
        return near, far

    @property
    def has_places(self) -> bool:
        """Whether pictures are sampled at places of their own: where one network of planes proposes, the default."""
        return [type(each) for each in self.proposals] == [PlaneDensity]

    def edges(self, rays: RayBundle) -> Float[Tensor, "edges rays"]:
        """Of the samples that pictures are made of, in scene units; for fields that have places."""
        with PREPARING:  # threads share a picture
            state = parameter_state(*self.proposals.parameters(), *self.placement.buffers())
            if self._places is None or self._places[0] != state:
                (number,) = self.sampler.num_proposal_samples_per_ray
                with torch.inference_mode(False), torch.no_grad():  # what is kept may be copied elsewhere
                    self._places = state, Places(cast(PlaneDensity, self.proposals[0]), self.placement, number)
        return self._places[1].edges(rays, *self.bounds(rays), self.sampler.num_nerf_samples_per_ray)

    def sample(self, rays: RayBundle) -> tuple[RaySamples, list[Tensor], list[RaySamples]]:
        """Where along the rays something is. Only what learns, or has no places, returns what the proposal networks said."""
        near, far = self.bounds(rays)
        if self.has_places and not self.training:
            with torch.no_grad():
                edges = self.edges(rays).T[..., None]
            return rays.get_ray_samples(bin_starts=edges[:, :-1], bin_ends=edges[:, 1:]), [], []
        return self.sampler(replace(rays, nears=near, fars=far), density_fns=self.density_functions())

    def forward(self, rays: RayBundle) -> RayContent:
        """Samples the rays and asks the field."""
        return self.at(*self.sample(rays))

    def at(self, samples: RaySamples, proposal_weights: list[Tensor], proposal_samples: list[RaySamples]) -> RayContent:
        """Asks the field at given samples."""
        positions = self.placement(samples.frustums.get_positions())
        point = self.content(positions)
        weights = self.weights(samples, point.raw_density)
        return RayContent(samples, positions, point, weights, proposal_weights, proposal_samples)

    def depth(self, samples: RaySamples, weights: Float[Tensor, "rays samples 1"]) -> Float[Tensor, "rays 1"]:
        """Mean distance along the ray; behind everything where nothing is, so that `ns-export tsdf` finds no surface."""
        return expected_depth(samples, weights, self.placement.far + BEHIND)

    def footprint(self, samples: RaySamples) -> Float[Tensor, "rays samples 1"]:
        """The width of what a pixel sees at each sample, in ball radii; 0 for rays that have no pixel."""
        area = samples.frustums.pixel_area
        # The host's exporters look at a mesh along rays of no camera, and say 1.
        side = torch.where(area < 1, area, 0).sqrt() * (samples.frustums.starts + samples.frustums.ends) / 2
        return side * self.placement.scale_across(samples.frustums.get_positions())

    def normals(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, "points 3"]:
        """Unit vectors against the slope of the density, from its values at the corners of a small tetrahedron.

        `points` in scene units; the tetrahedron is a hundredth of their distance from the scene's centre, or of its radius.
        """
        corners = torch.tensor([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], dtype=points.dtype, device=points.device)
        away = (points - self.placement.center).norm(dim=-1, keepdim=True)
        size = 0.01 * torch.maximum(away, self.placement.radius)
        asked = points[:, None] + size[:, None] * corners
        slope = (self.content(self.placement(asked)).raw_density * corners).sum(1)
        return -F.normalize(slope, dim=-1)

    def coarse_samples(self, along: RayContent) -> tuple[Tensor, Tensor] | None:
        """Colours and weights of the paper's coarse network at its own samples; None for the other kinds."""
        coarse = self.proposals[0]
        if not isinstance(coarse, CoarseDensity):
            return None
        samples = along.proposal_samples[0]
        positions = self.placement(samples.frustums.get_positions())
        density, rgb = coarse.density_and_rgb(positions, samples.frustums.directions.expand_as(positions))
        return rgb, self._ended(samples.get_weights(density * self.placement.density_scale))

    def weights(self, samples: RaySamples, raw_density: Float[Tensor, "rays samples 1"]) -> Float[Tensor, "rays samples 1"]:
        """Volume rendering weights. In an unbounded scene every ray ends at its last sample at the latest."""
        return self._ended(samples.get_weights(self.content.density(raw_density) * self.placement.density_scale))

    def _ended(self, weights: Tensor) -> Tensor:
        if self.placement.is_bounded:
            return weights
        rest = 1 - weights.sum(-2, keepdim=True)
        return torch.cat([weights[..., :-1, :], weights[..., -1:, :] + rest], dim=-2)
