"""Rays become pictures: the content, and the content with a style painted on it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import OrientedBox
from nerfstudio.models.base_model import Model
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor, nn

from ins3d.fields.geometry_losses import density_distillation_loss
from ins3d.fields.merged_points import SurfacePoints
from ins3d.fields.precision import rounded_products
from ins3d.fields.stylized import squeezed
from ins3d.placement.flags import KnownFlag
from ins3d.plugin.contents.content import (
    PARAM_GROUPS,
    FrozenDensity,
    GeometryLook,
    LearnableContent,
    Look,
    Merging,
    MovableGeometry,
    able,
    build_content,
)
from ins3d.plugin.evaluation import image_metrics_and_images
from ins3d.plugin.rays.chunks import Outputs, in_chunks
from ins3d.plugin.rays.compositing import uncomposited
from ins3d.plugin.rays.picture_store import over_background
from ins3d.plugin.rays.pixel_rays import PictureRays
from ins3d.plugin.rays.scene_pictures import PICTURE_SIDE
from ins3d.plugin.settings import ModelSettings
from ins3d.plugin.viewer.controls import StyleControls
from ins3d.style.colors import StyleColors
from ins3d.style.losses import loss_weights
from ins3d.style.objective import StyleObjective
from ins3d.style.settings import build_objective
from ins3d.style.sizes import USUAL_SIDE, suited
from ins3d.style.styles import style_names

PREFIX = "pipeline.model."
"""What the model's options begin with."""


@dataclass
class InsStylizeModelConfig(ModelSettings):
    """The content field, the style on top of it, and what pulls at both."""

    _target: type = field(default_factory=lambda: InsStylizeModel)


@dataclass
class Stylized:
    """What the style stage makes of rays."""

    rgb: Float[Tensor, "rays 3"]
    look: Look
    """The content that was painted; moved where geometry is not locked."""


