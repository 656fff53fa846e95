"""Renders a window of a picture field, row by row, with a strength of the style at every place."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ins3d.pictures.checkpoint import PictureField
from ins3d.pictures.content import PictureContent
from ins3d.pictures.stylized import BlendedPicture
from ins3d.pictures.windows import PictureWindow, read_shares
from ins3d.style.mix import Mix

Direction = Literal["horizontal", "vertical"]
POINTS_AT_ONCE = 2**16
LEVELS = 200
"""Strengths are rounded to as many, which two decimals survive: places of one strength are asked together."""


@dataclass(frozen=True)
class StrengthMap:
    """How much of the strength there is at each place of a picture: all factors are multiplied."""

    strength: float = 1.0
    picture: Float[Tensor, "height width"] | None = None
    """Read between its pixels, over the whole picture; beyond its border the border goes on."""
    mask: Float[Tensor, "mask_height mask_width"] | None = None
    """The same, but never in between: 0 or 1."""
    gradation: Direction | None = None
    """From nothing at the left or top to everything at the right or bottom (INR-st)."""
    bands: tuple[float, ...] = ()
    """Strengths of as many bands, of one width each."""
    banded: Direction = "horizontal"
    """Bands side by side, or one above the other."""

    def at(self, shares: Float[Tensor, "points 2"]) -> Float[Tensor, "points 1"]:
        """Strengths at (across, down) in shares of the picture.

        >>> StrengthMap(gradation="horizontal").at(torch.tensor([[0.25, 0.9]])).tolist()
        [[0.25]]
        """
        found = torch.full_like(shares[:, :1], self.strength)
        if self.picture is not None:
            found = found * read_shares(self.picture[None].to(shares), shares)
        if self.mask is not None:
            found = found * (read_shares(self.mask[None].to(shares), shares, "nearest") >= 0.5)
        if self.gradation is not None:
            found = found * _along(shares, self.gradation).clamp(0, 1)
        if self.bands:
            which = (_along(shares, self.banded) * len(self.bands)).long().clamp(0, len(self.bands) - 1)
            found = found * torch.tensor(self.bands, device=shares.device)[which]
        return found


def render_rows(
    field: PictureField, window: PictureWindow, mix: Mix, strengths: StrengthMap
) -> Iterator[Float[Tensor, "3 rows width"]]:
    """The picture from top to bottom, in [0, 1]; every place is asked by itself, so no seam shows.

    A field of several styles takes the weights of `mix`; all strength comes from `strengths`.
    """
    ask, device = _asker(field, mix), next(field.parameters()).device
    num_rows = max(POINTS_AT_ONCE // window.width, 1)
    for top in range(0, window.height, num_rows):
        rows = slice(top, min(top + num_rows, window.height))
        with torch.inference_mode():
            positions, shares = window.positions(rows).to(device), window.shares(rows).to(device)
            rgb = ask(positions, strengths.at(shares), window.pixel).clamp(0, 1)
        yield rgb.reshape(rows.stop - rows.start, window.width, 3).permute(2, 0, 1)


def render_picture(
    field: PictureField, window: PictureWindow, mix: Mix, strengths: StrengthMap
) -> Float[Tensor, "3 height width"]:
    """All rows of `render_rows`, for pictures that fit into memory."""
    return torch.cat([rows.cpu() for rows in render_rows(field, window, mix, strengths)], dim=1)


def _asker(field: PictureField, mix: Mix) -> Callable[[Tensor, Tensor, float], Tensor]:
    if isinstance(field, PictureContent):
        return lambda positions, strengths, pixel: field.rgb(field.features_of(positions, pixel))
    if isinstance(field, BlendedPicture):
        return field
    weights = Mix(mix.weights).code()

    def ask(positions: Tensor, strengths: Tensor, pixel: float) -> Tensor:
        levels = (strengths[:, 0] * LEVELS).round()
        found = torch.empty(len(positions), 3, device=positions.device)
        for level in levels.unique():
            here = levels == level
            found[here] = field(positions[here], weights.to(positions.device) * (level / LEVELS), pixel)
        return found

    return ask


def _along(shares: Tensor, direction: Direction) -> Tensor:
    return shares[:, :1] if direction == "horizontal" else shares[:, 1:]
