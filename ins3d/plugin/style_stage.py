"""One step of the style stage: patches of training pixels become stylised pictures, and pictures become losses."""

import time
from pathlib import Path
from typing import Any

import torch
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.utils.rich_utils import CONSOLE
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from ins3d.pixel_patches import rays_to_patches
from ins3d.plugin.datamanager import InsStylizeDataManager
from ins3d.plugin.model import InsStylizeModel
from ins3d.plugin.picture_store import over_background
from ins3d.plugin.pixel_sampler import StridedPatchSampler
from ins3d.plugin.ray_content import RayContent
from ins3d.plugin.sample_pool import SamplePool, build_pool
from ins3d.style_objective import StyleObjective
from ins3d.style_targets import style_code
from ins3d.surface_points import SurfacePoints


class StyleStage:
    """Holds what the stage needs and nothing that is saved: it is built anew when a run is resumed."""

    def __init__(
        self, config: Any, model: InsStylizeModel, data: InsStylizeDataManager, sampler: StridedPatchSampler,
        objective: StyleObjective,
    ) -> None:  # fmt: skip
        self.config = config
        self.model = model
        self.data = data
        self.sampler = sampler
        self.objective = objective
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
        """Asks the frozen content once about a pool of training pixels. With content that moves nothing can be kept."""
        if not self._frozen:
            return
        started = time.monotonic()
        settings, patches = self.config.pool, self.config.patches
        every = patches.halve_stride_every or self.config.style_steps
        changes = range(0, max(self.config.style_steps, 1), max(every, 1))
        strides = sorted({stride for step in changes for stride in self.sampler.strides_at(step)})
        needed = self.config.style_steps * patches.num_patches * patches.size**2
        # A generator of its own: a resumed run keeps the same pixels, and draws as if it had not stopped.
        generator = torch.Generator().manual_seed(self.data.config.seed)
        ask = self._ask_points if self.keeps_points else self._ask_samples
        columns = (TextColumn("[progress.description]{task.description}"), BarColumn(), TimeRemainingColumn())
        with Progress(*columns, transient=True, console=CONSOLE) as bar:
            task = bar.add_task("keeping samples of training pixels")
            self.pool = build_pool(
                settings, self.sampler, tuple(strides), needed, ask, folder, generator,
                lambda done, total: bar.update(task, completed=done, total=total),
            )  # fmt: skip
        self.keeping_seconds = time.monotonic() - started

    def _rays(self, pixel_indices: Tensor) -> RayBundle:
        return self.data.train_ray_generator(pixel_indices)

    @torch.no_grad()
    def _ask_points(self, pixel_indices: Tensor) -> dict[str, Tensor]:
        """Merged points, and the content's colour less what they contribute to it: style adds on top of that."""
        rays = self._rays(pixel_indices)
        along = self.model.ray_content(rays)
        points = self.model.surface_points(along, along.weights)
        content_rgb = self.model.composite(self.model.sample_rgb(along, rays), along.weights)
        base = content_rgb - (points.weights * self.model.plain_rgb(points, rays)).sum(-2)
        return {
            "positions": points.positions,
            "features": points.color_features.half(),
            "weights": points.weights.half(),
            "spread": points.spread.half(),
            "base": base.half(),
        }

    @torch.no_grad()
    def _ask_samples(self, pixel_indices: Tensor) -> dict[str, Tensor]:
        """The edges of the samples along each ray: the proposal networks need not be asked again."""
        samples, _, _ = self.model.ray_content.sample(self._rays(pixel_indices))
        edges = torch.cat([samples.frustums.starts, samples.frustums.ends[:, -1:]], dim=1)
        return {"edges": edges[..., 0]}

    # ---- a step

    def losses(self, style_step: int) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Any]]:
        """(outputs, weighted losses, metrics) of one step."""
        settings, config = self.config.patches, self.config.model
        stride = self.sampler.draw_stride(style_step, self.data.generator)
        style = int(torch.randint(len(config.styles), (), generator=self.data.generator))
        code = style_code(style, len(config.styles), self.model.device)
        drawn = [self._draw(settings.size, stride) for _ in range(settings.num_patches)]
        pixel_indices = torch.cat([indices for indices, _ in drawn])
        rgb, empty, losses = self._render(pixel_indices, torch.cat([numbers for _, numbers in drawn]), code)
        # An empty background is white or black as it happens: an edge against it is nothing that the style can paint, so
        # patches are judged before the style's mean colour. In an open scene nothing is empty.
        behind = self.model.background if config.loss_scale == "release" else self.objective.styles[style].mean_rgb
        rgb = rgb + empty * (behind - self.model.background)
        photographs = over_background(self.data.store.colors(pixel_indices), behind)
        mask = self.data.store.counts(pixel_indices)
        patches, photographs, mask = (rays_to_patches(values, settings.size) for values in (rgb, photographs, mask))
        terms = self.objective.losses(patches, photographs, style, mask if bool((mask < 1).any()) else None)
        losses["style_loss"] = config.style_loss_mult * terms["style_loss"]
        losses["content_loss"] = config.content_loss_mult * terms["content_loss"]
        gates = self.model.stylized.amalgamation
        metrics = {"rgb_gate": gates.rgb_gate.detach(), "density_gate": gates.density_gate.detach(), "stride": stride}
        return {"patches": patches}, losses, metrics

    def _draw(self, size: int, stride: int) -> tuple[Tensor, Tensor]:
        """(pixel indices, their numbers in the pool)."""
        if self.pool is None:
            indices = self.sampler.draw_patch(size, stride, self.data.generator)
            return indices, indices.new_zeros(0)
        numbers = self.pool.draw_patch(size, stride, self.data.generator)
        return self.pool.pixel_indices[numbers], numbers

    def _render(self, pixel_indices: Tensor, numbers: Tensor, code: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Colours of the rays before clamping, how empty they are, and the geometry loss where there is one."""
        if self.pool is not None and self.keeps_points:
            return *self._render_kept(pixel_indices, numbers, code), {}
        rays = self._rays(pixel_indices)
        along = self._along(rays, numbers)
        stylized = self.model.stylize(along, rays, code)
        empty = 1 - stylized.weights.sum(-2)
        return stylized.rgb, empty, self.model.geometry_loss(along, stylized)

    def _render_kept(self, pixel_indices: Tensor, numbers: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
        assert self.pool is not None
        rays = None if self.config.model.zero_view_direction else self._rays(pixel_indices)
        kept = {name: values[numbers].float() for name, values in self.pool.kept.items()}
        points = SurfacePoints(kept["positions"], kept["features"], kept["weights"], kept["spread"])
        rgb = kept["base"] + (points.weights * self.model.styled_rgb(points, rays, code)).sum(-2)
        return rgb, 1 - points.weights.sum(-2)

    def _along(self, rays: RayBundle, numbers: Tensor) -> RayContent:
        """The content along rays, at the kept samples where there are any; without gradients while it is frozen."""
        with torch.set_grad_enabled(not self._frozen):
            if self.pool is None:
                return self.model.ray_content(rays)
            edges = self.pool.kept["edges"][numbers][..., None]
            samples = rays.get_ray_samples(bin_starts=edges[:, :-1], bin_ends=edges[:, 1:])
            return self.model.ray_content.at(samples, [], [])
