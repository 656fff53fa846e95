"""Octave AdaIN: fine and coarse features are painted apart, with a slider each (spatially factorised AdaIN)."""

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ins3d.perception.features import PerceptualFeatures
from ins3d.transfer.adain import AdaIN, identity_loss, relative_loss
from ins3d.transfer.encoder_decoder import (
    DEEP,
    FINE,
    SHALLOW,
    Features,
    Look,
    Restyle,
    Upsampling,
    begin_grey,
    joined,
    mirrored_conv,
)
from ins3d.transfer.judging import TransferJudge
from ins3d.transfer.network import Share
from ins3d.transfer.statistics import ChannelStatistics, upsampled

LOW_SHARE = 0.5
"""Of the channels, at half the resolution (Chen et al., ICCV 2019, alpha). The source does not say how many it took."""
FIRST_SHARE = 0.35
"""Of the steps in which the encoder learns; it is frozen afterwards."""
STYLE_WEIGHT, RECONSTRUCTION_WEIGHT, DISTILLATION_WEIGHT = 10.0, 4.0, 1.0


class OctaveConv(nn.Module):
    """3x3 convolutions within and between two resolutions (Chen et al. 2019, equation 1 and Figure 2).

    Borders are reflected in both branches, and what goes up is interpolated: with zeros and repeated pixels, as the source
    has them, pictures show a checkerboard (docs/transfer.md).
    """

    def __init__(self, inputs: int, outputs: int, first: bool = False, last: bool = False) -> None:
        """`first`: takes one tensor. `last`: gives one."""
        super().__init__()
        low_in, low_out = (0 if first else int(LOW_SHARE * inputs)), (0 if last else int(LOW_SHARE * outputs))
        high_in, high_out = inputs - low_in, outputs - low_out
        self.high_high = mirrored_conv(high_in, high_out)
        self.high_low = mirrored_conv(high_in, low_out, bias=low_in == 0) if low_out else None
        self.low_high = mirrored_conv(low_in, high_out, bias=False) if low_in else None
        self.low_low = mirrored_conv(low_in, low_out) if low_in and low_out else None
        with torch.no_grad():
            for weights in self.parameters():  # two paths meet: together they begin as loud as one
                weights.mul_(2**-0.5)

    def forward(self, high: Tensor, low: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """(high, low) of the next layer, before ReLU."""
        high_out = self.high_high(high)
        if self.low_high is not None and low is not None:
            high_out = high_out + upsampled(self.low_high(low), "bilinear", high.shape[2:])
        if self.high_low is None:
            return high_out, None
        low_out = self.high_low(F.avg_pool2d(high, 2))
        if self.low_low is not None and low is not None:
            low_out = low_out + self.low_low(low)
        return high_out, low_out


class OctaveEncoder(nn.Module):
    """The compact encoder's layers with octave convolutions; averages where that takes maxima, in both branches."""

    def __init__(self, like: PerceptualFeatures) -> None:
        super().__init__()
        self.convs = nn.ModuleDict()
        for name, (inputs, outputs) in like.channels.items():
            self.convs[name] = OctaveConv(inputs, outputs, first=name == "relu1_1")

    def forward(self, pictures: Float[Tensor, "batch 3 height width"]) -> Features:
        """High and low in turns: deep, shallow, fine."""
        high, low, block = pictures - 0.5, None, "1"
        kept: list[Tensor] = []
        for name, conv in self.convs.items():
            if name[4] != block:
                block, high = name[4], F.avg_pool2d(high, 2)
                low = None if low is None else F.avg_pool2d(low, 2)
            high, low = (F.relu(each) for each in conv(high, low))
            kept = [high, low, *kept] if name in (DEEP, SHALLOW, *FINE) else kept
        return tuple(kept)


class OctaveDecoder(nn.Module):
    """The encoder in a mirror; the last convolution joins both branches."""

    def __init__(self, like: PerceptualFeatures, upsampling: Upsampling) -> None:
        super().__init__()
        self.upsampling = upsampling
        self.convs, self.doubles = nn.ModuleList(), []
        walk = list(like.channels.items())
        self.mirrors = ["picture", *like.channels][: len(walk)][::-1]
        for before, (name, (inputs, outputs)) in zip([None, *walk], walk, strict=False):
            self.convs.insert(0, OctaveConv(outputs, inputs, last=name == "relu1_1"))
            self.doubles.insert(0, before is not None and before[0][4] != name[4])
        last = cast(OctaveConv, self.convs[-1])
        begin_grey(last.high_high)
        assert last.low_high is not None
        nn.init.zeros_(last.low_high.weight)

    def forward(
        self, high: Tensor, low: Tensor | None, shallow_high: Tensor, shallow_low: Tensor, restyle: Restyle
    ) -> Float[Tensor, "batch 3 height width"]:
        """RGB, not clamped; shallow features are added after the first upsampling."""
        for conv, doubles, mirrors in zip(self.convs, self.doubles, self.mirrors, strict=True):
            high, low = conv(high, low)
            if low is None:
                break
            high, low = F.relu(high), F.relu(low)
            if mirrors in FINE:
                number = 2 * FINE.index(mirrors)
                high, low = restyle(number, high), restyle(number + 1, low)
            if doubles:
                high, low = upsampled(high, self.upsampling), upsampled(low, self.upsampling)
            if doubles and conv is self.convs[0]:
                high, low = high + shallow_high, low + shallow_low
        return high


class OctaveAdaIN(AdaIN):
    """AdaIN in two branches: T(c, s, a, b) = g((1 - a) f(c)_high + a AdaIN_high, (1 - b) f(c)_low + b AdaIN_low).

    Differs from the source: its encoder was a classifier of ImageNet, whose training is far beyond two cores; this one
    learns, in the first third of the steps, to be decoded again and to know what the compact encoder sees. The style is
    judged in an encoder's four layers, not in its own two branches, in which strokes' shapes were lost.
    """

    step, smallest_side, main_features = 16, 32, 4
    strength_high: float = 1.0
    """How much of a style's share the fine branch gets."""
    strength_low: float = 1.0
    """The coarse branch."""

    def __init__(self, encoder: PerceptualFeatures, upsampling: Upsampling = "bilinear") -> None:
        super().__init__(encoder, upsampling)
        self.octaves = OctaveEncoder(encoder)
        self.decoder = OctaveDecoder(encoder, upsampling)
        channels = encoder.channels[DEEP][1]
        self.head = nn.Conv2d(channels, channels, 1)  # thrown away after the training: what the compact encoder sees

    def encode(self, pictures: Float[Tensor, "batch 3 height width"]) -> Features:
        """By the network's own encoder."""
        return self.octaves(pictures)

    def shares_at(self, number: int, shares: Sequence[Share]) -> Sequence[Share]:
        """High features and low ones take turns."""
        strength = self.strength_low if number % 2 else self.strength_high
        return [strength * share for share in shares]

    def losses(self, judge: TransferJudge, contents: Tensor, styles: Tensor, done: float) -> dict[str, Tensor]:
        """First reconstruction and distillation; then, of the decoder alone, AdaIN's at strengths drawn for each branch."""
        self.octaves.requires_grad_(done < FIRST_SHARE)  # else it would learn to see what it is to see
        return self._first(contents, styles) if done < FIRST_SHARE else self._second(judge, contents, styles)

    def _first(self, contents: Tensor, styles: Tensor) -> dict[str, Tensor]:
        pictures = torch.cat([contents, styles])
        with torch.no_grad():
            truth = self.encoder(pictures, (DEEP,))[DEEP]
        features = self.encode(pictures)
        high, low = features[:2]
        known = self.head(torch.cat([high, upsampled(low, "bilinear", high.shape[2:])], dim=1))
        return {
            "reconstruction_loss": RECONSTRUCTION_WEIGHT * identity_loss(self.again(features), pictures),
            "distillation_loss": DISTILLATION_WEIGHT * relative_loss((known,), (truth,)),
        }

    def _second(self, judge: TransferJudge, contents: Tensor, styles: Tensor) -> dict[str, Tensor]:
        number = len(contents)
        own, style = self.known(contents), self.known(styles)
        look, plain = self.look_of(style), self.look_of(own)
        # As many once more, at strengths of their own.
        sliders = torch.rand(2, number, 1, 1, 1).to(contents)
        some = Look(
            tuple(_between(a, b, sliders[part % 2]) for part, (a, b) in enumerate(zip(plain.main, look.main, strict=True))),
            tuple(_between(a, b, sliders[part % 2]) for part, (a, b) in enumerate(zip(plain.fine, look.fine, strict=True))),
        )
        looks = joined(look, some, plain)
        painted, again = self.painted(joined(own, own, own), looks).split([2 * number, number])
        wanted = self.transform(joined(own, own), joined(look, some).main)
        return {
            "content_loss": relative_loss(self.encode(painted), wanted),
            "style_loss": STYLE_WEIGHT * judge.style_distance(judge(painted[:number]), judge.known(styles)),
            "reconstruction_loss": RECONSTRUCTION_WEIGHT * identity_loss(again, contents),
        }


def _between(one: ChannelStatistics, other: ChannelStatistics, share: Tensor) -> ChannelStatistics:
    """Interpolated statistics are those of interpolated features."""
    return one[0] + share * (other[0] - one[0]), one[1] + share * (other[1] - one[1])
