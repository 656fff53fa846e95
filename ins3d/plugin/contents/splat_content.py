"""Splats of a file, or of a `splatfacto` run, as what is painted. Kind `splats`."""

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from nerfstudio.cameras.rays import RayBundle
from scipy.spatial import KDTree
from torch import Tensor, nn

from ins3d.fields.merged_points import SurfacePoints, merge_samples
from ins3d.fields.table_rows import parameter_state
from ins3d.plugin.contents.content import CONTENTS, SETTING, Content
from ins3d.plugin.rays.compositing import MIN_ACCUMULATION
from ins3d.plugin.rays.field_along_rays import BEHIND, PREPARING
from ins3d.plugin.rays.look import Look, Merging
from ins3d.splats.crossings import CrossedSplats, Crossings
from ins3d.splats.gaussians import Gaussians
from ins3d.splats.harmonics import NUMBER, view_colors

NO_FILE = f"{SETTING}: splats have no file; give one, --pipeline.content-checkpoint scene.ply."
NEIGHBOURS = 8
"""Splats that say where a surface faces."""


@dataclass
class SplatSettings:
    """Splats, from a file: `--pipeline.content-checkpoint scene.ply` says the rest."""

    number: int = 0
    """How many."""
    degree: int = 0
    """Of the spherical harmonics of their colours, 0 to 3."""

    def setup(self) -> "SplatContent":
        """Builds a content with room for so many; ValueError where nothing was loaded."""
        if not self.number:
            raise ValueError(NO_FILE)
        return SplatContent(self.number, self.degree)


