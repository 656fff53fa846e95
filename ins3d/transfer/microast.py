"""MicroAST: feed-forward 2D style transfer, each picture on its own."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ins3d.files.weights import WeightsFile, find_weights_file, mismatch, read_weights
from ins3d.transfer.network import Shares, TransferNetwork, check_side
from ins3d.transfer.statistics import adain, channel_statistics

SETTING = "per-frame-weights"
WEIGHTS_VARIABLE = "INS3D_PER_FRAME_WEIGHTS"
WEIGHTS_PAGE = "github.com/EndyWon/MicroAST"
PARTS = ("content_encoder", "style_encoder", "modulator", "decoder")


@dataclass(frozen=True)
class StyleSignal:
    """What a style tells one residual layer of the decoder, by channel."""

    mean: Float[Tensor, "1 64 1 1"]
    deviation: Float[Tensor, "1 64 1 1"]
    weight: Float[Tensor, "1 64 1 1"]
    """How much of what its convolutions say is kept."""
    bias: Float[Tensor, "1 64 1 1"]
    """How much of what went into them is added."""

    @staticmethod
    def mixed(signals: "Sequence[StyleSignal]", shares: Sequence[Float[Tensor, "*maps"]]) -> "StyleSignal":
        """The sum of signals, each with its share, number by number."""
        numbers = zip(*(vars(signal).values() for signal in signals), strict=True)
        return StyleSignal(*(sum(map(mul, shares, each), torch.zeros(())) for each in numbers))


@dataclass(frozen=True)
class MicroStyle:
    """A style as the decoder needs it, whatever the size of the picture it came from."""

    shallow: StyleSignal
    deep: StyleSignal


class MicroAST(TransferNetwork):
    """MicroAST (Wang, Zhao, Zuo, Li, Chen, Xing, Lu, AAAI 2023), frozen: half a million numbers, one pass.

    Sequences of its pictures flicker as much as a 2D network lets them; nothing was
    optimised for a scene, so how well each single picture is painted is what a scene's pictures are measured against.
    """

    step = 4

    def __init__(self, states: dict[str, dict[str, Tensor]], source: str) -> None:
        """`states` holds the state dicts of the four PARTS, with the published names; `source` is recorded with a run."""
        super().__init__()
        self.source = source
        self.content_encoder, self.style_encoder = _Encoder(), _Encoder()
        self.modulator, self.decoder = _Modulator(), _Decoder()
        for part, module in self.named_children():
            problem = mismatch(states[part], module.state_dict())
            if problem:
                raise ValueError(
                    f"{SETTING}: the {part} of {source} is another network's ({problem}); fetch it again from "
                    f"{WEIGHTS_PAGE}."
                )
            module.load_state_dict(states[part])
        self.eval().requires_grad_(False)

    def look_at(self, style: Float[Tensor, "3 style_height style_width"]) -> MicroStyle:
        """What any number of pictures can be painted with."""
        check_side(style, "style", self.smallest_side)
        return self._style_of(style[None])

    def stylized(
        self, contents: Float[Tensor, "batch 3 height width"], shares: Shares
    ) -> Float[Tensor, "batch 3 height width"]:
        """What the styles leave of 1 is the content, seen as a style: at 0 it is painted like itself.

        Differs from the release: its `alpha` mixes the content's features before and after AdaIN, which lie far apart, and
        at 0.5 gives one flat colour. Differs also where sides are no multiples of 4: the picture keeps its size; there it
        grows.
        """
        _, deep = self.content_encoder(contents)
        looks = [look for look, _ in shares]
        parts = [torch.as_tensor(share).to(deep) for _, share in shares]
        parts = [part if part.ndim == 0 else F.interpolate(part, size=deep.shape[2:], mode="area") for part in parts]
        rest = 1 - sum(parts, torch.zeros(()))
        if float(rest.max()) > 1e-6:
            looks, parts = [*looks, self._style_of(contents)], [*parts, rest]
        shallow, of_deep = ([getattr(look, name) for look in looks] for name in ("shallow", "deep"))
        return self.decoder(deep, MicroStyle(StyleSignal.mixed(shallow, parts), StyleSignal.mixed(of_deep, parts)))

    def _style_of(self, pictures: Tensor) -> MicroStyle:
        with torch.inference_mode():
            return self.modulator(*self.style_encoder(pictures))


class _Encoder(nn.Module):
    """A picture becomes 64 shallow and 64 deep features at a quarter of its size (paper, Section 3.2)."""

    def __init__(self) -> None:
        super().__init__()
        self.enc1 = nn.Sequential(
            _convolution(3, 16, 9), nn.ReLU(), *_halved(16, 32), nn.ReLU(), *_halved(32, 64), nn.ReLU(), _Residual()
        )  # fmt: skip
        self.enc2 = nn.Sequential(_Residual())

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        shallow = self.enc1(picture)
        return shallow, self.enc2(shallow)


class _Modulator(nn.Module):
    """A style's features become signals: a filtered mean is how it weighs and biases filters (Section 3.3)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight1, self.bias1, self.weight2, self.bias2 = (
            nn.Sequential(_convolution(64, 64, 3, groups=64), nn.AdaptiveAvgPool2d(1)) for _ in range(4)
        )

    def forward(self, shallow: Tensor, deep: Tensor) -> MicroStyle:
        return MicroStyle(
            StyleSignal(*channel_statistics(shallow), self.weight1(shallow), self.bias1(shallow)),
            StyleSignal(*channel_statistics(deep), self.weight2(deep), self.bias2(deep)),
        )


