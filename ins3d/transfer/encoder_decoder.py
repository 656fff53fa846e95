"""Networks that encode a picture, change its features after a style, and decode them: AdaIN and what came after it."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ins3d.perception.features import PerceptualFeatures
from ins3d.transfer.network import Share, Shares, TransferNetwork, check_side
from ins3d.transfer.statistics import ChannelStatistics, adain, channel_statistics, upsampled

Upsampling = Literal["nearest", "bilinear"]
DEEP, SHALLOW, FINE = "relu4_1", "relu3_1", ("relu2_1", "relu1_1")
"""The layers that are transformed and decoded, and those of which a style's statistics are exchanged on the way back.

Differs from AdaIN and its heirs, which take relu4_1 alone (or with relu5_1): the compact encoder has 192 channels there
instead of 512, of which alone a decoder makes no colours again; without the fine layers' statistics colours are a fifth
farther from the style's (docs/transfer.md). ReReVST (Wang et al., TIP 2020) exchanges statistics at four layers, too."""

Features = tuple[Float[Tensor, "_ _ _ _"], ...]
"""Of one picture, from deep to fine: at an eighth, a quarter and half of its size, and at its own."""
Restyle = Callable[[int, Tensor], Tensor]
"""Gives hidden features of the decoder, which mirror those of this number among the fine ones, a style's statistics."""


class Look(NamedTuple):
    """What was seen in a style, or in a batch of them."""

    main: Any
    """What `transform` needs."""
    fine: tuple[ChannelStatistics, ...]
    """Of the fine layers."""


class Decoder(nn.Module):
    """The encoder in a mirror: its features at a layer become a picture (Huang and Belongie 2017, section 6.1).

    Convolutions of 3x3 with reflected borders, ReLU after each but the last, upsampling where the encoder pools, and no
    normalisation, which would take from every picture the statistics that its style has just given it.
    """

    def __init__(self, encoder: PerceptualFeatures, layer: str = DEEP, upsampling: Upsampling = "bilinear") -> None:
        """Mirrors what `encoder` does up to `layer`, width by width."""
        super().__init__()
        self.upsampling = upsampling
        channels = encoder.channels
        walk = list(channels)[: list(channels).index(layer) + 1]
        self.convs = nn.ModuleList()
        self.doubles: list[bool] = []
        self.mirrors = ["picture", *walk][: len(walk)][::-1]
        """By convolution: whose features it makes again."""
        for before, name in zip([None, *walk], walk, strict=False):
            taken, given = channels[name]
            self.convs.insert(0, mirrored_conv(given, taken))
            self.doubles.insert(0, before is not None and before[4] != name[4])
        begin_grey(self.convs[-1])

    def forward(
        self,
        features: Float[Tensor, "batch channels height width"],
        shallow: Tensor | None = None,
        restyle: Restyle = lambda number, hidden: hidden,
    ) -> Float[Tensor, "batch 3 _ _"]:
        """RGB, not clamped; `shallow` features are added after the first upsampling."""
        hidden = features
        for conv, doubles, mirrors in zip(self.convs, self.doubles, self.mirrors, strict=True):
            hidden = conv(hidden)
            if conv is self.convs[-1]:
                break
            hidden = F.relu(hidden)
            if mirrors in FINE:
                hidden = restyle(FINE.index(mirrors), hidden)
            if doubles:
                hidden = upsampled(hidden, self.upsampling)
                hidden, shallow = hidden if shallow is None else hidden + shallow, None
        return hidden


def mirrored_conv(inputs: int, outputs: int, bias: bool = True) -> nn.Conv2d:
    """3x3 with reflected borders, begun as suits ReLU: torch's own beginning halves what passes at every layer."""
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="reflect", bias=bias)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


def begin_grey(last: nn.Module) -> None:
    """A decoder's last convolution begins near to middle grey."""
    assert isinstance(last, nn.Conv2d) and last.bias is not None
    with torch.no_grad():
        last.weight.mul_(0.1)
        last.bias.fill_(0.5)


