"""A scene as a subject of the style stage: windows of training pixels, seen through the content."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from ins3d.fields.merged_points import SurfacePoints
from ins3d.plugin.datamanager import InsStylizeDataManager
from ins3d.plugin.model import InsStylizeModel
from ins3d.plugin.pixel_sampler import WindowSampler
from ins3d.plugin.sample_pool import Progress, SampleCache, fill_cache
from ins3d.style.colors import StyleColors
from ins3d.style.mix import Mix
from ins3d.style.objective import StyleObjective
from ins3d.style.patches import rays_to_pictures
from ins3d.style.sampling import MixSampler
from ins3d.style.stage import Patches
from ins3d.style.windows import Extent

NUM_FIXED_PATCHES = 16
"""Losses and colours are measured on this many."""


@dataclass(frozen=True)
class SceneWindow:
    """Windows of one size, in pictures reduced by `stride`."""

    stride: int
    extent: Extent
    """Rays (down, across) of each."""
    pixels: Int[Tensor, "rays 3"]
    """(camera, row, column) in the reduced pictures."""
    places: Int[Tensor, " kept"]
    """In the cache, where there is one."""


class SceneSubject:
    """A scene that is painted; see `style.stage.Subject`."""

    def __init__(
        self, model: InsStylizeModel, data: InsStylizeDataManager, sampler: WindowSampler, objective: StyleObjective,
        frozen: bool,
    ) -> None:  # fmt: skip
        """`frozen`: the content does not learn in the style stage."""
        self.model, self.data, self.sampler, self.objective, self.frozen = model, data, sampler, objective, frozen
        self.cache: SampleCache | None = None

    @property
    def colors(self) -> StyleColors:
        """The model's."""
        return self.model.colors

    # ---- what is kept

    @property
    def keeps_points(self) -> bool:
        """Merged points can be kept when nothing before the style can move."""
        return self.model.config.geometry == "locked" and self.model.config.shading == "deferred" and self.frozen

    def keep_samples(self, folder: Path, progress: Progress) -> None:
        """Looks at the windows of training pixels once, where their merged points can be kept."""
        if not self.keeps_points:
            return
        # A generator of its own: a resumed run keeps the same pixels, and draws as if it had not stopped.
        generator = torch.Generator().manual_seed(self.data.config.seed)
        self.cache = fill_cache(self.sampler, self._points_of, folder, generator, progress)

    def _points_of(self, stride: int, pixel_indices: Tensor) -> dict[str, Tensor]:
        """Merged points as AM sees them, the content's colour, and what the points contribute to it without a style."""
        return self.model.in_chunks(self._points_along, self.data.pyramid[stride].rays(pixel_indices))

    def _points_along(self, rays: RayBundle) -> dict[str, Tensor]:
        look = self.model.look(rays)
        points, plain = look.points, self.model.plain_rgb(look.points, rays)
        return {
            "positions": points.positions,
            "features": self.model.told(points, plain).color_features.half(),
            "weights": points.weights.half(),
            "spread": points.spread.half(),
            "content": look.rgb.half(),
            "plain": (points.weights * plain).sum(-2).half(),
        }

    # ---- what the stage asks for

    def draw(self, step: int, mixes: MixSampler, generator: torch.Generator) -> tuple[SceneWindow, Mix]:
        """See `Subject.draw`: patches of one stride."""
        stride = self.sampler.draw_stride(generator)
        mix = mixes.mix(step, generator)
        extent = self.sampler.plan.patch_at(stride)
        return self._draw(self.sampler.settings.num_patches, extent, stride, generator), mix

    def look(self, window: SceneWindow, mix: Mix, generator: torch.Generator) -> Patches:
        """See `Subject.look`."""
        code = mix.code()
        rgb, empty, losses = self._render(window, code)
        # An empty background is white or black as it happens: an edge against it is nothing that the style can paint, so
        # patches are judged before the style's mean colour. In an open scene nothing is empty.
        behind = self._mean_color(mix) if self.model.config.over_style_mean else self.model.background
        rgb = rgb + empty * (behind - self.model.background)
        counts = self.data.pyramid[window.stride].store.counts(window.pixels)
        seen = (rgb, self._photographs(window, behind, code), counts)
        painted, photographs, mask = (rays_to_pictures(values, window.extent) for values in seen)
        return Patches(painted, photographs, mask if bool((mask < 1).any()) else None, losses)

    def fixed(self, mix: Mix, painted: bool) -> Patches:
        """See `Subject.fixed`: patches that fit at every stride, which is drawn. Of what is painted, at the widest, which
        shows most of a picture: colours of small squares are those of what they happen to see."""
        generator = torch.Generator().manual_seed(self.data.config.seed)
        shown = mix if painted else Mix(mix.weights, 0.0)
        plan, every = self.sampler.plan, []
        strides = (max(plan.strides),) if painted else plan.strides
        extents = [plan.patch_at(stride) for stride in strides]
        extent = (min(height for height, _ in extents), min(width for _, width in extents))
        for _ in range(NUM_FIXED_PATCHES):  # one at a time: with every sample shaded, patches are large
            stride = strides[int(torch.randint(len(strides), (), generator=generator))]
            window = self._draw(1, extent, stride, generator)
            every.append(self.look(window, shown, generator))
        masks = [torch.ones_like(seen.painted[:, :1]) if seen.mask is None else seen.mask for seen in every]
        mask = None if all(seen.mask is None for seen in every) else torch.cat(masks)
        patches, photographs = torch.cat([seen.painted for seen in every]), torch.cat([seen.photographs for seen in every])
        if painted:
            return Patches(patches, photographs, mask)
        return Patches(self._recolored(patches, mix), self._recolored(photographs, mix), mask)

    # ---- rays to patches

    def _draw(self, number: int, extent: Extent, stride: int, generator: torch.Generator) -> SceneWindow:
        drawn = [self._draw_one(extent, stride, generator) for _ in range(number)]
        pixels, places = (torch.cat(parts) for parts in zip(*drawn, strict=True))
        return SceneWindow(stride, extent, pixels, places)

    def _draw_one(self, extent: Extent, stride: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(pixel indices, their places in the cache)."""
        if self.cache is None:
            indices = self.sampler.draw_window(extent, stride, generator)
            return indices, indices.new_zeros(0)
        places = self.cache.draw_patch(extent, stride, generator)
        return self.cache.pixel_indices[places], places

    def _rays(self, window: SceneWindow) -> RayBundle:
        return self.data.pyramid[window.stride].rays(window.pixels)

    def _render(self, window: SceneWindow, code: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Colours of the rays before clamping, how empty they are, and the geometry loss where there is one."""
        if self.cache is not None:
            return *self._render_kept(window, code), {}
        rays = self._rays(window)
        with torch.set_grad_enabled(not self.frozen and torch.is_grad_enabled()):
            look = self.model.look(rays)
        stylized = self.model.stylize(look, rays, code)
        return stylized.rgb, 1 - stylized.look.accumulation, self.model.geometry_loss(look, stylized)

    def _render_kept(self, window: SceneWindow, code: Tensor) -> tuple[Tensor, Tensor]:
        assert self.cache is not None
        rays = self._rays(window) if self.model.config.style_field.view_direction else None
        kept = {name: values[window.places].float() for name, values in self.cache.kept.items()}
        points = SurfacePoints(kept["positions"], kept["features"], kept["weights"], kept["spread"])
        change = (points.weights * self.model.styled_rgb(points, rays, code)).sum(-2) - kept["plain"]
        accumulation = points.weights.sum(-2)
        return self.model.recolor(kept["content"] + self.model.colors.change(change), accumulation, code), 1 - accumulation

    def _mean_color(self, mix: Mix) -> Tensor:
        return torch.stack([share * self.objective.styles[style].colors.mean for style, share in mix.parts]).sum(0)

    def _photographs(self, window: SceneWindow, behind: Tensor, code: Tensor) -> Tensor:
        """What the content is compared with: the photographs, recoloured as the scene is."""
        colors = self.data.pyramid[window.stride].store.colors(window.pixels)
        alpha = colors[:, 3:] if colors.shape[-1] == 4 else torch.ones_like(colors[:, :1])
        recolored = self.model.colors.map(colors[:, :3] * alpha, alpha, code).clamp(0, 1)
        return recolored + (1 - alpha) * behind

    def _recolored(self, patches: Tensor, mix: Mix) -> Tensor:
        code = mix.code()
        return self.model.colors.map(patches.permute(0, 2, 3, 1), 1.0, code).clamp(0, 1).permute(0, 3, 1, 2)
