"""One network for one style: Johnson's, which paints pictures, and Ulyanov's, which also makes textures out of noise."""

from abc import abstractmethod
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ins3d.perception.losses import grams_of, relative_gram_loss, total_variation_loss
from ins3d.transfer.encoder_decoder import weighted_sum
from ins3d.transfer.judging import TransferJudge
from ins3d.transfer.network import Shares, TransferNetwork
from ins3d.transfer.statistics import upsampled

Norm = Literal["instance", "batch"]
"""instance: each picture by itself (Ulyanov et al., CVPR 2017); batch: as those that were learned from (ICML 2016)."""
CONTENT_WEIGHT, STYLE_WEIGHT, SMOOTH_WEIGHT = 0.3, 1.0, 0.1
"""Differs from the papers, whose weights belong to one VGG: Gram matrices are compared as shares of the style's, and content
as a share of the difference between two places of it, as everywhere in this project."""


class OneStyle(TransferNetwork):
    """What networks of one style have in common; what they are asked to look at is taken for that style."""

    def look_at(self, style: Tensor) -> None:
        """Nothing: the style was learned."""

    def stylized(self, contents: Float[Tensor, "batch 3 height width"], shares: Shares) -> Float[Tensor, "batch 3 _ _"]:
        """Differs from the papers, which have no strength: pixels are mixed with the content's."""
        return weighted_sum(contents, [self.picture(contents)] * len(shares), [share for _, share in shares])

    @abstractmethod
    def picture(self, contents: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 height width"]:
        """Painted, not clamped."""

    def losses(self, judge: TransferJudge, contents: Tensor, styles: Tensor, done: float) -> dict[str, Tensor]:
        """The perceptual losses of Johnson et al. (Section 3.2); all `styles` are the one style."""
        pictures = self.picture(contents)
        maps, content, style = judge(pictures), judge.known(contents), judge.known(styles)
        return {
            "content_loss": CONTENT_WEIGHT * judge.content_distance(maps, content),
            "style_loss": STYLE_WEIGHT * relative_gram_loss(grams_of(maps), grams_of(style)),
            "smooth_loss": SMOOTH_WEIGHT * total_variation_loss(pictures),
        }


class Johnson(OneStyle):
    """A residual network between two strided and two upsampling convolutions (Johnson et al., ECCV 2016, Section 3.1).

    Differs from the paper: half its channels, borders reflected in every layer instead of 40 pixels around the picture,
    enlarged and convolved instead of transposed convolutions, whose checkerboard is seen in flat skies.
    """

    step: ClassVar[int] = 4

    def __init__(self, encoder: object = None, norm: Norm = "instance", widths: tuple[int, int, int] = (16, 32, 64)) -> None:
        """`encoder` is not needed; all networks are made alike."""
        super().__init__()
        few, more, many = widths
        self.down = nn.Sequential(*_layer(3, few, 9, norm), *_layer(few, more, 3, norm, 2), *_layer(more, many, 3, norm, 2))
        self.residuals = nn.ModuleList(
            nn.Sequential(*_layer(many, many, 3, norm), *_layer(many, many, 3, norm)[:-1]) for _ in range(5)
        )
        self.up = nn.ModuleList([nn.Sequential(*_layer(many, more, 3, norm)), nn.Sequential(*_layer(more, few, 3, norm))])
        self.last = nn.Conv2d(few, 3, 9, padding=4, padding_mode="reflect")

    def picture(self, contents: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 height width"]:
        """Painted, not clamped."""
        hidden = self.down(contents - 0.5)
        for residual in self.residuals:
            hidden = hidden + residual(hidden)
        for layer in self.up:
            hidden = layer(upsampled(hidden))
        return self.last(hidden) + 0.5


class TextureNet(OneStyle):
    """A pyramid: the picture, or noise, at six scales, joined from coarse to fine (Ulyanov et al., ICML 2016, Figure 2)."""

    step: ClassVar[int] = 32
    smallest_side: ClassVar[int] = 64
    SCALES = 6

    def __init__(self, encoder: object = None, norm: Norm = "instance", channels: int = 8) -> None:
        """`channels`: of one scale's features; they add up from coarse to fine."""
        super().__init__()
        self.inputs = nn.ModuleList(_block(6, channels, norm) for _ in range(self.SCALES))
        self.joints = nn.ModuleList(_block(channels * scale, channels * scale, norm) for scale in range(2, self.SCALES + 1))
        self.last = nn.Conv2d(channels * self.SCALES, 3, 1)

    def picture(self, contents: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 height width"]:
        """Painted, not clamped; noise beside the picture is what strokes are made of where it is flat."""
        return self._made(contents - 0.5)

    def texture(self, height: int, width: int, generator: torch.Generator) -> Float[Tensor, "3 height width"]:
        """A piece of the style's texture out of noise, RGB in [0, 1]."""
        with torch.inference_mode():
            rows, columns = (max(-(-side // self.step) * self.step, self.smallest_side) for side in (height, width))
            made = self._made(torch.zeros(1, 3, rows, columns), generator)
        return made[0, :, :height, :width].clamp(0, 1)

    def losses(self, judge: TransferJudge, contents: Tensor, styles: Tensor, done: float) -> dict[str, Tensor]:
        """As all, and of half the pictures the texture alone, out of noise (ICML 2016, Section 3.2)."""
        losses = super().losses(judge, contents[::2], styles[::2], done)
        maps = judge(self._made(torch.zeros_like(contents[1::2])))
        grams = grams_of(judge.known(styles[1::2]))
        return losses | {"texture_loss": STYLE_WEIGHT * relative_gram_loss(grams_of(maps), grams)}

    def _made(self, contents: Tensor, generator: torch.Generator | None = None) -> Tensor:
        hidden = None
        for scale, block in reversed(list(enumerate(self.inputs))):
            small = F.avg_pool2d(contents, 2**scale)
            # From the processor's generator, whatever the device: a seed is a texture.
            noise = torch.rand(small.shape, generator=generator).to(small) - 0.5
            given = block(torch.cat([small, noise], dim=1))
            hidden = given if hidden is None else torch.cat([upsampled(hidden), given], dim=1)
            if scale < self.SCALES - 1:
                hidden = self.joints[self.SCALES - 2 - scale](hidden)
        return self.last(hidden) + 0.5


def _layer(inputs: int, outputs: int, side: int, norm: Norm, stride: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, side, stride, side // 2, padding_mode="reflect")
    normal = nn.InstanceNorm2d(outputs, affine=True) if norm == "instance" else nn.BatchNorm2d(outputs)
    return [conv, normal, nn.ReLU()]


def _block(inputs: int, outputs: int, norm: Norm) -> nn.Sequential:
    return nn.Sequential(
        *_layer(inputs, outputs, 3, norm), *_layer(outputs, outputs, 3, norm), *_layer(outputs, outputs, 1, norm)
    )
