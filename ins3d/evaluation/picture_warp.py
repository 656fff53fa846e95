"""Samples pictures at given places: what all warps share."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

ROUNDING = 1e-3
"""Pixels by which a place may miss the outermost centres."""


@dataclass(frozen=True)
class Warped:
    """A picture brought to another view."""

    picture: Float[Tensor, "channels height width"]
    valid: Bool[Tensor, "height width"]
    """Pixels that both views show."""


def look_up(
    picture: Float[Tensor, "channels source_height source_width"], places: Float[Tensor, "height width 2"]
) -> tuple[Float[Tensor, "channels height width"], Bool[Tensor, "height width"]]:
    """(what the picture shows at places, bilinear; whether they lie inside it, half a pixel from its border or more).

    Places are in pixels, rightwards and downwards; a pixel's centre is at +.5.

    >>> picture = torch.tensor([[[0.0, 1.0, 2.0]]])
    >>> values, inside = look_up(picture, torch.tensor([[[1.0, 0.5], [2.5, 0.5], [3.5, 0.5]]]))
    >>> values.tolist(), inside.tolist()
    ([[[0.5, 2.0, 2.0]]], [[True, True, False]])
    """
    height, width = picture.shape[1:]
    size = places.new_tensor([width, height])
    grid = (2 * places / size - 1)[None]
    values = F.grid_sample(picture[None], grid, mode="bilinear", padding_mode="border", align_corners=False)[0]
    border = 0.5 - ROUNDING
    return values, ((places >= border) & (places <= size - border)).all(-1)


def pixel_centers(height: int, width: int, device: torch.device | str = "cpu") -> Float[Tensor, "height width 2"]:
    """The places of all pixels' centres.

    >>> pixel_centers(1, 2).tolist()
    [[[0.5, 0.5], [1.5, 0.5]]]
    """
    down, across = torch.meshgrid(
        torch.arange(height, device=device) + 0.5, torch.arange(width, device=device) + 0.5, indexing="ij"
    )
    return torch.stack([across, down], dim=-1)


def rms_error(
    ours: Float[Tensor, "channels height width"],
    theirs: Float[Tensor, "channels height width"],
    valid: Bool[Tensor, "height width"],
) -> float:
    """Root of the mean square over valid pixels and channels; nan where no pixel is valid."""
    return float((ours - theirs)[:, valid].square().mean().sqrt())