class EncoderDecoder(TransferNetwork):
    """Encode, transform, decode. The encoder is frozen, and no part of what is saved."""

    def __init__(self, encoder: PerceptualFeatures, upsampling: Upsampling = "bilinear") -> None:
        super().__init__()
        self._encoder = [encoder]  # in a list: neither saved nor trained with the network
        self.decoder: nn.Module = Decoder(encoder, DEEP, upsampling)

    @property
    def encoder(self) -> PerceptualFeatures:
        """The frozen network that sees content and style."""
        return self._encoder[0]

    def encode(self, pictures: Float[Tensor, "batch 3 height width"]) -> Features:
        """The features of all layers that count."""
        layers = (DEEP, SHALLOW, *FINE)
        maps = self.encoder(pictures, layers)
        return tuple(maps[layer] for layer in layers)

    @abstractmethod
    def style_of(self, features: Features) -> Any:
        """What of a style's features `transform` needs."""

    @abstractmethod
    def transform(self, features: Features, look: Any, where: Tensor | None = None) -> Features:
        """The content's deep and shallow features, painted. `where`: how much pixels count for its own statistics."""

    def plain(self, features: Features) -> Features:
        """The deep and shallow features that the decoder makes the content of again."""
        return features[: self.main_features]

    main_features = 2
    """How many of the features are transformed; the others are fine."""

    def look_of(self, features: Features) -> Look:
        """What counts of a style's features."""
        return Look(self.style_of(features), self.fine_statistics(features))

    def fine_statistics(self, features: Features) -> tuple[ChannelStatistics, ...]:
        """Of the fine layers."""
        return tuple(channel_statistics(each) for each in features[self.main_features :])

    def look_at(self, style: Float[Tensor, "3 style_height style_width"]) -> Look:
        """What `look_of` says of its features."""
        check_side(style, "style", self.smallest_side)
        return self.look_of(self.encode(style[None]))

    def painted(self, features: Features, look: Look) -> Float[Tensor, "batch 3 height width"]:
        """A batch of contents, each by the style of its place in the look, at full strength; not clamped."""
        return self.decoder(
            *self.transform(features, look.main), restyle=lambda number, hidden: adain(hidden, look.fine[number])
        )

    def again(self, features: Features) -> Float[Tensor, "batch 3 height width"]:
        """The contents as they are decoded without a style."""
        fine = self.fine_statistics(features)
        return self.decoder(*self.plain(features), restyle=lambda number, hidden: adain(hidden, fine[number]))

    def stylized(self, contents: Float[Tensor, "batch 3 height width"], shares: Shares) -> Float[Tensor, "batch 3 _ _"]:
        """Everywhere the sum of what the styles make, each with its share; the rest is the content's own (section 7.2)."""
        features = self.encode(contents)
        fine = self.fine_statistics(features)
        parts = [share for _, share in shares]
        mains = [self.transform(features, look.main, where_of(share)) for look, share in shares]
        mixed = [
            weighted_sum(plain, [each[number] for each in mains], self.shares_at(number, parts))
            for number, plain in enumerate(self.plain(features))
        ]

        def restyle(number: int, hidden: Tensor) -> Tensor:
            restyled = [adain(hidden, look.fine[number], where_of(share)) for look, share in shares]
            return weighted_sum(adain(hidden, fine[number]), restyled, self.shares_at(number, parts))

        return self.decoder(*mixed, restyle=restyle)

    def shares_at(self, number: int, shares: Sequence[Share]) -> Sequence[Share]:
        """The shares that count in the features of this number, main or fine."""
        return shares

    def known(self, pictures: Float[Tensor, "batch 3 height width"]) -> Features:
        """Features without gradients."""
        with torch.no_grad():
            return self.encode(pictures)


def where_of(share: Share) -> Tensor | None:
    """The pixels whose own statistics a style exchanges: those that it is laid on; None: all."""
    return share if isinstance(share, Tensor) else None


def weighted_sum(
    plain: Float[Tensor, "batch channels height width"], painted: Sequence[Tensor], shares: Sequence[Share]
) -> Float[Tensor, "batch channels height width"]:
    """Each of the painted with its share, averaged over a place; what is left of 1 is `plain`."""
    result, rest = torch.zeros_like(plain), torch.ones((), device=plain.device)
    for values, share in zip(painted, shares, strict=True):
        if isinstance(share, Tensor):
            share = F.interpolate(share.to(plain), size=plain.shape[2:], mode="area")
        result, rest = result + share * values, rest - share
    return result + rest * plain


def joined(*several: Any) -> Any:
    """One batch of several, of features or of looks."""
    first = several[0]
    if isinstance(first, Tensor):
        return torch.cat(several)
    parts = (joined(*each) for each in zip(*several, strict=True))
    return Look(*parts) if isinstance(first, Look) else tuple(parts)
