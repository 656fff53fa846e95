"""SIM, the style implicit module: a style code and a position become style features."""

from collections.abc import Sequence
from typing import Literal, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ins3d.fields.feature_hash import FeatureHash
from ins3d.fields.point_encoding import FeaturePlanes, FrequencyEncoding


class StyleTables(nn.Module):
    """Features for each style, mixed by the style code.

    Differs from INS, where all styles read the same sines and cosines: what one style paints is nothing that another has
    to make room for, a step reads and moves the features of its own style only, and a style can be added later.
    """

    def __init__(self, encodings: Sequence[FeaturePlanes | FeatureHash]) -> None:
        """One encoding for each style, all alike."""
        super().__init__()
        self.styles = nn.ModuleList(encodings)
        self.num_outputs = encodings[0].num_outputs

    def forward(
        self,
        positions: Float[Tensor, "*batch inputs"],
        style_code: Float[Tensor, " styles"],
        spread: Float[Tensor, "*batch 1"] | float | None = None,
    ) -> Float[Tensor, "*batch outputs"]:
        """Those of styles that weigh nothing are not read."""
        features = positions.new_zeros(*positions.shape[:-1], self.num_outputs)
        for index in style_code.nonzero()[:, 0].tolist():
            features = features + style_code[index] * self.styles[index](positions, spread)
        return features


class StylePlanes(StyleTables):
    """Feature planes for each style."""

    def __init__(self, num_styles: int, resolutions: tuple[int, ...], channels: int, num_inputs: Literal[2, 3] = 3) -> None:
        super().__init__([FeaturePlanes(resolutions, channels, True, num_inputs) for _ in range(num_styles)])


class StyleHash(StyleTables):
    """A feature hash for each style."""

    def __init__(self, num_styles: int, resolutions: tuple[int, ...], channels: int, log2_size: int) -> None:
        super().__init__([FeatureHash(resolutions, channels, log2_size) for _ in range(num_styles)])


class StyleFeatures(nn.Module):
    """Four layers; the code enters each, the encoded position the second (spec A.3).

    With a width of 256 and the paper's 63 position frequencies this is the released network (214,784 parameters for
    one style). To concatenate a code is to add, for every style, its share of a column of weights: `columns` holds them by
    style, so that styles can be added to a finished network. Differs from INS in the default method: positions are read
    from a feature hash, and the width is 64.
    """

    def __init__(self, encoding: FrequencyEncoding | StyleTables, num_styles: int, width: int = 256) -> None:
        super().__init__()
        self.encoding = encoding
        inputs = (width + encoding.num_outputs, width, width)
        self.layers = nn.ModuleList(nn.Linear(size, width) for size in inputs)
        # The first layer sees the code alone. All are drawn as nn.Linear draws what is concatenated.
        bounds = torch.tensor([num_styles, *(size + num_styles for size in inputs)]) ** -0.5
        self.first_bias = nn.Parameter(_uniform(width) * bounds[0])
        self.columns = nn.ParameterList(nn.Parameter(_uniform(4, width) * bounds[:, None]) for _ in range(num_styles))

    def forward(
        self,
        positions: Float[Tensor, "*batch inputs"],
        style_code: Float[Tensor, " styles"],
        spread: Float[Tensor, "*batch 1"] | float | None = None,
    ) -> Float[Tensor, "*batch width"]:
        """Positions lie in the unit ball; `spread` is how far the samples behind a merged point lie apart."""
        shifts = self._shifts(style_code)
        # What the first layer says is the same for every point, and enters the second as part of its bias.
        hidden = F.relu(self.first_bias + shifts[0])
        second, *others = cast(list[nn.Linear], list(self.layers))
        of_code, of_position = second.weight.split([len(hidden), self.encoding.num_outputs], dim=1)
        bias = second.bias + of_code @ hidden + shifts[1]
        hidden = F.relu(F.linear(self._encoded(positions, style_code, spread), of_position, bias))
        for layer, shift in zip(others, shifts[2:], strict=True):
            hidden = F.relu(F.linear(hidden, layer.weight, layer.bias + shift))
        return hidden

    def _shifts(self, style_code: Float[Tensor, " styles"]) -> Float[Tensor, "layers width"]:
        shifts = torch.zeros_like(self.columns[0])
        for index in style_code.nonzero()[:, 0].tolist():
            shifts = shifts + style_code[index] * self.columns[index]
        return shifts

    def _encoded(self, positions: Tensor, style_code: Tensor, spread: Tensor | float | None) -> Tensor:
        if isinstance(self.encoding, StyleTables):
            return self.encoding(positions, style_code, spread)
        assert not isinstance(spread, float)  # sines are asked with a spread for each position
        return self.encoding(positions, spread)


def _uniform(*shape: int) -> Tensor:
    return 2 * torch.rand(*shape) - 1
