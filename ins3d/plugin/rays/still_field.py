"""A content that nothing changes any more, as pictures look at it: sooner."""

import torch
from jaxtyping import Float
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from ins3d.fields.content_features import EncodedContent
from ins3d.fields.merged_points import SurfacePoints
from ins3d.fields.precision import rounded_products
from ins3d.plugin.rays.compositing import MIN_ACCUMULATION
from ins3d.plugin.rays.field_along_rays import BEHIND, FieldAlongRays
from ins3d.plugin.rays.look import Look, Merging
from ins3d.plugin.rays.places import Steps, steps_along


class StillField:
    """Looks along rays as `FieldAlongRays` does, where nothing learns: 40 dB or better to it (docs/results.md, Frames).

    Coordinates lie apart instead of together, what a direction says is computed once for a ray, and networks are rounded
    (`rounded_products`); places are not.
    """

    def __init__(self, field: FieldAlongRays) -> None:
        assert isinstance(field.content, EncodedContent)
        self.field, self.content, self.placement = field, field.content, field.placement

    @staticmethod
    def suits(field: FieldAlongRays) -> bool:
        """Whether its samples have places of their own and its features are looked up: the default."""
        return isinstance(field.content, EncodedContent) and field.has_places

    def look(self, rays: RayBundle, merging: Merging) -> Look:
        """See `Content.look`."""
        steps = steps_along(rays, self.field.edges(rays), self.placement)
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

    def _stopped(self, steps: Steps, density: Float[Tensor, "steps rays"]) -> Float[Tensor, "edges rays"]:
        stopped = steps.stopped(density, self.placement.density_scale)
        if not self.placement.is_bounded:
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
