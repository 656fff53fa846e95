"""Rays become pictures: the content, and the content with a style painted on it."""

from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.models.base_model import Model
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor, nn

from ins3d.fields.frozen_teacher import FrozenTeacher
from ins3d.fields.geometry_losses import density_distillation_loss
from ins3d.fields.merged_points import SurfacePoints, merge_samples
from ins3d.fields.point_encoding import FrequencyEncoding
from ins3d.fields.style_features import StylePlanes
from ins3d.fields.stylized import StylizedField
from ins3d.placement.scene import Placement
from ins3d.plugin.content_stage import content_losses, training_outputs
from ins3d.plugin.evaluation import image_metrics_and_images
from ins3d.plugin.objective import build_objective, num_loss_terms
from ins3d.plugin.ray_content import RayContent, RayContentField
from ins3d.plugin.rays.compositing import composite, uncomposited
from ins3d.plugin.rays.picture_store import over_background
from ins3d.plugin.settings import ModelSettings
from ins3d.plugin.viewer_controls import StyleControls
from ins3d.style.colors import StyleColors
from ins3d.style.mix import make_mix
from ins3d.style.objective import StyleObjective
from ins3d.style.pictures import style_names


@dataclass
class InsStylizeModelConfig(ModelSettings):
    """The content field, the style on top of it, and what pulls at both."""

    _target: type = field(default_factory=lambda: InsStylizeModel)


@dataclass
class Stylized:
    """What the style stage makes of rays."""

    rgb: Float[Tensor, "rays 3"]
    weights: Float[Tensor, "rays samples 1"]
    raw_density: Float[Tensor, "rays samples 1"]


