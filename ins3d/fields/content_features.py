"""CIM, the content implicit module: positions become density and features, features and directions become colour."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ins3d.fields.feature_hash import FeatureHash
from ins3d.fields.mlp import Mlp
from ins3d.fields.point_encoding import FeaturePlanes, FrequencyEncoding, encoded_or_zero


@dataclass
class ContentPoint:
    """What the content says about a point."""

    raw_density: Float[Tensor, "*batch 1"]
    """Density before its activation: what the gates mix and the geometry loss compares (spec A.2, A.7)."""
    density_features: Float[Tensor, "*batch density_channels"]
    color_features: Float[Tensor, "*batch color_channels"]


class ContentFeatures(nn.Module, ABC):
    """A content field. Positions lie in the unit ball (see `placement.scene`), directions have unit length."""

    num_density_features: int
    num_color_features: int

    @abstractmethod
    def forward(self, positions: Float[Tensor, "*batch 3"]) -> ContentPoint:
        """Asks the field about points."""

    @abstractmethod
    def density(self, raw_density: Float[Tensor, "*batch 1"]) -> Float[Tensor, "*batch 1"]:
        """The activation: raw density to density >= 0, per unit of the ball's radius."""

    @abstractmethod
    def rgb(
        self, color_features: Float[Tensor, "*batch color_channels"], directions: Float[Tensor, "*batch 3"] | None
    ) -> Float[Tensor, "*batch 3"]:
        """Colour in [0, 1]. Without directions the colour that does not depend on the view (INS, `zero_viewdir`)."""

    def tables(self) -> list[nn.Parameter]:
        """Parameters that are looked up rather than multiplied, and learn at a faster rate."""
        return []


