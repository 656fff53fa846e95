"""MCCNet: channels are weighed by the style's, which keeps pictures of a film calm (Deng et al., AAAI 2021)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ins3d.perception.features import PerceptualFeatures
from ins3d.perception.losses import total_variation_loss
from ins3d.transfer.encoder_decoder import DEEP, SHALLOW, EncoderDecoder, Features, Upsampling, joined
from ins3d.transfer.judging import PaintingWeights, TransferJudge, painting_losses, some_of_both
from ins3d.transfer.statistics import normalized

WEIGHTS = PaintingWeights(content=2.0, style=10.0, identity=20.0, feature_identity=0.3)
"""Differs from the paper (3, 10, 70, 1), as SANet's do."""
ILLUMINATION_WEIGHT, SMOOTH_WEIGHT = 3000.0, 1.0
NOISE = (0.01, 0.02)
"""Deviation of the noise that must not change a picture, drawn between the two (Section 3.4)."""
LEAST_MEAN = 0.1
"""Of a channel, as a share of its root mean square. Differs from the paper: where values cancel out it divides by nothing,
and of normalised features nothing but the convolution's bias is left in the sum."""


class ChannelCorrelation(nn.Module):
    """Of one layer: a channel of the content is multiplied by what the style's channels say of it (Section 3.2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.of_content, self.of_style, self.out = (nn.Conv2d(channels, channels, 1) for _ in range(3))
        self.weigh = nn.Linear(channels, channels)
        for weights in self.out.parameters():  # an untrained network shows the content
            nn.init.zeros_(weights)

    def style_of(self, features: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels 1 1"]:
        """By channel sum of squares by sum (equation 6), weighed against each other."""
        seen = self.of_style(normalized(features)).flatten(2)
        mean, square = seen.mean(2), seen.square().mean(2)
        least = LEAST_MEAN * (square + 1e-12).sqrt()
        mean = torch.where(mean.abs() < least, torch.where(mean < 0, -least, least), mean)
        return self.weigh(square / mean)[:, :, None, None]

    def forward(
        self, content: Float[Tensor, "batch channels height width"], look: Tensor, where: Tensor | None
    ) -> Float[Tensor, "batch channels height width"]:
        """The content with its weighed channels added."""
        return content + self.out(self.of_content(normalized(content, where)) * look)


class MCCNet(EncoderDecoder):
    """Multi-channel correlation in two layers.

    Places of the content are changed alike wherever they lie: two frames that differ little become pictures that do.
    Differs from the paper, which has relu4_1 alone, and takes losses on a fifth layer that the compact encoder ends before.
    """

    def __init__(self, encoder: PerceptualFeatures, upsampling: Upsampling = "bilinear") -> None:
        super().__init__(encoder, upsampling)
        self.deep, self.shallow = (ChannelCorrelation(encoder.channels[layer][1]) for layer in (DEEP, SHALLOW))

    def style_of(self, features: Features) -> Features:
        """A weight for every channel."""
        return self.deep.style_of(features[0]), self.shallow.style_of(features[1])

    def transform(self, features: Features, look: Features, where: Tensor | None = None) -> Features:
        """The content's features with weighed channels."""
        return self.deep(features[0], look[0], where), self.shallow(features[1], look[1], where)

    def losses(self, judge: TransferJudge, contents: Tensor, styles: Tensor, done: float) -> dict[str, Tensor]:
        """Section 3.4: content, style, identity, and pictures that do not change with a little noise."""
        low, high = NOISE
        noisy = contents + (low + (high - low) * torch.rand(())) * torch.randn_like(contents)
        themselves = some_of_both(contents, styles)
        number, few = len(contents), len(themselves)
        content, own, disturbed, style = map(self.known, (contents, themselves, noisy, styles))
        look = self.look_of(style)
        pictures = self.painted(joined(content, own, disturbed), joined(look, self.look_of(own), look))
        painted, moved = pictures[:number], pictures[number + few :]
        return {
            **painting_losses(judge, pictures[: number + few], contents, styles, WEIGHTS),
            "illumination_loss": ILLUMINATION_WEIGHT * F.mse_loss(moved, painted),
            "smooth_loss": SMOOTH_WEIGHT * total_variation_loss(painted),
        }
