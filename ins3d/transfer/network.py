"""What every network here is: a content, and styles with a share of each, become a picture."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Share = float | Tensor
"""How much of a picture a style gets, from 0 to 1: everywhere alike, or at every pixel (1, height, width)."""
Shares = Sequence[tuple[Any, Share]]
"""(What `look_at` saw in a style, its share). What is left of 1 stays the content's own."""
MOST_PIXELS = 2**24
"""Of a content: with more, what lies between two layers takes several gigabytes."""


class TransferNetwork(nn.Module, ABC):
    """A feed-forward network: any content, any styles, in one pass. It knows one picture at a time."""

    step: ClassVar[int] = 8
    """Sides are padded by reflection to multiples of this, and cut again, so that pictures keep their size."""
    smallest_side: ClassVar[int] = 16
    """Pixels; deepest features then have two values a side to pad from and to take statistics of."""
    source: str = ""
    """Which weights, from where; recorded with a run."""

    @abstractmethod
    def look_at(self, style: Float[Tensor, "3 style_height style_width"]) -> Any:
        """What any number of pictures can be painted with. `style` is RGB in [0, 1]; strokes are as large as in it."""

    @abstractmethod
    def stylized(
        self, contents: Float[Tensor, "batch 3 height width"], shares: Shares
    ) -> Float[Tensor, "batch 3 height width"]:
        """As `paint`, for pictures whose sides are multiples of `step`; with gradients, and not clamped."""

    def paint(self, content: Float[Tensor, "3 height width"], shares: Shares) -> Float[Tensor, "3 height width"]:
        """The content painted, RGB in [0, 1], in its own size.

        Where styles leave something of 1, as much of what the network loses of the content is added: at 0 it is the content
        itself (the networks of the field show what they decode of it). Raises ValueError for shares outside 0 to 1, or more
        than 1 together, and for pictures that are too small or large.
        """
        check_side(content, "picture", self.smallest_side)
        height, width = content.shape[1:]
        if height * width > MOST_PIXELS:
            raise ValueError(
                f"a picture of {width}x{height} pixels is too large to be painted in one piece; use a size of "
                f"{int(max(height, width) * (MOST_PIXELS / (height * width)) ** 0.5)} or less."
            )
        total = sum((share for _, share in shares), torch.zeros((), device=content.device))
        if any(float(torch.as_tensor(share).min()) < 0 for _, share in shares) or float(total.max()) > 1 + 1e-4:
            raise ValueError("strength: shares of styles lie between 0 and 1, and are no more than 1 together.")
        with torch.inference_mode():
            padded = [
                (look, _padded(share[None], self.step) if isinstance(share, Tensor) else share) for look, share in shares
            ]
            contents = _padded(content[None], self.step)
            painted = self.stylized(contents, padded)[0, :, :height, :width]
            if float((rest := 1 - total).max()) > 1e-4:
                painted = painted + rest * (content - self.stylized(contents, [])[0, :, :height, :width])
        # Outside of inference mode, so that a loss may look at the picture later.
        return painted.clamp(0, 1)

    def forward(
        self,
        content: Float[Tensor, "3 height width"],
        style: Float[Tensor, "3 style_height style_width"],
        strength: float = 1.0,
    ) -> Float[Tensor, "3 height width"]:
        """One picture, one style, one painted picture; `strength` 0 is the content."""
        return self.paint(content, [(self.look_at(style), strength)])


def check_side(picture: Tensor, what: str, least: int) -> None:
    """Raises ValueError for a picture that is smaller than a network needs."""
    height, width = picture.shape[1:]
    if min(height, width) < least:
        raise ValueError(
            f"a {what} of {width}x{height} pixels is too small to be painted; use at least {least} pixels a side."
        )


def _padded(pictures: Float[Tensor, "batch channels height width"], step: int) -> Tensor:
    """To the right and downwards; by reflection as far as there is something to reflect, then by the border."""
    for axis in (2, 3):
        while missing := -pictures.shape[axis] % step:
            more = min(missing, pictures.shape[axis] - 1)
            pictures = F.pad(pictures, (0, more, 0, 0) if axis == 3 else (0, 0, 0, more), mode="reflect")
    return pictures
