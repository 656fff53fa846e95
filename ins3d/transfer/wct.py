"""WCT: whitening and colouring from coarse to fine; no style is seen in training (Li et al., NIPS 2017)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ins3d.perception.features import PerceptualFeatures
from ins3d.perception.losses import Mask, position_weights
from ins3d.transfer.encoder_decoder import Decoder, Upsampling, weighted_sum, where_of
from ins3d.transfer.judging import TransferJudge
from ins3d.transfer.network import Shares, TransferNetwork, check_side

LEVELS = ("relu4_1", "relu3_1", "relu2_1", "relu1_1")
"""From coarse to fine. Differs from the paper, whose first is relu5_1: the compact encoder ends at relu4_1."""
LEAST_VARIANCE = 1e-5
"""Directions in which features vary less are left out: divided by their deviation, noise would be a stroke."""

Moments = tuple[Float[Tensor, "_ 1"], Float[Tensor, "_ _"]]
"""Mean of the features, and the root of their covariance."""


class WCT(TransferNetwork):
    """At each level features get the style's mean and covariance, and a decoder makes a picture of them (Figure 1c).

    Decoders learn to undo the encoder, from photographs and paintings alike, and nothing of styles.
    """

    def __init__(self, encoder: PerceptualFeatures, upsampling: Upsampling = "nearest") -> None:
        super().__init__()
        self._encoder = [encoder]  # in a list: neither saved nor trained with the network
        self.decoders = nn.ModuleDict({level: Decoder(encoder, level, upsampling) for level in LEVELS})

    def look_at(self, style: Float[Tensor, "3 style_height style_width"]) -> dict[str, Moments]:
        """Mean and covariance at every level."""
        check_side(style, "style", self.smallest_side)
        maps = self._encoder[0](style[None], LEVELS)
        return {level: _moments(maps[level][0].flatten(1), 0.5) for level in LEVELS}

    def stylized(self, contents: Float[Tensor, "batch 3 height width"], shares: Shares) -> Float[Tensor, "batch 3 _ _"]:
        """Level after level; each picture alone, because its features are whitened by themselves."""
        return torch.cat([self._one(content[None], shares) for content in contents])

    def _one(self, picture: Tensor, shares: Shares) -> Tensor:
        for level in LEVELS:
            features = self._encoder[0](picture, (level,))[level]
            painted = [whitened_and_colored(features, look[level], where_of(share)) for look, share in shares]
            picture = self.decoders[level](weighted_sum(features, painted, [share for _, share in shares]))
        return picture

    def losses(self, judge: TransferJudge, contents: Tensor, styles: Tensor, done: float) -> dict[str, Tensor]:
        """Equation 1: pixels and features of the pictures that are made of the features of pictures."""
        pictures = torch.cat([contents, styles])
        encoder, losses = self._encoder[0], {}
        with torch.no_grad():
            maps = encoder(pictures, LEVELS)
        for level in LEVELS:
            again = self.decoders[level](maps[level])
            apart = F.mse_loss(encoder(again, (level,))[level], maps[level]) / maps[level].square().mean()
            losses[f"{level}_loss"] = F.mse_loss(again, pictures) / pictures.var() + apart
        return losses


def whitened_and_colored(
    features: Float[Tensor, "1 channels height width"],
    style: Moments,
    where: Mask | None = None,
) -> Float[Tensor, "1 channels height width"]:
    """The features with the style's mean and covariance (Section 3.2, equations 2 and 3)."""
    flat = features[0].flatten(1)
    weights = None if where is None else position_weights(where, features).flatten()
    mean, whitening = _moments(flat, -0.5, weights)
    colored = style[1] @ (whitening @ (flat - mean)) + style[0]
    return colored.reshape(features.shape)


def _moments(flat: Float[Tensor, "channels places"], power: float, where: Tensor | None = None) -> Moments:
    """(mean, a power of the covariance); in directions that hardly vary it is 0."""
    weights = torch.ones_like(flat[0]) if where is None else where
    weights = weights / weights.sum().clamp(min=1e-6)
    mean = (flat * weights).sum(1, keepdim=True)
    centred = (flat - mean).double()
    values, vectors = torch.linalg.eigh((centred * weights) @ centred.T)
    scaled = torch.where(values > LEAST_VARIANCE, values.clamp(min=LEAST_VARIANCE) ** power, 0.0)
    return mean, (vectors @ torch.diag(scaled) @ vectors.T).to(flat)
