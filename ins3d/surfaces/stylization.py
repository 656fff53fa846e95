"""A surface as a subject of the style stage: patches of rays that meet it."""

import torch
from torch import Tensor

from ins3d.fields.geometry_losses import eikonal_loss
from ins3d.perception.color_transfer import color_statistics
from ins3d.style.colors import StyleColors
from ins3d.style.mix import Mix
from ins3d.style.objective import StyleObjective
from ins3d.style.patches import rays_to_patches
from ins3d.style.sampling import MixSampler
from ins3d.style.stage import Patches
from ins3d.surfaces.sphere_tracing import surface_positions, trace_rays
from ins3d.surfaces.stylized import StylizedSurface
from ins3d.surfaces.windows import SurfaceRays, SurfaceWindows

NUM_FIXED_PATCHES = 16
"""Losses and colours are measured on this many."""
NUM_EIKONAL = 256
EIKONAL_WEIGHT = 0.1
"""Of a shape that may move: how much its distance must grow by one unit a unit."""
DISTANCE_WEIGHT = 0.1
"""Of a shape that may move: how much its distance from the fit's counts, in shares of the bound."""


class SurfaceSubject:
    """A fitted surface that is painted (spec A.9, stage 2): its shape and colours are frozen, SIM and AM learn.

    See `style.stage.Subject`.
    """

    def __init__(self, field: StylizedSurface, windows: SurfaceWindows, objective: StyleObjective, seed: int) -> None:
        self.field, self.windows, self.objective, self.seed = field, windows, objective, seed
        seen = torch.cat([rays.rgb[rays.hit[:, 0] > 0] for rays in self._fixed_rays()])
        field.colors.see_scene(color_statistics(seen))

    @property
    def colors(self) -> StyleColors:
        """The field's."""
        return self.field.colors

    def draw(self, step: int, mixes: MixSampler, generator: torch.Generator) -> tuple[SurfaceRays, Mix]:
        """See `Subject.draw`."""
        mix = mixes.mix(step, generator)
        return self.windows.draw(generator), mix

    def look(self, window: SurfaceRays, mix: Mix, generator: torch.Generator) -> Patches:
        """See `Subject.look`."""
        if not self.field.bound:
            return self._patches(window, self._over_mean(self._paint(window, mix), window.hit, mix), mix)
        rgb, hit, positions = self._retrace(window, mix)
        seen = self._patches(window, self._over_mean(rgb, hit, mix), mix)
        seen.losses = self._shape_losses(positions, mix, generator)
        return seen

    def fixed(self, mix: Mix, painted: bool) -> Patches:
        """See `Subject.fixed`."""
        every = []
        for rays in self._fixed_rays():
            rgb = self._paint(rays, mix) if painted else rays.rgb
            seen = self._patches(rays, self._over_mean(rgb, rays.hit, mix), mix)
            every.append((seen.painted if painted else seen.photographs, seen.photographs, seen.mask))
        shown, photographs, mask = (torch.cat(values) for values in zip(*every, strict=True))
        return Patches(shown, photographs, mask)

    def _fixed_rays(self) -> list[SurfaceRays]:
        generator = torch.Generator().manual_seed(self.seed)
        return [self.windows.draw(generator) for _ in range(NUM_FIXED_PATCHES)]

    def _paint(self, rays: SurfaceRays, mix: Mix) -> Tensor:
        """Stylised colours at the content's hits; rays that miss are black, and covered afterwards."""
        hit, rgb = rays.hit[:, 0] > 0, torch.zeros_like(rays.rgb)
        rgb[hit] = self.field.rgb(rays.rgb[hit], rays.positions[hit], mix.code().to(rgb), rays.footprint[hit])
        return rgb

    def _retrace(self, rays: SurfaceRays, mix: Mix) -> tuple[Tensor, Tensor, Tensor]:
        """(colours, hit, positions of the hits): where rays meet the stylised shape, which moves with it."""
        code = mix.code().to(rays.rgb)
        shown = self.field.shown(code)
        hits = trace_rays(shown.signed_distance, rays.origins, rays.directions)
        hit, at = hits.hit, hits.positions[hits.hit]
        with torch.no_grad():
            gradient = shown.gradient(at)
        positions = surface_positions(at, rays.directions[hit], shown.signed_distance(at), gradient)
        rgb = torch.zeros_like(rays.rgb)
        rgb[hit] = shown.rgb(positions)
        return rgb, hit[:, None].float(), at

    def _shape_losses(self, positions: Tensor, mix: Mix, generator: torch.Generator) -> dict[str, Tensor]:
        """What keeps a shape that may move a shape, and near to the frozen one."""
        if not len(positions):
            return {}
        chosen = positions[torch.randint(len(positions), (NUM_EIKONAL,), generator=generator).to(positions.device)]
        around = chosen + 0.02 * torch.randn(chosen.shape, generator=generator).to(chosen)
        shown = self.field.shown(mix.code().to(positions))
        apart = (shown.signed_distance(chosen) - self.field.content.signed_distance(chosen)).abs().mean()
        return {
            "eikonal_loss": EIKONAL_WEIGHT * eikonal_loss(shown.gradient(around)),
            "distance_loss": DISTANCE_WEIGHT * apart / self.field.bound,
        }

    def _patches(self, rays: SurfaceRays, painted: Tensor, mix: Mix) -> Patches:
        """With what the content is compared with, in the style's colours.

        Differs from INS, which compares with the photographs: the fitted colours are known at any ray, between pixels too.
        """
        recolored = self.field.colors.map(rays.rgb, 1.0, mix.code().to(rays.rgb)).clamp(0, 1)
        return Patches(
            painted, self._over_mean(recolored, rays.hit, mix), rays_to_patches(rays.weight, self.windows.plan.patch)
        )

    def _over_mean(self, rgb: Tensor, hit: Tensor, mix: Mix) -> Tensor:
        """A picture before the style's mean colour: against white, every silhouette is an edge that no paint removes."""
        behind = torch.stack([share * self.objective.styles[style].colors.mean for style, share in mix.parts]).sum(0)
        return rays_to_patches(rgb * hit + (1 - hit) * behind.to(rgb), self.windows.plan.patch)
