"""Picture files become random crops, from which networks learn."""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ins3d.files.pictures import read_rgb, resize_long_side
from ins3d.perception.color_transfer import LUMINANCE

LONG_SIDE = 480
"""Pictures are kept at this size: 200 photographs in memory take 70 MB."""
GREY_SHARE = 0.15
"""Of crops that lose their colour: few of the pictures are grey, and drawings and etchings are styles too."""


class Crops:
    """Keeps pictures as bytes and draws square crops of many scales."""

    def __init__(
        self, paths: Sequence[Path], size: int, generator: torch.Generator, setting: str = "assets", grey: float = GREY_SHARE
    ) -> None:
        """`setting` is the option that the paths come from; `grey` the share of crops that lose their colour."""
        if not paths:
            raise FileNotFoundError(f"{setting}: no pictures to learn from.")
        self.kept = [(resize_long_side(read_rgb(path, setting), LONG_SIDE) * 255).round().byte() for path in paths]
        self.size, self.generator, self.grey = size, generator, grey

    def draw(self, number: int) -> Float[Tensor, "number 3 size size"]:
        """`number` crops in [0, 1], cut at any scale, shrunk to `size`; some flipped, some grey."""
        return torch.stack([self._crop(self.kept[self._integer(len(self.kept))]) for _ in range(number)])

    def _integer(self, below: int) -> int:
        return int(torch.randint(below, (), generator=self.generator))

    def _crop(self, picture: Tensor) -> Tensor:
        height, width = picture.shape[1:]
        largest = min(height, width)
        side = min(self.size, largest) + self._integer(max(largest - self.size, 0) + 1)
        top, left = self._integer(height - side + 1), self._integer(width - side + 1)
        crop = picture[:, top : top + side, left : left + side].float() / 255
        crop = crop.flip(2) if self._integer(2) else crop
        if float(torch.rand((), generator=self.generator)) < self.grey:
            crop = torch.einsum("c,chw->hw", torch.tensor(LUMINANCE), crop).expand(3, -1, -1)
        return F.interpolate(crop[None], size=(self.size, self.size), mode="bilinear", antialias=True)[0].clamp(0, 1)
