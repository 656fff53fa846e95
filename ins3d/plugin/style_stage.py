"""One step of the style stage: patches of training pixels become stylised pictures, and pictures become losses."""

import time
import zlib
from pathlib import Path
from typing import Any

import torch
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.utils.rich_utils import CONSOLE
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from ins3d.fields.merged_points import SurfacePoints
from ins3d.perception.color_transfer import between
from ins3d.plugin.datamanager import InsStylizeDataManager
from ins3d.plugin.model import InsStylizeModel
from ins3d.plugin.pixel_sampler import StridedPatchSampler
from ins3d.plugin.sample_pool import SamplePool, build_pool
from ins3d.style.draws import StyleDraws
from ins3d.style.mix import StyleMix, single_style, style_code
from ins3d.style.objective import StyleObjective, colors_of
from ins3d.style.patches import rays_to_patches

NUM_FIXED_PATCHES = 16
"""Losses and colours are measured on this many."""
RESTORED = 0.75
"""How far the painted patches' colours are moved to the style's at the end (docs/design.md, Colours)."""


class StyleStage:
    """Holds what the stage needs and nothing that is saved: it is built anew when a run is resumed."""

    def __init__(
        self, config: Any, model: InsStylizeModel, data: InsStylizeDataManager, sampler: StridedPatchSampler,
        objective: StyleObjective, num_steps: int, num_kept_styles: int = 0,
    ) -> None:  # fmt: skip
        self.config = config
        self.num_steps = num_steps
        self.learned = list(range(num_kept_styles, len(objective.styles)))
        """The styles that this run learns; those before them were finished by an earlier run."""
        self.draws = StyleDraws(
            len(objective.styles), self.learned, data.config.seed, config.model.strength_share, config.model.mix_share
        )
        self.model = model
        self.data = data
        self.sampler = sampler
        self.objective = objective
        self.objective.units = model.loss_units if config.model.loss_scale == "measured" else None
        self.pool: SamplePool | None = None
        self.keeping_seconds = 0.0

    # ---- what is kept

    @property
    def keeps_points(self) -> bool:
        """Merged points can be kept when nothing before the style can move."""
        return self.config.model.geometry == "locked" and self.config.model.shading == "deferred" and self._frozen

    @property
    def _frozen(self) -> bool:
        return self.config.content_style_mult == 0

    def keep_samples(self, folder: Path) -> None:
        """Asks the frozen content once about a pool of training pixels, where its merged points can be kept."""
        if not self.keeps_points:
            return
        started = time.monotonic()
        settings, patches = self.config.pool, self.config.patches
        every = patches.halve_stride_every or self.num_steps
        changes = range(0, max(self.num_steps, 1), max(every, 1))
        strides = sorted({stride for step in changes for stride in self.sampler.strides_at(step)})
        needed = self.num_steps * patches.num_patches * patches.size**2
        # A generator of its own: a resumed run keeps the same pixels, and draws as if it had not stopped.
        generator = torch.Generator().manual_seed(self.data.config.seed)
        columns = (TextColumn("[progress.description]{task.description}"), BarColumn(), TimeRemainingColumn())
        with Progress(*columns, transient=True, console=CONSOLE) as bar:
            task = bar.add_task("keeping samples of training pixels")
            self.pool = build_pool(
                settings, self.sampler, tuple(strides), needed, self._ask_points, folder, generator,
                lambda done, total: bar.update(task, completed=done, total=total),
            )  # fmt: skip
        self.keeping_seconds = time.monotonic() - started

    @property
    def _loss_key(self) -> int:
        return zlib.crc32(repr((self.objective.sees, self.config.model.colors)).encode())

    def check_units(self) -> None:
        """A resumed run must look at pictures as the units of its losses were measured."""
        if int(self.model.loss_key) != self._loss_key:
            raise ValueError(
                "pipeline.model.perceptual-encoder: this run's losses were measured with another encoder, pooling, style "
                "loss, layers, scales or colours; resume it with the settings in its config.yml and the same weights."
            )

    @torch.no_grad()
    def begin(self) -> None:
        """Once, before the first step: the colour maps, then what each loss is divided by. Both are saved with the model."""
        self.model.loss_key.fill_(self._loss_key)
        for style in self.learned:
            self.model.colors.match(style, self.model.colors.scene, self.objective.styles[style].colors)
            if self.config.model.loss_scale == "measured":
                # Under the style's colours, before any of its strokes.
                patches, photographs, mask = self._fixed_patches(style, strength=0.0)
                patches, photographs = self._recolored(patches, style), self._recolored(photographs, style)
                generator = torch.Generator().manual_seed(self.data.config.seed)
                self.model.loss_units[style] = self.objective.measure_units(patches, photographs, style, generator, mask)

    @torch.no_grad()
    def match_colors(self) -> None:
        """Before the last step: the colours of what has been painted are matched once more (ARF, section 4.3).

        Differs from ARF, which gives them all of the style's covariance: a patch of the size of strokes does not hold the
        whole palette, and what is `RESTORED` of it brings back the contrast that small patches cost.
        """
        for style in self.learned if self.config.model.colors == "style" else []:
            patches, _, mask = self._fixed_patches(style, strength=1.0)
            seen = colors_of(patches, mask)
            self.model.colors.match(style, seen, between(seen, self.objective.styles[style].colors, RESTORED))

    def _fixed_patches(self, style: int, strength: float) -> tuple[Tensor, Tensor, Tensor | None]:
        """(stylised patches, photographs, mask) that are the same for every style and every resumed run."""
        generator = torch.Generator().manual_seed(self.data.config.seed)
        mix = single_style(style, len(self.objective.styles), strength)
        # One at a time: with every sample shaded, patches are large.
        drawn = [self._patches(self.sampler.draw_stride(0, generator), mix, 1, generator) for _ in range(NUM_FIXED_PATCHES)]
        masks = [torch.ones_like(patch[:, :1]) if mask is None else mask for patch, _, mask, _ in drawn]
        everything = all(mask is None for _, _, mask, _ in drawn)
        patches, photographs = torch.cat([patch for patch, *_ in drawn]), torch.cat([photo for _, photo, *_ in drawn])
        return patches, photographs, None if everything else torch.cat(masks)

    def _recolored(self, patches: Tensor, style: int) -> Tensor:
        code = style_code(style, len(self.objective.styles), self.model.device)
        return self.model.colors.map(patches.permute(0, 2, 3, 1), 1.0, code).clamp(0, 1).permute(0, 3, 1, 2)

    def _rays(self, pixel_indices: Tensor) -> RayBundle:
        return self.data.train_ray_generator(pixel_indices)

    @torch.no_grad()
    def _ask_points(self, pixel_indices: Tensor) -> dict[str, Tensor]:
        """Merged points, the content's colour, and what the points contribute to it without a style."""
        rays = self._rays(pixel_indices)
        look = self.model.look(rays)
        points = look.points
        return {
            "positions": points.positions,
            "features": points.color_features.half(),
            "weights": points.weights.half(),
            "spread": points.spread.half(),
            "content": look.rgb.half(),
            "plain": (points.weights * self.model.plain_rgb(points, rays)).sum(-2).half(),
        }

    # ---- a step

    def losses(self, style_step: int) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Any]]:
        """(outputs, weighted losses, metrics) of one step."""
        generator = self.data.generator
        if style_step == self.num_steps - 1 > 0:
            self.match_colors()
        stride = self.sampler.draw_stride(style_step, generator)
        mix = self.draws.mix(style_step, generator)
        patches, photographs, mask, losses = self._patches(stride, mix, self.config.patches.num_patches, generator)
        losses |= self.objective.weighted_losses(patches, photographs, mix, generator, mask)
        gates = {name: gate.detach() for name, gate in self.model.stylized.named_gates().items()}
        metrics = {**gates, "stride": stride}
        return {"patches": patches}, losses, metrics

    def _patches(
        self, stride: int, mix: StyleMix, number: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor | None, dict[str, Tensor]]:
        """(stylised patches, their photographs under the style's colours, mask, geometry loss where there is one)."""
        size, code = self.config.patches.size, mix.code().to(self.model.device)
        drawn = [self._draw(size, stride, generator) for _ in range(number)]
        pixel_indices = torch.cat([indices for indices, _ in drawn])
        rgb, empty, losses = self._render(pixel_indices, torch.cat([numbers for _, numbers in drawn]), code)
        # An empty background is white or black as it happens: an edge against it is nothing that the style can paint, so
        # patches are judged before the style's mean colour. In an open scene nothing is empty.
        behind = self.model.background if self.config.model.loss_scale == "release" else self._mean_color(mix)
        rgb = rgb + empty * (behind - self.model.background)
        photographs = self._photographs(pixel_indices, behind, code)
        mask = self.data.store.counts(pixel_indices)
        patches, photographs, mask = (rays_to_patches(values, size) for values in (rgb, photographs, mask))
        return patches, photographs, mask if bool((mask < 1).any()) else None, losses

    def _mean_color(self, mix: StyleMix) -> Tensor:
        return torch.stack([share * self.objective.styles[style].colors.mean for style, share in mix.parts]).sum(0)

    def _photographs(self, pixel_indices: Tensor, behind: Tensor, code: Tensor) -> Tensor:
        """What the content is compared with: the photographs, recoloured as the scene is."""
        colors = self.data.store.colors(pixel_indices)
        alpha = colors[:, 3:] if colors.shape[-1] == 4 else torch.ones_like(colors[:, :1])
        recolored = self.model.colors.map(colors[:, :3] * alpha, alpha, code).clamp(0, 1)
        return recolored + (1 - alpha) * behind

    def _draw(self, size: int, stride: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(pixel indices, their numbers in the pool)."""
        if self.pool is None:
            indices = self.sampler.draw_patch(size, stride, generator)
            return indices, indices.new_zeros(0)
        numbers = self.pool.draw_patch(size, stride, generator)
        return self.pool.pixel_indices[numbers], numbers

    def _render(self, pixel_indices: Tensor, numbers: Tensor, code: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Colours of the rays before clamping, how empty they are, and the geometry loss where there is one."""
        if self.pool is not None:
            return *self._render_kept(pixel_indices, numbers, code), {}
        rays = self._rays(pixel_indices)
        with torch.set_grad_enabled(not self._frozen):
            look = self.model.look(rays)
        stylized = self.model.stylize(look, rays, code)
        return stylized.rgb, 1 - stylized.look.accumulation, self.model.geometry_loss(look, stylized)

    def _render_kept(self, pixel_indices: Tensor, numbers: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
        assert self.pool is not None
        rays = None if self.config.model.zero_view_direction else self._rays(pixel_indices)
        kept = {name: values[numbers].float() for name, values in self.pool.kept.items()}
        points = SurfacePoints(kept["positions"], kept["features"], kept["weights"], kept["spread"])
        change = (points.weights * self.model.styled_rgb(points, rays, code)).sum(-2) - kept["plain"]
        accumulation = points.weights.sum(-2)
        return self.model.recolor(kept["content"] + self.model.colors.change(change), accumulation, code), 1 - accumulation
