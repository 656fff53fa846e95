"""Frames painted one by one are calmed: each is blended with the one before it, moved as the film moves."""

from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

CONSISTENT = 1.0
"""Pixels by which the way to the frame before and back may miss where it began."""
FLOW_SIDE = 512
"""Long side, in pixels, at which motion is looked for."""


class Calmed:
    """Blends along optical flow (OpenCV's dense inverse search, on the unpainted frames), where it is consistent."""

    def __init__(self, share: float) -> None:
        """`share` of a pixel that comes from the frame before, from 0 to 1."""
        self.share = share
        self._flow: Any = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._before: tuple[Tensor, Tensor] | None = None

    def __call__(
        self, content: Float[Tensor, "3 height width"], painted: Float[Tensor, "3 height width"]
    ) -> Float[Tensor, "3 height width"]:
        """The next frame's picture; frames are given in their order."""
        if self._before is not None and self.share:
            moved, valid = self._moved(content, *self._before)
            painted = torch.lerp(painted, moved, self.share * valid)
        self._before = content, painted
        return painted

    def _moved(self, content: Tensor, before: Tensor, painted: Tensor) -> tuple[Tensor, Tensor]:
        """(the painted frame before, moved to this one; where it can be trusted)."""
        now, then = _grey(content), _grey(before)
        there, back = self._flow.calc(now, then, None), self._flow.calc(then, now, None)
        places = _places(*now.shape)
        returned = _sampled(torch.from_numpy(back).permute(2, 0, 1), places + torch.from_numpy(there))
        apart = (torch.from_numpy(there).permute(2, 0, 1) + returned).norm(dim=0, keepdim=True)
        height, width = content.shape[1:]
        scale = torch.tensor([width / now.shape[1], height / now.shape[0]])
        flow = F.interpolate(torch.from_numpy(there).permute(2, 0, 1)[None], size=(height, width), mode="bilinear")[0]
        valid = F.interpolate((apart < CONSISTENT).float()[None], size=(height, width), mode="bilinear")[0]
        moved = _sampled(painted, _places(height, width) + flow.permute(1, 2, 0) * scale)
        return moved, valid


def _grey(rgb: Tensor) -> np.ndarray:
    height, width = rgb.shape[1:]
    shrink = min(FLOW_SIDE / max(height, width), 1.0)
    size = (max(round(height * shrink), 16), max(round(width * shrink), 16))
    grey = F.interpolate(rgb.mean(0)[None, None].cpu(), size=size, mode="bilinear", antialias=True)
    return (grey[0, 0] * 255).round().byte().numpy()


def _places(height: int, width: int) -> Float[Tensor, "height width 2"]:
    down, across = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([across, down], dim=-1).float()


def _sampled(picture: Float[Tensor, "channels height width"], places: Tensor) -> Tensor:
    """At places in pixels, bilinear; beyond the border its colour."""
    size = torch.tensor([picture.shape[2], picture.shape[1]])
    grid = (2 * places + 1) / size - 1
    return F.grid_sample(picture[None].float(), grid[None], padding_mode="border", align_corners=False)[0]