class EncodedContent(ContentFeatures):
    """Features kept at places, and small networks: trains in minutes on a CPU, and moves between machines.

    Differs from INS: features instead of the 8x256 network; the same ones serve density and colour.
    """

    def __init__(self, num_encoded: int, num_features: int = 32, width: int = 64) -> None:
        """`num_encoded`: channels of what `encoded` answers."""
        super().__init__()
        self.num_density_features = self.num_color_features = num_features
        self.base = Mlp(num_encoded, 1 + num_features, width, num_layers=2)
        self.direction_encoding = FrequencyEncoding(num_inputs=3, num_frequencies=2)
        self.color = Mlp(num_features + self.direction_encoding.num_outputs, 3, width, num_layers=2)

    @abstractmethod
    def encoded(self, positions: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch encoded"]:
        """What is kept at positions."""

    def forward(self, positions: Float[Tensor, "*batch 3"]) -> ContentPoint:
        """See `ContentFeatures.forward`."""
        raw_density, features = self.base(self.encoded(positions)).split([1, self.num_color_features], dim=-1)
        return ContentPoint(raw_density, features, features)

    def density(self, raw_density: Float[Tensor, "*batch 1"]) -> Float[Tensor, "*batch 1"]:
        """exp, as in instant-ngp, bounded so that neither value nor gradient overflows."""
        return torch.exp(raw_density.clamp(max=12.0))

    def rgb(
        self, color_features: Float[Tensor, "*batch color_channels"], directions: Float[Tensor, "*batch 3"] | None
    ) -> Float[Tensor, "*batch 3"]:
        """See `ContentFeatures.rgb`."""
        if directions is None and torch.is_inference_mode_enabled():
            return self.rgb_along(color_features, None)
        encoded = encoded_or_zero(self.direction_encoding, directions, color_features)
        return torch.sigmoid(self.color(torch.cat([color_features, encoded], dim=-1)))

    def rgb_along(
        self, color_features: Float[Tensor, "*batch color_channels"], directions: Float[Tensor, "rays 3"] | None
    ) -> Float[Tensor, "*batch 3"]:
        """As `rgb`; what a direction says is added instead of concatenated, once for all samples of the ray.

        The last axis but one of the features is that of rays.
        """
        first, _, second = cast(Any, self.color.layers)
        of_features, of_direction = first.weight.split([self.num_color_features, self.direction_encoding.num_outputs], dim=1)
        hidden = F.linear(color_features, of_features, first.bias)
        if directions is not None:
            hidden += F.linear(self.direction_encoding(directions), of_direction)
        return torch.sigmoid(second(hidden.relu_()).float())


class GridContent(EncodedContent):
    """Features at the corners of grids of several resolutions, in hash tables (instant-ngp)."""

    def __init__(
        self, resolutions: tuple[int, ...], channels: int, log2_size: int, num_features: int = 32, width: int = 64
    ) -> None:
        grid = FeatureHash(resolutions, channels, log2_size)
        super().__init__(grid.num_outputs, num_features, width)
        self.grid = grid

    def encoded(self, positions: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch encoded"]:
        """See `EncodedContent.encoded`."""
        return self.grid(positions)

    def tables(self) -> list[nn.Parameter]:
        """The hash tables."""
        return list(self.grid.parameters())


class PlanesContent(EncodedContent):
    """Features in three planes, at several resolutions: the default before 0.3. What a plane holds is the same all along its
    axis, and fine things blur."""

    def __init__(
        self, resolutions: tuple[int, ...] = (64, 128, 256), channels: int = 16, num_features: int = 32, width: int = 64
    ) -> None:
        planes = FeaturePlanes(resolutions, channels)
        super().__init__(planes.num_outputs, num_features, width)
        self.planes = planes

    def encoded(self, positions: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch encoded"]:
        """See `EncodedContent.encoded`."""
        return self.planes(positions)

    def tables(self) -> list[nn.Parameter]:
        """The planes."""
        return list(self.planes.parameters())


class FrequencyContent(ContentFeatures):
    """The paper's network: 8 layers of 256, the encoded position again after the fifth (spec A.2; 595,844 parameters)."""

    def __init__(self, width: int = 256, num_layers: int = 8, skip_after: int = 4) -> None:
        super().__init__()
        self.num_density_features = self.num_color_features = width
        self.skip_after = skip_after
        self.position_encoding = FrequencyEncoding(num_inputs=3, num_frequencies=10)
        self.direction_encoding = FrequencyEncoding(num_inputs=3, num_frequencies=4)
        num_encoded = self.position_encoding.num_outputs
        sizes = [num_encoded] + [width] * (num_layers - 1)
        sizes[skip_after + 1] += num_encoded
        self.trunk = nn.ModuleList(nn.Linear(size, width) for size in sizes)
        self.raw_density = nn.Linear(width, 1)
        self.color_features = nn.Linear(width, width)
        self.views = nn.Linear(width + self.direction_encoding.num_outputs, width // 2)
        self.color = nn.Linear(width // 2, 3)

    def forward(self, positions: Float[Tensor, "*batch 3"]) -> ContentPoint:
        """See `ContentFeatures.forward`."""
        encoded = self.position_encoding(positions)
        hidden = encoded
        for index, layer in enumerate(self.trunk):
            hidden = F.relu(layer(hidden))
            if index == self.skip_after:
                hidden = torch.cat([encoded, hidden], dim=-1)
        return ContentPoint(self.raw_density(hidden), hidden, self.color_features(hidden))

    def density(self, raw_density: Float[Tensor, "*batch 1"]) -> Float[Tensor, "*batch 1"]:
        """ReLU (spec A.5)."""
        return F.relu(raw_density)

    def rgb(
        self, color_features: Float[Tensor, "*batch color_channels"], directions: Float[Tensor, "*batch 3"] | None
    ) -> Float[Tensor, "*batch 3"]:
        """See `ContentFeatures.rgb`."""
        encoded = encoded_or_zero(self.direction_encoding, directions, color_features)
        hidden = F.relu(self.views(torch.cat([color_features, encoded], dim=-1)))
        return torch.sigmoid(self.color(hidden))
