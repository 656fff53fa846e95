"""Painted picture fields: CIM with SIM and AM (INS), or one network with a latent each for content and style (INR-st)."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ins3d.fields.mlp import SkippingMlp
from ins3d.fields.point_encoding import FeaturePlanes, FrequencyEncoding
from ins3d.fields.style_features import StylePlanes
from ins3d.fields.stylized import StylizedField
from ins3d.pictures.content import PictureContent, spread_over
from ins3d.style.colors import Colors, StyleColors

BlendNetwork = Literal["planes", "harmonic"]


class StylizedPicture(StylizedField):
    """SIM and AM over a fitted picture, which is frozen (INS, spec A.10): the same modules as in 3D."""

    WIDTH = 64
    STRETCH = 3.0
    """How much further than the content's colours can go strokes may go: the colour map squeezes what a photograph's range
    is, and ink on paper has to stay black."""

    def __init__(
        self, content: PictureContent, num_styles: int, long_side: int, colors: Colors, coarse: bool = True
    ) -> None:
        """`coarse`: it is asked for pictures smaller than `long_side` pixels as well (not before version 0.3)."""
        # The finest are a little finer than pixels.
        shares = (0.75, 1.5, 3, 6, 12) if coarse else (3, 6, 12)
        resolutions = tuple(max(int(long_side * share / 8), 4) for share in shares)
        planes = StylePlanes(num_styles, resolutions, channels=8, num_inputs=2)
        super().__init__(None, content.num_features, planes, num_styles, self.WIDTH, 2, (1.0, 0.9), not coarse)
        self.content = content.requires_grad_(False)
        self.colors = StyleColors(colors, num_styles)
        self.finest, self.stretch = (2 / long_side, self.STRETCH) if coarse else (None, 1.0)

    def forward(
        self, positions: Float[Tensor, "points 2"], style_code: Float[Tensor, " styles"], pixel: float = 0.0
    ) -> Float[Tensor, "points 3"]:
        """Colours at places under one code, for pixels of a width; the zero code is the content, to the last bit."""
        features = self.content.features_of(positions, pixel)
        # The corners of a square picture lie outside the unit circle, in which style planes may turn.
        spread = spread_over(0.5**0.5 * pixel, self.finest and 0.5**0.5 * self.finest)
        rgb = self.content.rgb(self.mixed(features, positions * 0.5**0.5, style_code, spread))
        if self.stretch > 1 or self.colors.mode == "content":
            plain = self.content.rgb(features)
            rgb = plain + self.colors.change(self.stretch * (rgb - plain))
        return self.colors.map(rgb, 1.0, style_code)

    def groups(self) -> list[dict[str, object]]:
        """What learns, and how fast: faster than in 3D, since a picture is painted in fewer steps."""
        layers = [parameter for parameter in self.weights() if parameter.requires_grad]
        return [{"params": self.planes(), "lr": 0.1}, {"params": layers, "lr": 8e-3}, {"params": self.gates(), "lr": 0.01}]


class BlendedPicture(nn.Module):
    """INR-st (Kim et al. 2022, spec B): one network that is told at every place how much style it is to show.

    A content and a style latent are drawn once, kept, and blended by the strength; the paper's alpha is 1 - strength.
    Differs from it in the default, `planes`: places are read from feature planes, and the network is narrow; `harmonic` is
    the paper's network. How it is trained is in `pictures.blending`.
    """

    LATENT = 16

    def __init__(self, network: BlendNetwork, long_side: int, coarse: bool = True) -> None:
        super().__init__()
        self.finest = 2 / long_side if coarse else None
        if network == "planes":
            resolutions = tuple(max(long_side // divisor, 2) for divisor in (8, 4, 2, 1))
            self.encoding: FeaturePlanes | FrequencyEncoding = FeaturePlanes(resolutions, 8, num_inputs=2)
            width = 64
        else:
            self.encoding, width = FrequencyEncoding(num_inputs=2, num_frequencies=6), 256
        self.trunk = SkippingMlp(self.encoding.num_outputs + self.LATENT, width // 2, width, num_layers=8, skip_to=5)
        self.color = nn.Linear(width // 2, 3)
        self.register_buffer("latents", torch.randn(2, self.LATENT))
        self.learning_rate = 1e-2 if network == "planes" else 1e-3

    def forward(
        self, positions: Float[Tensor, "points 2"], strengths: Float[Tensor, "points 1"], pixel: float = 0.0
    ) -> Float[Tensor, "points 3"]:
        """Colours at places, each with a strength of its own in [0, 1], for pixels of a width."""
        content, style = self.get_buffer("latents")
        latents = torch.lerp(content, style, strengths)
        return torch.sigmoid(self.color(self.trunk(torch.cat([self._encoded(positions, pixel), latents], dim=-1))))

    def _encoded(self, positions: Tensor, pixel: float) -> Tensor:
        if isinstance(self.encoding, FrequencyEncoding):
            return self.encoding(positions)
        return self.encoding(positions, spread_over(pixel, self.finest))
