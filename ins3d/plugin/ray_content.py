"""A content field sampled along rays: where to look, and what is there. Kinds `grid`, `planes` and `frequency`."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from nerfstudio.cameras.rays import RayBundle, RaySamples
from nerfstudio.model_components.losses import distortion_loss, interlevel_loss
from nerfstudio.model_components.ray_samplers import LogSampler, PDFSampler, ProposalNetworkSampler, UniformSampler
from torch import Tensor, nn

from ins3d.extension.ranges import ranged
from ins3d.fields.content_features import (
    ContentFeatures,
    ContentPoint,
    EncodedContent,
    FrequencyContent,
    GridContent,
    PlanesContent,
)
from ins3d.fields.frozen_teacher import FrozenTeacher
from ins3d.fields.merged_points import SurfacePoints, merge_samples
from ins3d.plugin.contents.content import CONTENTS, Content, FrozenDensity, GeometryLook, LearnableContent, MovableGeometry
from ins3d.plugin.rays.compositing import composite
from ins3d.plugin.rays.field_along_rays import FieldAlongRays
from ins3d.plugin.rays.look import Look, Merging
from ins3d.plugin.rays.proposals import CoarseDensity, PlaneDensity
from ins3d.plugin.rays.still_field import StillField
from ins3d.style.sizes import USUAL_CELLS, USUAL_SIDE, finest_cells

COARSEST = 32
"""Cells along a side, of the coarsest grid."""


@dataclass(kw_only=True)
class EncodedSettings(ABC):
    """Features that are looked up, and small networks: pure torch, minutes on a CPU."""

    num_proposal_samples: tuple[int, ...] = ranged((48,), min=1)
    """Samples per ray that the proposal networks see, one number each."""
    num_samples: int = ranged(16, min=1)
    """Samples per ray that the content field sees."""

    @abstractmethod
    def content(self) -> EncodedContent:
        """The field."""

    def setup(self) -> "RayContentField":
        """Builds the field and its proposal networks."""
        proposals = [PlaneDensity() for _ in self.num_proposal_samples]
        return RayContentField(self.content(), proposals, self.num_proposal_samples, self.num_samples)


@dataclass
class GridSettings(EncodedSettings):
    """Features at the corners of grids, in hash tables (instant-ngp)."""

    resolutions: tuple[int, ...] = ranged((), min=2)
    """Cells along a side of the scene's cube. Empty: four, from 32 to about one for every pixel along a picture: 512, or
    1024 at 1008x756."""
    channels: int = ranged(8, min=1)
    """Features at each corner of a cell."""
    log2_size: int | None = ranged(None, min=8, max=24)
    """Of the tables: 17 keep 131,072 corners for each resolution. Not given: 17, and one more each time that the finest
    cells are halved."""

    def suited(self, side: int) -> "GridSettings":
        """See `SuitsPictures.suited`."""
        finest, number = finest_cells(side), 4
        steps = (finest / COARSEST) ** (1 / (number - 1))
        resolutions = tuple(round(COARSEST * steps**level) for level in range(number))
        log2_size = 17 + (finest // USUAL_CELLS).bit_length() - 1
        return replace(self, resolutions=self.resolutions or resolutions, log2_size=self.log2_size or log2_size)

    def content(self) -> GridContent:
        """See `EncodedSettings.content`."""
        own = self.suited(USUAL_SIDE)
        assert own.log2_size is not None
        return GridContent(own.resolutions, own.channels, own.log2_size)


@dataclass
class PlanesSettings(EncodedSettings):
    """Feature planes: the default before 0.3, when tables learned at .06 instead of .02."""

    resolutions: tuple[int, ...] = ranged((64, 128, 256), min=2)
    """Cells along a side of the feature planes."""
    channels: int = ranged(16, min=1)
    """Features in each plane."""

    def content(self) -> PlanesContent:
        """See `EncodedSettings.content`."""
        return PlanesContent(self.resolutions, self.channels)


@dataclass
class FrequencySettings:
    """The paper's 8x256 network, for faithful runs; slow."""

    num_coarse_samples: int = ranged(64, min=1)
    """Samples per ray that the coarse network sees."""
    num_samples: int = ranged(128, min=1)
    """Samples per ray that are added where the coarse network saw something."""

    def setup(self) -> "RayContentField":
        """Builds the fine and the coarse network."""
        return RayContentField(
            FrequencyContent(), [CoarseDensity()], (self.num_coarse_samples,), self.num_samples, union=True
        )


