"""One query through SIM and AM."""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ins3d.fields.amalgamation import Amalgamation
from ins3d.fields.merged_points import SurfacePoints
from ins3d.fields.point_encoding import FrequencyEncoding
from ins3d.fields.precision import rounded_products
from ins3d.fields.style_features import StyleFeatures, StyleTables

OUTSIDE = 0.1
"""What is left of how far a painted colour lies outside [0, 1]: it has a gradient there, and no more."""


def squeezed(
    colors: Float[Tensor, "*batch 3"], opacity: Float[Tensor, "*batch 1"] | float = 1.0
) -> Float[Tensor, "*batch 3"]:
    """Colours in [0, 1] as they are, and a tenth (`OUTSIDE`) of how far others lie outside.

    Colours that are multiplied by an `opacity` end there.

    >>> squeezed(torch.tensor([0.3, 11.0, -2.0]))
    tensor([ 0.3000,  2.0000, -0.2000])
    >>> squeezed(torch.tensor([0.3, 10.5, -2.0]), torch.tensor([0.5]))
    tensor([ 0.3000,  1.5000, -0.2000])
    """
    inside = colors.clamp(min=0).minimum(torch.as_tensor(opacity).to(colors))
    return inside + OUTSIDE * (colors - inside)


class StylizedField(nn.Module):
    """SIM and AM: features of a content in, those of the stylised content out."""

    def __init__(
        self, num_density_features: int | None, num_color_features: int, encoding: FrequencyEncoding | StyleTables,
        num_styles: int, width: int, num_color_layers: int, gate_init: tuple[float, float], sees_content: bool = True,
        mixes_colors: bool = False,
    ) -> None:  # fmt: skip
        """Without density features there is no density gate: the style changes colours alone.

        Where it `mixes_colors`, the colour features that AM sees and returns are the content's colours, and its head has
        none left to make. Differs from INS, which mixes features: those of a content that is stored in planes show the
        planes' cells, which AM takes for brushwork (a plaid).
        """
        super().__init__()
        self.mixes_colors, num_color_features = mixes_colors, 3 if mixes_colors else num_color_features
        self.style_features = StyleFeatures(encoding, num_styles, width)
        self.amalgamation = Amalgamation(
            num_density_features, num_color_features, width, width, num_color_layers, gate_init, sees_content
        )

    def raw_density(
        self,
        content_raw_density: Float[Tensor, "*batch 1"],
        density_features: Float[Tensor, "*batch density_channels"],
        positions: Float[Tensor, "*batch 3"],
        style_code: Float[Tensor, " styles"],
    ) -> Float[Tensor, "*batch 1"]:
        """The stylised density before its activation; positions lie in the unit ball."""
        style = self.style_features(positions, style_code)
        return self.amalgamation.raw_density(content_raw_density, density_features, style, style_code.sum())

    def color_features(
        self, points: SurfacePoints, style_code: Float[Tensor, " styles"]
    ) -> Float[Tensor, "*rays points channels"]:
        """What the colour features of points become; the content makes colours of them, unless they are colours."""
        return self.mixed(points.color_features, points.positions, style_code, points.spread)

    def mixed(
        self,
        content: Float[Tensor, "*batch channels"],
        positions: Float[Tensor, "*batch inputs"],
        style_code: Float[Tensor, " styles"],
        spread: Float[Tensor, "*batch 1"] | float | None,
    ) -> Float[Tensor, "*batch channels"]:
        """What a content's colours or features become at places of the unit ball."""
        with rounded_products(positions.device, learning=self.training):
            style = self.style_features(positions, style_code, spread)
            return self.amalgamation.color_features(content, style, style_code.sum())

    def gates(self) -> list[nn.Parameter]:
        """The gates, which learn at their own rate."""
        return list(self.named_gates().values())

    def named_gates(self) -> dict[str, nn.Parameter]:
        """{density_gate, rgb_gate}; the former only where density can be styled."""
        return {name: gate for name, gate in self.amalgamation.named_parameters() if name.endswith("_gate")}

    def weights(self) -> list[nn.Parameter]:
        """Everything trainable but the gates and the planes."""
        apart = {id(parameter) for parameter in self.gates() + self.planes()}
        return [parameter for parameter in self.parameters() if id(parameter) not in apart]

    def planes(self) -> list[nn.Parameter]:
        """The position encoding's parameters, planes or tables; none with sines and cosines."""
        return cast(list[nn.Parameter], list(self.style_features.encoding.parameters()))

    def keep_styles(self, number: int) -> None:
        """Freezes all that the first `number` styles are painted with; the others learn planes and columns of their own."""
        self.requires_grad_(False)
        network = self.style_features
        assert isinstance(network.encoding, StyleTables)
        for index in range(number, len(network.columns)):
            network.columns[index].requires_grad_(True)
            network.encoding.styles[index].requires_grad_(True)
