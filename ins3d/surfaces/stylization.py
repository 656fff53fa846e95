"""The style stage of a surface: patches of rays that meet it become stylised pictures, and pictures become losses."""

import torch
from torch import Tensor

from ins3d.fields.geometry_losses import eikonal_loss
from ins3d.perception.color_transfer import color_statistics
from ins3d.perception.losses import Mask
from ins3d.style.draws import StyleDraws
from ins3d.style.mix import StyleMix, single_style
from ins3d.style.objective import StyleObjective
from ins3d.style.patches import rays_to_patches
from ins3d.surfaces.sphere_tracing import surface_positions, trace_rays
from ins3d.surfaces.stylized import StylizedSurface
from ins3d.surfaces.windows import SurfaceRays, SurfaceWindows

NUM_FIXED_PATCHES = 16
"""Losses and colours are measured on this many."""
NUM_EIKONAL = 256


class SurfaceStyling:
    """Stage 2 of INS on a surface (spec A.9): the content's shape and colours are frozen, SIM and AM learn."""

    def __init__(
        self, field: StylizedSurface, windows: SurfaceWindows, objective: StyleObjective, draws: StyleDraws, seed: int,
        eikonal_weight: float = 0.1, distance_weight: float = 0.1,
    ) -> None:  # fmt: skip
        self.field, self.windows, self.objective, self.draws, self.seed = field, windows, objective, draws, seed
        self.eikonal_weight, self.distance_weight = eikonal_weight, distance_weight

    @torch.no_grad()
    def begin(self) -> None:
        """The colour maps, then what each loss is divided by: its value at the start."""
        seen = torch.cat([rays.rgb[rays.hit[:, 0] > 0] for rays in self._fixed_rays()])
        scene = color_statistics(seen)
        self.field.colors.see_scene(scene)
        units = []
        for style, target in enumerate(self.objective.styles):
            self.field.colors.match(style, scene, target.colors)
            mix = single_style(style, len(self.objective.styles))
            drawn = [self._photographs(rays, mix) for rays in self._fixed_rays()]
            photographs, mask = (torch.cat(values) for values in zip(*drawn, strict=True))
            generator = torch.Generator().manual_seed(self.seed)
            units.append(self.objective.measure_units(photographs, photographs, style, generator, mask))
        self.objective.units = torch.stack(units)

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """One step's, weighted."""
        mix = self.draws.mix(step, generator)
        rays = self.windows.draw(generator)
        photographs, mask = self._photographs(rays, mix)
        if not self.field.bound:
            patches = self._over_mean(self._paint(rays, mix), rays.hit, mix)
            return self.objective.weighted_losses(patches, photographs, mix, generator, mask)
        rgb, hit, positions = self._retrace(rays, mix)
        patches = self._over_mean(rgb, hit, mix)
        return self.objective.weighted_losses(patches, photographs, mix, generator, mask) | self._shape_losses(
            positions, mix, generator
        )

    @torch.no_grad()
    def end(self) -> None:
        """After the last step: the colours of what has been painted are matched once more."""
        for style in range(len(self.objective.styles)) if self.field.colors.mode == "style" else []:
            mix = single_style(style, len(self.objective.styles))
            drawn = [(self._over_mean(self._paint(rays, mix), rays.hit, mix), rays) for rays in self._fixed_rays()]
            patches = torch.cat([patch for patch, _ in drawn])
            mask = torch.cat([self._mask(rays) for _, rays in drawn])
            self.field.colors.add(style, self.objective.matching_map(patches, style, mask))

    @torch.no_grad()
    def gram_distance(self, style: int, strength: float = 1.0) -> float:
        """The relative Gram distance of fixed patches to a style."""
        mix = single_style(style, len(self.objective.styles), strength)
        drawn = [(self._over_mean(self._paint(rays, mix), rays.hit, mix), self._mask(rays)) for rays in self._fixed_rays()]
        patches, mask = (torch.cat(values) for values in zip(*drawn, strict=True))
        return float(self.objective.gram_distance(patches.clamp(0, 1), style, mask))

    def _fixed_rays(self) -> list[SurfaceRays]:
        generator = torch.Generator().manual_seed(self.seed)
        return [self.windows.draw(generator) for _ in range(NUM_FIXED_PATCHES)]

    def _paint(self, rays: SurfaceRays, mix: StyleMix) -> Tensor:
        """Stylised colours at the content's hits, rays that miss included: those are covered afterwards."""
        return self.field.rgb(rays.features, rays.positions, rays.normals, mix.code().to(rays.rgb))

    def _retrace(self, rays: SurfaceRays, mix: StyleMix) -> tuple[Tensor, Tensor, Tensor]:
        """(colours, hit, positions of the hits): where rays meet the stylised shape, which moves with it."""
        code = mix.code().to(rays.rgb)
        shown = self.field.shown(code)
        hits = trace_rays(shown.signed_distance, rays.origins, rays.directions)
        hit = hits.hit
        origins, directions, distances = rays.origins[hit], rays.directions[hit], hits.distances[hit]
        at = origins + distances[:, None] * directions
        with torch.no_grad():
            gradient = shown.gradient(at)
        positions = surface_positions(origins, directions, distances, shown.signed_distance(at), gradient)
        rgb = torch.zeros_like(rays.rgb)
        rgb[hit] = shown.rgb(positions)
        return rgb, hit[:, None].float(), at

    def _shape_losses(self, positions: Tensor, mix: StyleMix, generator: torch.Generator) -> dict[str, Tensor]:
        """What keeps a shape that may move a shape, and near to the frozen one."""
        if not len(positions):
            return {}
        chosen = positions[torch.randint(len(positions), (NUM_EIKONAL,), generator=generator).to(positions.device)]
        around = chosen + 0.02 * torch.randn(chosen.shape, generator=generator).to(chosen)
        shown = self.field.shown(mix.code().to(positions))
        apart = (shown.signed_distance(chosen) - self.field.content.signed_distance(chosen)).abs().mean()
        return {
            "eikonal_loss": self.eikonal_weight * eikonal_loss(shown.gradient(around)),
            "distance_loss": self.distance_weight * apart / self.field.bound,
        }

    def _photographs(self, rays: SurfaceRays, mix: StyleMix) -> tuple[Tensor, Mask]:
        """(what the content is compared with, in the style's colours; the mask).

        Differs from INS, which compares with the photographs: the fitted colours are known at any ray, between pixels too.
        """
        code = mix.code().to(rays.rgb)
        recolored = self.field.colors.map(rays.rgb, 1.0, code).clamp(0, 1)
        return self._over_mean(recolored, rays.hit, mix), self._mask(rays)

    def _over_mean(self, rgb: Tensor, hit: Tensor, mix: StyleMix) -> Tensor:
        """A picture before the style's mean colour: against white, every silhouette is an edge that no paint removes."""
        behind = torch.stack([share * self.objective.styles[style].colors.mean for style, share in mix.parts]).sum(0)
        return rays_to_patches(rgb * hit + (1 - hit) * behind.to(rgb), self.windows.settings.patch)

    def _mask(self, rays: SurfaceRays) -> Mask:
        return rays_to_patches(rays.weight, self.windows.settings.patch)
