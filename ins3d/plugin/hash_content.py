"""The host's hash field (nerfacto) as a content field: positions in the unit ball, tinycudann when it is there."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from nerfstudio.field_components.activations import trunc_exp
from nerfstudio.fields.density_fields import HashMLPDensityField
from nerfstudio.fields.nerfacto_field import NerfactoField
from nerfstudio.utils.external import TCNN_EXISTS
from torch import Tensor

from ins3d.fields.content_features import ContentFeatures, ContentPoint
from ins3d.plugin.contents.content import CONTENTS, SETTING
from ins3d.plugin.ray_content import RayContentField

Implementation = Literal["auto", "tcnn", "torch"]


@dataclass
class HashSettings:
    """nerfacto's field: sizes and sampling; a nerfacto run given as content brings its own."""

    implementation: Implementation = "auto"
    """`tcnn` (tinycudann, needs CUDA), `torch` (everywhere), or `auto`: tinycudann when it is installed."""
    num_levels: int = 8
    base_res: int = 16
    max_res: int = 512
    log2_hashmap_size: int = 15
    features_per_level: int = 2
    hidden_dim: int = 32
    hidden_dim_color: int = 32
    num_layers: int = 2
    average_init_density: float = 1.0
    num_images: int = 1
    """Rows of the appearance embedding; only those of a nerfacto run are of use here."""
    appearance_embed_dim: int = 0
    proposal_levels: tuple[int, ...] = (5,)
    """Hash levels of each proposal network."""
    proposal_max_res: tuple[int, ...] = (128,)
    proposal_log2_hashmap_size: tuple[int, ...] = (13,)
    proposal_hidden_dim: tuple[int, ...] = (16,)
    proposal_linear: tuple[bool, ...] = (False,)

    num_proposal_samples: tuple[int, ...] = (48,)
    """Samples per ray that the proposal networks see, one number each."""
    num_samples: int = 16
    """Samples per ray that the content field sees."""

    def setup(self) -> RayContentField:
        """Builds the field and its proposal networks; ValueError where these are not as many as their settings."""
        count = len(self.num_proposal_samples)
        for name in ("levels", "max_res", "log2_hashmap_size", "hidden_dim", "linear"):
            given = getattr(self, f"proposal_{name}")
            if len(given) != count:
                raise ValueError(
                    f"{SETTING}: hash:proposal_{name} has {len(given)} parts and num_proposal_samples {count}; give one for "
                    "each proposal network."
                )
        proposals = [HashDensity(self, level) for level in range(count)]  # first: the order of random draws is kept
        return RayContentField(HashContent(self), proposals, self.num_proposal_samples, self.num_samples)

    def resolved_implementation(self) -> Literal["tcnn", "torch"]:
        """Which implementation the parameters are laid out for."""
        if self.implementation == "auto":
            return "tcnn" if TCNN_EXISTS and torch.cuda.is_available() else "torch"
        return self.implementation


AABB = torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])


class HashContent(ContentFeatures):
    """nerfacto's networks, asked as a content field. The appearance embedding is its mean, as in nerfacto's evaluation."""

    def __init__(self, settings: HashSettings) -> None:
        super().__init__()
        self.field = NerfactoField(
            AABB.clone(), num_images=settings.num_images, num_layers=settings.num_layers, hidden_dim=settings.hidden_dim,
            num_levels=settings.num_levels, base_res=settings.base_res, max_res=settings.max_res,
            log2_hashmap_size=settings.log2_hashmap_size, features_per_level=settings.features_per_level,
            hidden_dim_color=settings.hidden_dim_color, appearance_embedding_dim=settings.appearance_embed_dim,
            average_init_density=settings.average_init_density, implementation=settings.resolved_implementation(),
        )  # fmt: skip
        self.num_density_features = self.num_color_features = self.field.geo_feat_dim

    def tables(self) -> list[torch.nn.Parameter]:
        """The hash table; with tinycudann also the network behind it, which lies in the same tensor."""
        model = self.field.mlp_base.model
        return list((model[0] if isinstance(model, torch.nn.Sequential) else model).parameters())

    def forward(self, positions: Float[Tensor, "*batch 3"]) -> ContentPoint:
        """See `ContentFeatures.forward`."""
        flat = (positions.reshape(-1, 3) + 1) / 2
        answer = self.field.mlp_base(flat).float().reshape(*positions.shape[:-1], -1)
        raw_density, features = answer.split([1, self.num_color_features], dim=-1)
        return ContentPoint(raw_density, features, features)

    def density(self, raw_density: Float[Tensor, "*batch 1"]) -> Float[Tensor, "*batch 1"]:
        """nerfacto's truncated exponential."""
        return self.field.average_init_density * trunc_exp(raw_density)

    def rgb(
        self, color_features: Float[Tensor, "*batch color_channels"], directions: Float[Tensor, "*batch 3"] | None
    ) -> Float[Tensor, "*batch 3"]:
        """See `ContentFeatures.rgb`."""
        flat = color_features.reshape(-1, color_features.shape[-1])
        if directions is None:
            encoded = flat.new_zeros(len(flat), self.field.direction_encoding.get_out_dim())
        else:
            encoded = self.field.direction_encoding((directions.reshape(-1, 3) + 1) / 2).to(flat)
        parts = [encoded, flat]
        if self.field.embedding_appearance is not None:
            parts.append(self.field.embedding_appearance.mean(dim=0).expand(len(flat), -1))
        return self.field.mlp_head(torch.cat(parts, dim=-1)).float().reshape(*color_features.shape[:-1], 3)


class HashDensity(torch.nn.Module):
    """One of nerfacto's proposal networks, asked in the unit ball."""

    def __init__(self, settings: HashSettings, level: int) -> None:
        super().__init__()
        self.field = HashMLPDensityField(
            AABB.clone(), num_levels=settings.proposal_levels[level], max_res=settings.proposal_max_res[level],
            log2_hashmap_size=settings.proposal_log2_hashmap_size[level], hidden_dim=settings.proposal_hidden_dim[level],
            use_linear=settings.proposal_linear[level], average_init_density=settings.average_init_density,
            implementation=settings.resolved_implementation(),
        )  # fmt: skip

    def forward(self, positions: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 1"]:
        """Density >= 0 per ball radius."""
        flat = (positions.reshape(-1, 3) + 1) / 2
        raw = self.field.linear(self.field.encoding(flat).float()) if self.field.use_linear else self.field.mlp_base(flat)
        return (self.field.average_init_density * trunc_exp(raw.float())).reshape(*positions.shape[:-1], 1)


CONTENTS.register("hash", HashSettings)