class InsStylizeModel(Model):
    """CIM along rays (`ray_content`), SIM and AM on top (`stylized`)."""

    config: InsStylizeModelConfig
    loss_units: Tensor
    loss_key: Tensor
    background: Tensor
    is_stylized: Tensor

    def populate_modules(self) -> None:
        """Builds the networks. No LPIPS: the host's would be downloaded when a model is built."""
        super().populate_modules()
        config = self.config
        self.ray_content = RayContentField(config.content)
        names = style_names(config.styles)
        encoding = (
            StylePlanes(len(names), config.style_plane_resolutions, config.style_plane_channels)
            if config.style_encoding == "planes"
            else FrequencyEncoding(num_inputs=3, num_frequencies=10)
        )
        self.stylized = StylizedField(
            self.ray_content.content, encoding, len(names), config.style_width, 4, config.gate_init
        )
        settings = ("pipeline.model.style-mix", "pipeline.model.style-strength")
        self.controls = StyleControls(names, make_mix(config.style_mix, config.style_strength, names, *settings))
        self._held_code: Tensor | None = None
        self.colors = StyleColors(config.colors, len(names))
        self.register_buffer("loss_units", torch.ones(len(names), num_loss_terms(config)))
        self.register_buffer("loss_key", torch.zeros((), dtype=torch.int64))
        self.register_buffer("background", torch.ones(3))
        self.register_buffer("is_stylized", torch.tensor(False))
        self.teacher: FrozenTeacher | None = None
        self._judge: list[StyleObjective] = []

    # ---- set from outside, saved with the model

    def place(self, placement: Placement, background: Float[Tensor, " 3"]) -> None:
        """Takes over where the scene lies and what shows through where it is empty."""
        self.ray_content.placement.place(placement)
        self.background.copy_(background)

    def begin_style(self, content_moves: bool) -> None:
        """Freezes the content, which becomes the teacher; a copy of it when the content may go on learning."""
        self.is_stylized.fill_(True)
        self.ray_content.requires_grad_(False).eval()
        if content_moves:
            self.teacher = FrozenTeacher(self.ray_content.content)
            self.ray_content.content.requires_grad_(True)

    def train(self, mode: bool = True) -> "InsStylizeModel":
        """Once the style stage has begun, rays are sampled without jitter: what is trained is what is rendered."""
        super().train(mode)
        if bool(self.is_stylized):
            self.ray_content.eval()
        trained_with = self.ray_content.settings.num_samples
        self.ray_content.sampler.num_nerf_samples_per_ray = (
            trained_with if mode else self.config.num_render_samples or trained_with
        )
        return self

    def get_param_groups(self) -> dict[str, list[nn.Parameter]]:
        """Groups by learning rate; one that has no parameters is left out."""
        tables = [parameter for name, parameter in self.ray_content.content.named_parameters() if _is_table(name)]
        known = {id(parameter) for parameter in tables}
        groups = {
            "content_tables": tables,
            "content": [p for p in self.ray_content.content.parameters() if id(p) not in known],
            "proposals": list(self.ray_content.proposals.parameters()),
            "style_planes": self.stylized.planes(),
            "style": self.stylized.weights(),
            "gates": self.stylized.gates(),
        }
        return {name: parameters for name, parameters in groups.items() if parameters}

    # ---- rays to pictures

    def get_outputs(self, ray_bundle: RayBundle) -> dict[str, Any]:
        """`rgb`, `content_rgb` in [0, 1]; `depth` along the ray in scene units; `accumulation` in [0, 1].

        `normals` are the content's, at its depth; -1 to 1 mapped to [0, 1], as the host's exporters take them.
        """
        along = self.ray_content(ray_bundle)
        if self.training:
            return training_outputs(self.ray_content, along, ray_bundle, self.config.view_dropout, self.background)
        content_rgb = composite(self.sample_rgb(along, ray_bundle), along.weights, self.background)
        content_depth = self.ray_content.depth(along.samples, along.weights)
        normals = self.ray_content.normals(ray_bundle.origins + ray_bundle.directions * content_depth)
        rgb, weights = content_rgb, along.weights
        if bool(self.is_stylized):
            code = self.controls.code() if self._held_code is None else self._held_code
            stylized = self.stylize(along, ray_bundle, code.to(self.device), content_rgb)
            rgb, weights = stylized.rgb.clamp(0, 1), stylized.weights
        return {
            "rgb": rgb,
            "content_rgb": content_rgb,
            "depth": self.ray_content.depth(along.samples, weights),
            "content_depth": content_depth,
            "accumulation": weights.sum(-2),
            "normals": (normals / 2 + 0.5).clamp(0, 1),
        }

    @torch.no_grad()
    def get_outputs_for_camera_ray_bundle(self, camera_ray_bundle: RayBundle) -> dict[str, Tensor]:
        """As the host's; the sliders are read once for the whole picture: one that moves meanwhile leaves no seam.

        The time of a camera path's keyframe walks along the list of styles (`code_at_time`).
        """
        times = camera_ray_bundle.times
        self._held_code = self.controls.code(0.0 if times is None else float(times.flatten()[0]))
        try:
            return super().get_outputs_for_camera_ray_bundle(camera_ray_bundle)
        finally:
            self._held_code = None

    def get_rgba_image(self, outputs: dict[str, Tensor], output_name: str = "rgb") -> Tensor:
        """Colour without the background, and the accumulation as alpha; for `ns-export` and `ns-render`."""
        rgb, alpha = outputs[output_name], outputs["accumulation"]
        return torch.cat([uncomposited(rgb, alpha, self.background.to(alpha)), alpha], dim=-1)

    def sample_rgb(self, along: RayContent, rays: RayBundle) -> Float[Tensor, "rays samples 3"]:
        """The content's colour at every sample, seen from where the rays come from."""
        directions = rays.directions[:, None, :].expand(*along.positions.shape)
        return self.ray_content.content.rgb(along.point.color_features, directions)

    def stylize(
        self,
        along: RayContent,
        rays: RayBundle,
        code: Float[Tensor, " styles"],
        content_rgb: Float[Tensor, "rays 3"] | None = None,
    ) -> Stylized:
        """The content's picture plus what the style changes at the surface points.

        Only the change is deferred: at gate 1, and for the zero code, the picture is the content's exactly, whatever the
        number of points; with every sample a point it is ordinary volume rendering of the stylised colours.
        """
        raw_density, weights = along.point.raw_density, along.weights
        if self.config.geometry != "locked":
            raw_density = self.stylized.raw_density(along.point, along.positions, code)
            weights = self.ray_content.weights(along.samples, raw_density)
            content_rgb = None
        if content_rgb is None:
            content_rgb = composite(self.sample_rgb(along, rays), weights, self.background)
        points = self.surface_points(along, weights)
        change = self.styled_rgb(points, rays, code) - self.plain_rgb(points, rays)
        rgb = content_rgb + self.colors.change((points.weights * change).sum(-2))
        return Stylized(self.recolor(rgb, weights.sum(-2), code), weights, raw_density)

    def recolor(
        self, rgb: Float[Tensor, "rays 3"], accumulation: Float[Tensor, "rays 1"], code: Float[Tensor, " styles"]
    ) -> Float[Tensor, "rays 3"]:
        """The style's colour map; what shows through from behind keeps its colour."""
        behind = (1 - accumulation) * self.background
        return self.colors.map(rgb - behind, accumulation, code) + behind

    def surface_points(self, along: RayContent, weights: Float[Tensor, "rays samples 1"]) -> SurfacePoints:
        """Where style is computed: at merged points, or (`full`) at every sample."""
        features, config = along.point.color_features, self.config
        footprint = config.footprint_mult * self.ray_content.footprint(along.samples)
        if config.shading == "full":
            return SurfacePoints(along.positions, features, weights, footprint)
        number = config.num_training_points if self.training else config.num_surface_points
        return merge_samples(weights, along.positions, features, number, config.spread_mult, footprint)

    def styled_rgb(self, points: SurfacePoints, rays: RayBundle | None, code: Tensor) -> Float[Tensor, "rays points 3"]:
        """The stylised colours of surface points."""
        return self.stylized.rgb(points, code, self._directions(points, rays))

    def plain_rgb(self, points: SurfacePoints, rays: RayBundle | None) -> Float[Tensor, "rays points 3"]:
        """The content's colours of surface points, seen as `styled_rgb` sees them."""
        return self.ray_content.content.rgb(points.color_features, self._directions(points, rays))

    def _directions(self, points: SurfacePoints, rays: RayBundle | None) -> Tensor | None:
        if self.config.zero_view_direction:
            return None
        assert rays is not None
        return rays.directions[:, None, :].expand(*points.positions.shape)

    # ---- content stage

    def get_metrics_dict(self, outputs: dict[str, Any], batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """PSNR of the content stage's rays, in dB."""
        image = over_background(batch["image"].to(self.device), outputs["background"])
        return {"psnr": -10 * torch.log10(((outputs["rgb"] - image) ** 2).mean().clamp(min=1e-12))}

    def get_loss_dict(
        self, outputs: dict[str, Any], batch: dict[str, Tensor], metrics_dict: Any = None
    ) -> dict[str, Tensor]:
        """The content stage's losses, weighted."""
        image = over_background(batch["image"].to(self.device), outputs["background"])
        return content_losses(self.config, outputs, image)

    # ---- style stage

    def geometry_loss(self, along: RayContent, stylized: Stylized) -> dict[str, Tensor]:
        """{geometry_loss} when geometry is distilled: student against teacher at the same samples."""
        if self.config.geometry != "distilled":
            return {}
        teacher = along.point if self.teacher is None else self.teacher(along.positions)
        loss = density_distillation_loss(stylized.raw_density, teacher.raw_density)
        return {"geometry_loss": self.config.geometry_loss_mult * loss}

    # ---- evaluation

    def get_image_metrics_and_images(
        self, outputs: dict[str, Tensor], batch: dict[str, Any]
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        """What `ns-eval` reports; see `plugin/evaluation.py`."""
        photograph = over_background(batch["image"].to(outputs["rgb"]), self.background.to(outputs["rgb"]))
        objective = self._style_objective() if bool(self.is_stylized) else None
        mix = self.controls.mix
        weights = (1.0,) * len(self.controls.names) if mix is None else mix.weights
        bounded = bool(self.ray_content.placement.bounded)
        return image_metrics_and_images(outputs, photograph, objective, weights, bounded)

    def _style_objective(self) -> StyleObjective:
        """Built at the first picture that is judged; in a list, because it holds a module that is not the model's."""
        if not self._judge:
            self._judge.append(build_objective(self.config, self.colors.scene, self.device))
            CONSOLE.print(f"Gram distances by {self._judge[0].features.source}.")
        return self._judge[0]


def _is_table(name: str) -> bool:
    """Planes and hash tables learn faster than networks."""
    return "planes" in name or "hash_table" in name or "encoding.params" in name or "encoder" in name
