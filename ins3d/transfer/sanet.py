"""SANet: every place of the content takes the style's features that suit it (Park and Lee, CVPR 2019)."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ins3d.perception.features import PerceptualFeatures
from ins3d.transfer.encoder_decoder import DEEP, SHALLOW, EncoderDecoder, Features, Upsampling, joined
from ins3d.transfer.judging import PaintingWeights, TransferJudge, painting_losses, some_of_both
from ins3d.transfer.statistics import normalized

WEIGHTS = PaintingWeights(content=1.0, style=18.0, identity=15.0, feature_identity=0.3)
"""Equations 7 and 10. Differs from the paper (1, 3, 50, 1 by the authors' erratum): after an hour on two cores, not days on
a GPU, that showed photographs in other colours, without a stroke."""
MOST_PLACES = 2**12
"""Of a style, evenly spread over it."""
ROWS = 1024
"""Places of the content that look at the style at once; memory is so many times the style's places."""


class StyleAttention(nn.Module):
    """Of one layer: the style's features, weighted by how alike content and style are (Section 3.2, equation 4).

    A place may be a block of `block` x `block` positions, that go wherever it goes: shallow features have as many places as
    deep ones, and a picture of 512x512 has 4,096 rather than 16,384.
    """

    def __init__(self, channels: int, compared: int, block: int = 1) -> None:
        """`compared`: how many numbers of a place say how alike two are; the paper has as many as channels."""
        super().__init__()
        self.block = block
        self.query, self.key = (nn.Conv2d(channels * block**2, compared, 1) for _ in range(2))
        self.value, self.out = (nn.Conv2d(channels, channels, 1) for _ in range(2))
        for weights in self.out.parameters():  # an untrained network shows the content
            nn.init.zeros_(weights)

    def forward(
        self, content: Float[Tensor, "batch channels height width"], style: Float[Tensor, "batch channels _ _"]
    ) -> Float[Tensor, "batch channels height width"]:
        """The content with what it takes of the style added."""
        queries = self.query(self._blocks(normalized(content)))
        rows = queries.flatten(2).transpose(1, 2).split(ROWS, dim=1)
        keys = self.key(self._blocks(normalized(style))).flatten(2)
        values = self._blocks(self.value(style)).flatten(2).transpose(1, 2)
        taken = torch.cat([torch.softmax(each @ keys, dim=-1) @ values for each in rows], dim=1)
        laid = taken.transpose(1, 2).unflatten(2, queries.shape[2:])
        return content + self.out(F.pixel_shuffle(laid, self.block) if self.block > 1 else laid)

    def _blocks(self, features: Tensor) -> Tensor:
        return F.pixel_unshuffle(features, self.block) if self.block > 1 else features


class SANet(EncoderDecoder):
    """Attention in two layers, joined and decoded (Figure 2).

    Differs from the paper: the layers are relu3_1 and relu4_1 instead of relu4_1 and relu5_1, which the compact encoder does
    not have, and the decoder joins them. Losses are taken on the four layers that AdaIN's are.
    """

    def __init__(self, encoder: PerceptualFeatures, upsampling: Upsampling = "bilinear") -> None:
        super().__init__(encoder, upsampling)
        deep, shallow = (encoder.channels[layer][1] for layer in (DEEP, SHALLOW))
        self.deep, self.shallow = StyleAttention(deep, deep // 2), StyleAttention(shallow, shallow, block=2)

    def style_of(self, features: Features) -> Features:
        """Every place, or of more than `MOST_PLACES` every so many: time would grow as the fourth power of a side."""
        deep, shallow = features[:2]
        even = shallow[..., : shallow.shape[2] // 2 * 2, : shallow.shape[3] // 2 * 2]  # an odd last row is no block
        step = math.ceil((deep[0, 0].numel() / MOST_PLACES) ** 0.5)
        return deep[..., ::step, ::step], F.pixel_shuffle(F.pixel_unshuffle(even, 2)[..., ::step, ::step], 2)

    def transform(self, features: Features, look: Features, where: Tensor | None = None) -> Features:
        """`where` changes nothing: places look at the style one by one."""
        return self.deep(features[0], look[0]), self.shallow(features[1], look[1])

    def plain(self, features: Features) -> Features:
        """The content taken for a style: there is no other way past the attention."""
        return self.transform(features, self.style_of(features))

    def losses(self, judge: TransferJudge, contents: Tensor, styles: Tensor, done: float) -> dict[str, Tensor]:
        """Equations 7 to 10: content, style, and pictures that are painted like themselves."""
        content, style, own = map(self.known, (contents, styles, some_of_both(contents, styles)))
        looks = joined(self.look_of(style), self.look_of(own))
        return painting_losses(judge, self.painted(joined(content, own), looks), contents, styles, WEIGHTS)