class InsStylizeModel(Model):
    """What is painted (`ray_content`), SIM and AM on top (`stylized`)."""

    config: InsStylizeModelConfig
    loss_normalisers: Tensor
    is_stylized: Tensor

    def populate_modules(self) -> None:
        """Builds the networks. No LPIPS: the host's would be downloaded when a model is built."""
        super().populate_modules()
        config = self.config
        self.picture_side: int = self.kwargs.get("metadata", {}).get(PICTURE_SIDE, USUAL_SIDE)
        """Long side, in pixels, of the training pictures as they are worked on."""
        # Into the settings: they are saved with the run, and what opens it need not know the pictures.
        config.content, config.style_field = (
            suited(each, self.picture_side) for each in (config.content, config.style_field)
        )
        self.ray_content = build_content(config.content)
        moves = config.geometry != "locked"
        movable = self.movable_content if moves or isinstance(self.ray_content, MovableGeometry) else None
        names = style_names(config.styles)
        density_features = None if movable is None else movable.num_density_features
        self.stylized = config.style_field.setup(density_features, self.ray_content.num_color_features, len(names))
        self.controls = StyleControls(names, config.mix_of(names, PREFIX))
        self._held_code: Tensor | None = None
        self.picture_rays = PictureRays()
        self.colors = StyleColors(config.colors, len(names))
        weights = loss_weights(config.style_loss, config.content_weight, config.tv_weight)
        self.register_buffer("loss_normalisers", torch.ones(len(names), sum(weight > 0 for weight in weights.values())))
        self.register_buffer("is_stylized", torch.tensor(False))
        self._has_style = KnownFlag()
        self.teacher: FrozenDensity | None = None
        self._judge: list[StyleObjective] = []

    @property
    def background(self) -> Tensor:
        """What shows through where the content is empty, in [0, 1]."""
        return self.ray_content.background

    @property
    def movable_content(self) -> MovableGeometry:
        """The content as one whose density can be changed."""
        return able(
            self.ray_content, MovableGeometry,
            f"pipeline.model.geometry: {self.config.geometry} changes densities, and of the content ({{}}) none can be "
            "changed; use --pipeline.model.geometry locked and --pipeline.content-style-mult 0.",
        )  # fmt: skip

    @property
    def learnable_content(self) -> LearnableContent:
        """The content as one that training rays teach."""
        return able(
            self.ray_content, LearnableContent,
            "pipeline.content-steps: content {} cannot be learned from pictures; use 0.",
        )  # fmt: skip

    # ---- set from outside, saved with the model

    @property
    def has_style(self) -> bool:
        """Whether the style stage has begun."""
        return self._has_style(self.is_stylized)

    def begin_style(self, content_moves: bool) -> None:
        """Freezes the content, which becomes the teacher; a copy of it when the content may go on learning."""
        self.is_stylized.fill_(True)
        self.ray_content.requires_grad_(False).eval()
        if content_moves:
            self.teacher = self.movable_content.frozen_density()
            groups = self.ray_content.param_groups()
            for parameter in [*groups.get("content_tables", []), *groups.get("content", [])]:
                parameter.requires_grad_(True)

    def train(self, mode: bool = True) -> "InsStylizeModel":
        """Once the style stage has begun, rays are sampled without jitter: what is trained is what is rendered."""
        super().train(mode)
        if self.has_style:
            self.ray_content.eval()
        return self

    def get_param_groups(self) -> dict[str, list[nn.Parameter]]:
        """Groups by learning rate; one that has no parameters is left out."""
        of_content = self.ray_content.param_groups()
        for name in of_content.keys() - set(PARAM_GROUPS):
            raise ValueError(
                f"pipeline.model.content: {self.ray_content.kind} has a parameter group {name!r}, for which there is no "
                f"optimizer; choose among {', '.join(PARAM_GROUPS)}."
            )
        groups = {
            **of_content,
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
        if self.training:
            return self.learnable_content.training_outputs(ray_bundle, self.config.view_dropout)
        # With gradients slowly: for whoever wants them, and for tests, whose reference this is.
        asked = self._at_once if torch.is_grad_enabled() else self.in_chunks
        order = self.ray_content.best_order(ray_bundle)
        rays = ray_bundle if order is None else ray_bundle[order]
        seen = asked(self._seen, rays)
        seen = {**seen, **asked(self._normals, _surface(rays, seen["content_depth"]))}
        return seen if order is None else {name: values[order.argsort()] for name, values in seen.items()}

    def _at_once(self, look_at: Callable[[Any], dict[str, Tensor]], rows: RayBundle | Tensor) -> dict[str, Tensor]:
        return look_at(rows)

    def _seen(self, rays: RayBundle) -> dict[str, Tensor]:
        """All outputs but the normals, which are a fifth of the work and few ask for."""
        look = self.look(rays)
        rgb, painted = look.rgb, look
        if self.has_style:
            code = self.controls.code() if self._held_code is None else self._held_code
            stylized = self.stylize(look, rays, code)
            rgb, painted = stylized.rgb.clamp(0, 1), stylized.look
        return {
            "rgb": rgb,
            "content_rgb": look.rgb,
            "depth": painted.depth,
            "content_depth": look.depth,
            "accumulation": painted.accumulation,
        }

    def _normals(self, surface: Float[Tensor, "rays 6"]) -> dict[str, Tensor]:
        """Of places and the directions that they are seen along: a surface that is seen faces the ray."""
        points, directions = surface.split(3, dim=-1)
        found = self.ray_content.normals(points)
        found = torch.where((found * directions).sum(-1, keepdim=True) > 0, -found, found)
        return {"normals": (found / 2 + 0.5).clamp(0, 1)}

    @torch.no_grad()
    def get_outputs_for_camera(self, camera: Cameras, obb_box: OrientedBox | None = None) -> Outputs:
        """As the host's."""
        return self.get_outputs_for_camera_ray_bundle(self.picture_rays(camera, obb_box))

    def get_outputs_for_camera_ray_bundle(self, camera_ray_bundle: RayBundle) -> Outputs:
        """As the host's; the sliders are read once for the whole picture: one that moves meanwhile leaves no seam.

        The time of a camera path's keyframe walks along the list of styles (`style.mix.through_styles`). Normals are
        computed when somebody asks for them.
        """
        rays, shape = camera_ray_bundle.flatten(), camera_ray_bundle.shape
        self._held_code = self.controls.code(0.0 if rays.times is None else float(rays.times[0]))
        try:
            seen = self.in_chunks(self._seen, rays)
        finally:
            self._held_code = None
        depth = seen["content_depth"].to(rays.origins)

        def normals() -> Tensor:
            found = self.in_chunks(self._normals, _surface(rays, depth))
            return found["normals"].to(depth).reshape(*shape, 3)

        return Outputs({**{name: values.to(depth).reshape(*shape, -1) for name, values in seen.items()}, "normals": normals})

    def in_chunks(self, look_at: Callable[[Any], Mapping[str, Tensor]], rows: RayBundle | Tensor) -> dict[str, Tensor]:
        """What `look_at` says of many rays or points (`rays.chunks`)."""
        return in_chunks(look_at, rows, self.device, self.config.eval_num_rays_per_chunk)

    def get_rgba_image(self, outputs: Mapping[str, Tensor], output_name: str = "rgb") -> Tensor:
        """Colour without the background, and the accumulation as alpha; for `ns-export` and `ns-render`."""
        rgb, alpha = outputs[output_name], outputs["accumulation"]
        return torch.cat([uncomposited(rgb, alpha, self.background.to(alpha)), alpha], dim=-1)

    def look(self, rays: RayBundle, movable: bool = False) -> Look:
        """What rays see of the content, merged as the settings say: while the style is learned, or for pictures.

        `movable`: with what another density needs (`GeometryLook`), though the settings say that none moves.
        """
        config = self.config
        learned = self.training or self.ray_content.points_as_learned
        number = None if config.shading == "full" else config.num_points[0 if learned else 1]
        locked = config.geometry == "locked" and not movable
        still = locked and not self.ray_content.training and torch.is_inference_mode_enabled()
        look = self.ray_content.still_look if still else self.ray_content.look
        return look(rays, Merging(number, config.spread_mult, config.footprint_mult))

    def stylize(self, look: Look, rays: RayBundle, code: Float[Tensor, " styles"]) -> Stylized:
        """The content's picture plus what the style changes at the surface points.

        Only the change is deferred: at gate 1, and for the zero code, the picture is the content's exactly, whatever the
        number of points; with every sample a point it is ordinary volume rendering of the stylised colours.
        """
        if self.config.geometry != "locked":
            assert isinstance(look, GeometryLook)
            density = self.stylized.raw_density(look.raw_density, look.density_features, look.positions, code)
            look = self.movable_content.moved(look, density)
        plain = self.plain_rgb(look.points, rays)
        change = self.styled_rgb(self.told(look.points, plain), rays, code) - plain
        rgb = look.rgb + self.colors.change((look.points.weights * change).sum(-2))
        return Stylized(self.recolor(rgb, look.accumulation, code), look)

    def recolor(
        self, rgb: Float[Tensor, "rays 3"], accumulation: Float[Tensor, "rays 1"], code: Float[Tensor, " styles"]
    ) -> Float[Tensor, "rays 3"]:
        """The style's colour map; what shows through from behind keeps its colour.

        Mixed colours are squeezed under the map, not before it: else the mosaic's leads, darker than any colour that the map
        makes of the scene's, stay pale.
        """
        behind = (1 - accumulation) * self.background
        own = self.colors.map(rgb - behind, accumulation, code)
        return (squeezed(own, accumulation) if self.stylized.mixes_colors else own) + behind

    def told(self, points: SurfacePoints, plain: Float[Tensor, "rays points 3"]) -> SurfacePoints:
        """Surface points as AM sees them: with the content's features or, where it mixes colours, with its colours."""
        return replace(points, color_features=plain) if self.stylized.mixes_colors else points

    def styled_rgb(self, told: SurfacePoints, rays: RayBundle | None, code: Tensor) -> Float[Tensor, "rays points 3"]:
        """The stylised colours of surface points, from what AM is told of them."""
        with rounded_products(self.device):
            features = self.stylized.color_features(told, code).to(told.positions)
            if self.stylized.mixes_colors:
                return features
            return self.ray_content.restyle(told, features, self._directions(told, rays))

    def plain_rgb(self, points: SurfacePoints, rays: RayBundle | None) -> Float[Tensor, "rays points 3"]:
        """The content's colours of surface points, seen as `styled_rgb` sees them."""
        with rounded_products(self.device):
            return self.ray_content.restyle(points, points.color_features, self._directions(points, rays))

    def _directions(self, points: SurfacePoints, rays: RayBundle | None) -> Tensor | None:
        if not self.config.style_field.view_direction:
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
        """The content stage's losses, weighted where there is a setting."""
        image = over_background(batch["image"].to(self.device), outputs["background"])
        config = self.config
        weights = {
            "interlevel_loss": config.interlevel_loss_mult, "distortion_loss": config.distortion_loss_mult,
        }  # fmt: skip
        losses = self.learnable_content.losses(outputs, image)
        return {name: weights.get(name, 1.0) * loss for name, loss in losses.items()}

    # ---- style stage

    def geometry_loss(self, look: Look, stylized: Stylized) -> dict[str, Tensor]:
        """{geometry_loss} when geometry is distilled: student against teacher at the same samples."""
        if self.config.geometry != "distilled":
            return {}
        assert isinstance(look, GeometryLook) and isinstance(stylized.look, GeometryLook)
        teacher = look.raw_density if self.teacher is None else self.teacher(look.positions)
        loss = density_distillation_loss(stylized.look.raw_density, teacher)
        return {"geometry_loss": self.config.geometry_weight * loss}

    # ---- evaluation

    def get_image_metrics_and_images(
        self, outputs: dict[str, Tensor], batch: dict[str, Any]
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        """What `ns-eval` reports; see `plugin/evaluation.py`."""
        photograph = over_background(batch["image"].to(outputs["rgb"]), self.background.to(outputs["rgb"]))
        objective = self._style_objective() if self.has_style else None
        mix = self.controls.mix
        weights = (1.0,) * len(self.controls.names) if mix is None else mix.weights
        bounded = self.ray_content.placement.is_bounded
        return image_metrics_and_images(outputs, photograph, objective, weights, bounded)

    def build_objective(self) -> StyleObjective:
        """The losses of the style stage; reads the style pictures. Colours of the scene must be known."""
        config = self.config
        return build_objective(config, self.device, self.colors.scene, self.picture_side, PREFIX, config.squash_patches)

    def _style_objective(self) -> StyleObjective:
        """Built at the first picture that is judged; in a list, because it holds a module that is not the model's."""
        if not self._judge:
            self._judge.append(self.build_objective())
            CONSOLE.print(f"Gram distances by {self._judge[0].features.source}.")
        return self._judge[0]


def _surface(rays: RayBundle, depth: Float[Tensor, "rays 1"]) -> Float[Tensor, "rays 6"]:
    """What rays see at depths: places, and their own directions."""
    return torch.cat([rays.origins + rays.directions * depth, rays.directions], dim=-1)