class SplatContent(Content):
    """Splats, in scene units.

    A splat's colour that does not depend on the view is what CIM says of its place; strokes are laid on it, and what changes
    with the view stays on top of them, as it does with fields.
    """

    num_color_features = 3
    points_as_learned = True  # layers of splats lie apart: in more pieces of a ray strokes are harder than they were learned
    means: Tensor
    scales: Tensor
    rotations: Tensor
    opacities: Tensor
    rgb: Tensor
    harmonics: Tensor

    def __init__(self, number: int, degree: int) -> None:
        super().__init__()
        shapes = {"means": (3,), "scales": (3,), "rotations": (4,), "opacities": (), "rgb": (3,)}
        for name, shape in {**shapes, "harmonics": (NUMBER[degree], 3)}.items():
            self.register_buffer(name, torch.zeros(number, *shape))
        self._crossed: tuple[tuple[int, ...], CrossedSplats, KDTree] | None = None

    @property
    def splats(self) -> Gaussians:
        """All of them."""
        return Gaussians(**{each.name: getattr(self, each.name) for each in fields(Gaussians)})

    def take(self, splats: Gaussians) -> None:
        """Other splats, as many as there are."""
        for each in fields(Gaussians):
            getattr(self, each.name).copy_(getattr(splats, each.name))

    # ---- what every content answers

    def look(self, rays: RayBundle, merging: Merging) -> Look:
        """See `Content.look`. Rays of one origin are looked at together."""
        origins, which = rays.origins.unique(dim=0, return_inverse=True)
        if len(origins) == 1:
            return self._look(rays, merging)
        order = which.argsort(stable=True)
        parts = [self._look(rays[order[part]], merging) for part in _runs(which[order])]
        return _together(parts, order.argsort())

    def best_order(self, rays: RayBundle) -> Int[Tensor, " rays"]:
        """See `Content.best_order`: by origin."""
        return rays.origins.unique(dim=0, return_inverse=True)[1].argsort(stable=True)

    def _look(self, rays: RayBundle, merging: Merging) -> Look:
        origin = rays.origins[0]
        # The host's exporters look along rays of no camera, and say 1.
        pixel = float(rays.pixel_area.median().sqrt()) if float(rays.pixel_area.amax()) < 1 else 0.0
        found = self._known()[0].crossings(origin, rays.directions, pixel)
        rgb = self.rgb[found.splats]
        if self.harmonics.shape[1]:
            seen, which = found.splats.unique(return_inverse=True)  # of all splats a chunk of rays crosses few
            towards = F.normalize(self.means[seen] - origin, dim=-1)
            rgb = rgb + view_colors(self.harmonics[seen], towards)[which]
        shown = _summed(found, rgb.clamp(min=0), len(rays))
        accumulation = _summed(found, torch.ones_like(found.weights)[:, None], len(rays))
        depth = _summed(found, found.depths[:, None], len(rays)) / accumulation.clamp(min=1e-6)
        points, weights = self._points(rays, found, pixel, merging)
        return Look(
            rgb=shown + (1 - accumulation) * self.background,
            accumulation=accumulation,
            depth=torch.where(accumulation > MIN_ACCUMULATION, depth, self.placement.far + BEHIND),
            points=points,
            weights=weights,
        )

    def _points(
        self, rays: RayBundle, found: Crossings, pixel: float, merging: Merging
    ) -> tuple[SurfacePoints, Float[Tensor, "rays samples 1"]]:
        """What rays cross in rows of one length, the rest of weight 0; and the weights."""
        depths = found.depths
        counts = torch.bincount(found.rays, minlength=len(rays))
        place = torch.arange(len(found.rays), device=depths.device) - (counts.cumsum(0) - counts)[found.rays]
        most = max(int(counts.max()), 1)

        def rows(values: Tensor) -> Tensor:
            made = values.new_zeros(len(rays), most, values.shape[-1])
            made[found.rays, place] = values
            return made

        weights = rows(found.weights[:, None])
        places = rays.origins[found.rays] + rays.directions[found.rays] * depths[:, None]
        footprint = merging.footprint_mult * pixel * depths[:, None] * self.placement.scale_across(places)
        positions, rgb = rows(self.placement(places)), rows(self.rgb[found.splats].clamp(0, 1))
        if merging.num_points is None:
            return SurfacePoints(positions, rgb, weights, rows(footprint)), weights
        # Splats of one surface lie in layers: how far apart says nothing of how sure its place is.
        merged = merge_samples(weights, positions, rgb, merging.num_points, 0.0, rows(footprint))
        return merged, weights

    def restyle(
        self,
        points: SurfacePoints,
        features: Float[Tensor, "rays points channels"],
        directions: Float[Tensor, "rays points 3"] | None,
    ) -> Float[Tensor, "rays points 3"]:
        """There is no colour head: features are colours."""
        return features

    def normals(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, "points 3"]:
        """Across the nearest splats: against the slope of the density that they add up to. A sheet of them has two sides."""
        crossed, tree = self._known()
        near = torch.from_numpy(tree.query(points.cpu().numpy(), min(NEIGHBOURS, len(self.means)))[1]).to(points.device)
        near = near.reshape(len(points), -1)
        inverse = crossed.inverse[near]
        away = (inverse @ (points[:, None] - self.means[near])[..., None])[..., 0]
        share = (self.opacities[near].clamp(min=1e-6).log() - 0.5 * (away**2).sum(-1)).softmax(-1)
        slope = (share[..., None] * (inverse.transpose(-1, -2) @ away[..., None])[..., 0]).sum(1)
        return F.normalize(slope, dim=-1)

    def param_groups(self) -> dict[str, list[nn.Parameter]]:
        """Nothing learns."""
        return {}

    def _known(self) -> tuple[CrossedSplats, KDTree]:
        """The splats as rays and points ask for them."""
        state = parameter_state(self.means, self.scales, self.rotations, self.opacities)
        with PREPARING:  # threads share a picture
            if self._crossed is None or self._crossed[0] != state:
                with torch.inference_mode(False), torch.no_grad():
                    self._crossed = state, CrossedSplats(self.splats), KDTree(self.means.cpu().numpy())
        return self._crossed[1:]


# ---- rays of several origins


def _runs(sorted_numbers: Tensor) -> list[slice]:
    counts = sorted_numbers.unique_consecutive(return_counts=True)[1].tolist()
    ends = torch.tensor([0, *counts]).cumsum(0).tolist()
    return [slice(first, end) for first, end in zip(ends, ends[1:], strict=False)]


def _together(parts: list[Look], order: Tensor) -> Look:
    most = max(part.weights.shape[1] for part in parts)
    longest = max(part.points.weights.shape[1] for part in parts)

    def joined(values: list[Tensor], length: int | None = None) -> Tensor:
        if length is not None:
            values = [F.pad(each, (0, 0, 0, length - each.shape[1])) for each in values]
        return torch.cat(values)[order]

    points = {
        name: joined([getattr(part.points, name) for part in parts], longest)
        for name in ("positions", "color_features", "weights", "spread")
    }
    return Look(
        **{name: joined([getattr(part, name) for part in parts]) for name in ("rgb", "accumulation", "depth")},
        points=SurfacePoints(**points),
        weights=joined([part.weights for part in parts], most),
    )


def _summed(found: Crossings, values: Float[Tensor, "pairs channels"], number: int) -> Float[Tensor, "{number} channels"]:
    """By ray, with the weights."""
    return values.new_zeros(number, values.shape[-1]).index_add_(0, found.rays, found.weights[:, None] * values)


CONTENTS.register("splats", SplatSettings)
