"""SIM, the style implicit module: a style code and a position become style features."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ins3d.point_encoding import FeaturePlanes, FrequencyEncoding


class StyleFeatures(nn.Module):
    """Four layers; the code enters each, the encoded position the second (spec A.3).

    With a width of 256 and the paper's 63 position frequencies this is the released network (214,784 parameters for
    one style). Differs from INS in the default method: the positions are read from feature planes and the width is 64.
    """

    def __init__(self, encoding: FrequencyEncoding | FeaturePlanes, num_styles: int, width: int = 256) -> None:
        super().__init__()
        self.encoding = encoding
        extra = [0, encoding.num_outputs + num_styles, num_styles, num_styles]
        first = nn.Linear(num_styles, width)
        self.layers = nn.ModuleList([first] + [nn.Linear(width + size, width) for size in extra[1:]])

    def forward(
        self,
        positions: Float[Tensor, "*batch 3"],
        style_code: Float[Tensor, " styles"],
        spread: Float[Tensor, "*batch 1"] | None = None,
    ) -> Float[Tensor, "*batch width"]:
        """Positions lie in the unit ball; `spread` is how far the samples behind a merged point lie apart."""
        code = style_code.expand(*positions.shape[:-1], -1)
        encoded = self.encoding(positions, spread)
        # The first layer sees the code alone, so it is asked once and not at every point.
        hidden = F.relu(self.layers[0](style_code)).expand(*positions.shape[:-1], -1)
        hidden = F.relu(self.layers[1](torch.cat([hidden, encoded, code], dim=-1)))
        for layer in self.layers[2:]:
            hidden = F.relu(layer(torch.cat([hidden, code], dim=-1)))
        return hidden
