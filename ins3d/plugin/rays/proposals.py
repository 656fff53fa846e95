"""Networks that propose where along a ray the content should be asked."""

from typing import Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ins3d.fields.content_features import FrequencyContent
from ins3d.fields.mlp import Mlp
from ins3d.fields.point_encoding import FeaturePlanes


class PlaneDensity(nn.Module):
    """A coarse density for choosing samples: feature planes and a small network."""

    def __init__(self) -> None:
        super().__init__()
        self.planes = FeaturePlanes((64, 128), channels=4)
        self.mlp = Mlp(self.planes.num_outputs, 1, width=16, num_layers=2)

    def forward(self, positions: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 1"]:
        """Density >= 0 per ball radius."""
        return torch.exp(self.mlp(self.planes(positions)).clamp(max=12.0))

    def on_grid(self, side: int) -> Float[Tensor, "side side side"]:
        """Density at the corners [z, y, x] of a grid over the scene's cube.

        What the first layer says is a sum over planes: each is multiplied by its weights before it is spread out.
        """
        first, _, last = cast(Any, self.mlp.layers)
        of_levels = first.weight.split([plane.shape[1] for plane in self.planes.planes], dim=1)
        spread = [
            torch.einsum("oc,pchw->pohw", weight, F.interpolate(plane, (side, side), mode="bilinear", align_corners=True))
            for weight, plane in zip(of_levels, self.planes.planes, strict=True)
        ]
        over, across, along = torch.stack(spread).sum(0)  # planes (x, y), (x, z), (y, z), their second axis down
        over = over + first.bias[:, None, None]
        layers = [
            torch.einsum("o,ohw->hw", last.weight[0], F.relu(over + across[:, z, None, :] + along[:, z, :, None]))
            for z in range(side)
        ]
        return torch.exp((torch.stack(layers) + last.bias).clamp(max=12.0))


class CoarseDensity(nn.Module):
    """The paper's coarse network: a full content field, asked for its density; trained on colour as well."""

    def __init__(self) -> None:
        super().__init__()
        self.field = FrequencyContent()

    def forward(self, positions: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 1"]:
        """Density >= 0 per ball radius."""
        return self.field.density(self.field(positions).raw_density)

    def density_and_rgb(
        self, positions: Float[Tensor, "*batch 3"], directions: Float[Tensor, "*batch 3"]
    ) -> tuple[Float[Tensor, "*batch 1"], Float[Tensor, "*batch 3"]]:
        """For the coarse photometric loss (spec A.7, L_rgb^coarse)."""
        point = self.field(positions)
        return self.field.density(point.raw_density), self.field.rgb(point.color_features, directions)