class ContentSettings:
    """Named by config.yml of runs from before contents were registered; see `saved_runs`."""


@dataclass
class RayLook(GeometryLook):
    """What `moved` needs to look at the same samples once more."""

    samples: RaySamples
    sample_rgb: Float[Tensor, "rays samples 3"]
    sample_features: Float[Tensor, "rays samples channels"]
    merging: Merging


class RayContentField(FieldAlongRays, Content, LearnableContent, MovableGeometry):
    """A content field that is sampled along rays, as a content: learned from pictures, and with a density that can move."""

    def __init__(
        self, content: ContentFeatures, proposals: list[Any], num_proposal_samples: tuple[int, ...], num_samples: int,
        union: bool = False,
    ) -> None:  # fmt: skip
        """`proposals` say for positions how dense they are; with `union` their samples count beside the content's own."""
        super().__init__()
        self.content, self.proposals = content, nn.ModuleList(proposals)
        self.num_color_features, self.num_density_features = content.num_color_features, content.num_density_features
        # Stratified by one offset a ray is cheaper; the paper's coarse samples are jittered one by one (spec A.5).
        self.sampler = ProposalNetworkSampler(
            num_proposal_samples_per_ray=num_proposal_samples,
            num_nerf_samples_per_ray=num_samples,
            num_proposal_network_iterations=len(num_proposal_samples),
            update_sched=lambda step: 1 if union else min(step / 200, 5),
            initial_sampler=UniformSampler() if union else LogSampler(),
            pdf_sampler=PDFSampler(include_original=union, single_jitter=False),
        )

    # ---- what every content answers

    def look(self, rays: RayBundle, merging: Merging) -> RayLook:
        """See `Content.look`."""
        along = self(rays)
        directions = rays.directions[:, None, :].expand(*along.positions.shape)
        return self._look(
            along.samples, along.positions, along.point, along.weights,
            self.content.rgb(along.point.color_features, directions), merging,
        )  # fmt: skip

    def still_look(self, rays: RayBundle, merging: Merging) -> Look:
        """See `Content.still_look`."""
        if not StillField.suits(self):
            return self.look(rays, merging)
        return StillField(self).look(rays, merging)

    def _look(
        self, samples: RaySamples, positions: Tensor, point: ContentPoint, weights: Tensor, rgb: Tensor, merging: Merging
    ) -> RayLook:
        return RayLook(
            rgb=composite(rgb, weights, self.background),
            accumulation=weights.sum(-2),
            depth=self.depth(samples, weights),
            points=self._points(samples, positions, point.color_features, weights, merging),
            weights=weights,
            positions=positions,
            raw_density=point.raw_density,
            density_features=point.density_features,
            samples=samples,
            sample_rgb=rgb,
            sample_features=point.color_features,
            merging=merging,
        )

    def _points(
        self, samples: RaySamples, positions: Tensor, features: Tensor, weights: Tensor, merging: Merging
    ) -> SurfacePoints:
        footprint = merging.footprint_mult * self.footprint(samples)
        if merging.num_points is None:
            return SurfacePoints(positions, features, weights, footprint)
        return merge_samples(weights, positions, features, merging.num_points, merging.spread_mult, footprint)

    def restyle(
        self,
        points: SurfacePoints,
        features: Float[Tensor, "rays points channels"],
        directions: Float[Tensor, "rays points 3"] | None,
    ) -> Float[Tensor, "rays points 3"]:
        """Through the field's own colour head."""
        return self.content.rgb(features, directions)

    def param_groups(self) -> dict[str, list[nn.Parameter]]:
        """See `Content.param_groups`; the field says which of its parameters are tables."""
        tables = self.content.tables()
        known = {id(parameter) for parameter in tables}
        return {
            "content_tables": tables,
            "content": [parameter for parameter in self.content.parameters() if id(parameter) not in known],
            "proposals": list(self.proposals.parameters()),
        }

    def step(self, step: int) -> None:
        """The host's sampler counts steps to decide when proposals learn."""
        self.sampler.step_cb(step)

    def random_state(self) -> tuple[int, int]:
        """That count."""
        return self.sampler._step, self.sampler._steps_since_update

    def take_random_state(self, state: tuple[int, int]) -> None:
        """See `random_state`."""
        self.sampler._step, self.sampler._steps_since_update = state

    # ---- learning from rays

    def training_outputs(self, rays: RayBundle, view_dropout: float) -> dict[str, Any]:
        """See `LearnableContent.training_outputs`; an object is laid over a random background."""
        along = self(rays)
        features = along.point.color_features
        blind = int(len(features) * view_dropout)
        directions = rays.directions[blind:, None, :].expand(*along.positions[blind:].shape)
        rgb = torch.cat([self.content.rgb(features[:blind], None), self.content.rgb(features[blind:], directions)])
        behind = torch.rand_like(rays.directions) if self.placement.is_bounded else self.background
        coarse = self.coarse_samples(along)
        return {
            "rgb": composite(rgb, along.weights, behind),
            "coarse_rgb": None if coarse is None else composite(*coarse, behind),
            "background": behind,
            "weights_list": [*along.proposal_weights, along.weights],
            "ray_samples_list": [*along.proposal_samples, along.samples],
        }

    def losses(self, outputs: dict[str, Any], image: Float[Tensor, "rays 3"]) -> dict[str, Float[Tensor, ""]]:
        """Photometric, of the coarse network where there is one too; interlevel and distortion (mip-NeRF 360)."""
        weights, samples = outputs["weights_list"], outputs["ray_samples_list"]
        losses = {"rgb_loss": ((outputs["rgb"] - image) ** 2).mean()}
        if outputs["coarse_rgb"] is not None:
            losses["coarse_rgb_loss"] = ((outputs["coarse_rgb"] - image) ** 2).mean()
        losses["interlevel_loss"] = interlevel_loss(weights, samples)
        losses["distortion_loss"] = distortion_loss(weights, samples)
        return losses

    # ---- geometry that moves

    def moved(self, look: GeometryLook, raw_density: Float[Tensor, "rays samples 1"]) -> RayLook:
        """See `MovableGeometry.moved`."""
        assert isinstance(look, RayLook)
        point = ContentPoint(raw_density, look.density_features, look.sample_features)
        weights = self.weights(look.samples, raw_density)
        return self._look(look.samples, look.positions, point, weights, look.sample_rgb, look.merging)

    def opacity(self, look: GeometryLook) -> Float[Tensor, "rays samples 1"]:
        """See `MovableGeometry.opacity`."""
        assert isinstance(look, RayLook) and look.samples.deltas is not None
        return 1 - torch.exp(-look.samples.deltas * self.content.density(look.raw_density) * self.placement.density_scale)

    def frozen_density(self, state: dict[str, Tensor] | None = None) -> FrozenDensity:
        """See `MovableGeometry.frozen_density`."""
        teacher = FrozenTeacher(self.content)
        if state is not None:
            of_content = {key: value for key, value in state.items() if key.startswith("content.")}
            teacher.field.load_state_dict({key.removeprefix("content."): value for key, value in of_content.items()})
        return lambda positions: teacher(positions).raw_density


CONTENTS.register("grid", GridSettings)
CONTENTS.register("planes", PlanesSettings)
CONTENTS.register("frequency", FrequencySettings)