class _Decoder(nn.Module):
    """The content's deep features, given the style's statistics and filters twice, become a picture (Section 3.3)."""

    def __init__(self) -> None:
        super().__init__()
        self.dec1, self.dec2 = _Residual(), _Residual()
        self.dec3 = nn.Sequential(*_doubled(64, 32), nn.ReLU(), *_doubled(32, 16), nn.ReLU(), _convolution(16, 3, 9))

    def forward(self, content: Tensor, style: MicroStyle) -> Tensor:
        hidden = content
        for layer, signal in ((self.dec1, style.deep), (self.dec2, style.shallow)):
            hidden = layer(adain(hidden, (signal.mean, signal.deviation)), signal.weight, signal.bias)
        return self.dec3(hidden)


class _Residual(nn.Module):
    """x + conv(relu(conv x)); a style multiplies what convolutions give and adds a share of what they take."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = _convolution(64, 64, 3), _convolution(64, 64, 3)

    def forward(self, features: Tensor, weight: Tensor | float = 1.0, bias: Tensor | float = 0.0) -> Tensor:
        hidden = F.relu(weight * self.conv1(features) + bias * features)
        return features + weight * self.conv2(hidden) + bias * hidden


def _convolution(inputs: int, outputs: int, side: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution that sees the picture reflected at its borders; in the published files its name has two parts."""
    conv = nn.Conv2d(inputs, outputs, side, stride, side // 2, groups=groups, padding_mode="reflect")
    return nn.Sequential(OrderedDict(conv_layer=conv))


def _halved(inputs: int, outputs: int) -> list[nn.Module]:
    return [_convolution(inputs, outputs, 3, stride=2, groups=inputs), nn.ReLU(), _convolution(outputs, outputs, 1)]


def _doubled(inputs: int, outputs: int) -> list[nn.Module]:
    larger = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
    return [larger, _convolution(inputs, outputs, 3, groups=outputs), nn.ReLU(), _convolution(outputs, outputs, 1)]


def load_microast(folder: Path | None, device: torch.device) -> MicroAST:
    """Reads the four published files in `folder`, in that of INS3D_PER_FRAME_WEIGHTS otherwise.

    Raises FileNotFoundError where a file is missing and ValueError where it holds something else.
    """
    try:
        found = find_weights_file(folder, SETTING, WEIGHTS_VARIABLE, None, "folder")
    except FileNotFoundError as error:
        message = str(error).removesuffix(".")
        raise FileNotFoundError(f"{message}: the folder `models` of {WEIGHTS_PAGE}.") from error
    source = f"MicroAST from {found.path.name}, found in {found.found_in}"
    return MicroAST({part: _read(found, part) for part in PARTS}, source).to(device)


def _read(found: WeightsFile, part: str) -> dict[str, Tensor]:
    path = found.path / f"{part}_iter_160000.pth.tar"
    if not path.is_file():
        raise FileNotFoundError(
            f"{SETTING}: {found.path} (from {found.found_in}) holds no {path.name}; give the folder `models` of "
            f"{WEIGHTS_PAGE}."
        )
    return read_weights(WeightsFile(path, found.found_in), SETTING, f"fetch it again from {WEIGHTS_PAGE}.")
