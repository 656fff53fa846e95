"""AdaIN: arbitrary style by exchanging the statistics of features (Huang and Belongie, ICCV 2017)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ins3d.transfer.encoder_decoder import EncoderDecoder, Features, joined
from ins3d.transfer.judging import TransferJudge
from ins3d.transfer.statistics import ChannelStatistics, adain, channel_statistics

CONTENT_WEIGHT, STYLE_WEIGHT = 2.5, 10.0
"""The paper's are 1 and 10 (lambda, in the PyTorch port's scale)."""
IDENTITY_WEIGHT = 4.0
"""Differs from the paper, which has no such loss: without it strength 0 is a photograph that is painted, too."""
FIRST_SHARE = 0.1
"""Of the steps, in which the decoder learns to make pictures of features at all."""


class AdaIN(EncoderDecoder):
    """The content's features get the style's mean and deviation in every channel, and are decoded (Figure 2)."""

    def style_of(self, features: Features) -> tuple[ChannelStatistics, ...]:
        """The statistics of every channel."""
        return tuple(channel_statistics(each) for each in features[: self.main_features])

    def transform(self, features: Features, look: tuple[ChannelStatistics, ...], where: Tensor | None = None) -> Features:
        """The content's features with the style's statistics."""
        return tuple(adain(each, style, where) for each, style in zip(self.plain(features), look, strict=True))

    def losses(self, judge: TransferJudge, contents: Tensor, styles: Tensor, done: float) -> dict[str, Tensor]:
        """Equations 11 to 13: the picture has the features that it was decoded from, and the style's statistics."""
        features, style = self.known(contents), self.known(styles)
        if done < FIRST_SHARE:
            pictures = torch.cat([contents, styles])
            return {"identity_loss": IDENTITY_WEIGHT * identity_loss(self.again(joined(features, style)), pictures)}
        look = self.look_of(style)
        painted, again = self.painted(joined(features, features), joined(look, self.look_of(features))).chunk(2)
        return {
            "content_loss": CONTENT_WEIGHT * relative_loss(self.encode(painted), self.transform(features, look.main)),
            "style_loss": STYLE_WEIGHT * judge.style_distance(judge(painted), judge.known(styles)),
            "identity_loss": IDENTITY_WEIGHT * identity_loss(again, contents),
        }


def identity_loss(pictures: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared error as a share of the variance of what is wanted."""
    return F.mse_loss(pictures, wanted) / wanted.var()


def relative_loss(features: Features, wanted: Features) -> Tensor:
    """Mean squared error as a share of what is wanted, mean over the layers that are wanted."""
    return torch.stack([F.mse_loss(a, b) / b.square().mean() for a, b in zip(features, wanted, strict=False)]).mean()
