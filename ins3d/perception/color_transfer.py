"""Colour transfer: affine maps that match mean and covariance, and changes of brightness alone."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

LUMINANCE = (0.299, 0.587, 0.114)
"""How bright red, green and blue are (Rec. 601, as in Gatys et al. 2016b)."""


@dataclass
class ColorStatistics:
    """What colours have in common: their mean and their covariance."""

    mean: Float[Tensor, " 3"]
    covariance: Float[Tensor, "3 3"]

    def to(self, device: torch.device | str) -> "ColorStatistics":
        """On another device."""
        return ColorStatistics(self.mean.to(device), self.covariance.to(device))


def weighted_moments(
    values: Float[Tensor, "points channels"], weights: Float[Tensor, "points 1"] | None = None
) -> tuple[Float[Tensor, " channels"], Float[Tensor, "channels channels"]]:
    """Mean and covariance (not corrected for the sample's size) in float64; with weights, points count by theirs."""
    values = values.double()
    weights = torch.ones_like(values[:, :1]) if weights is None else weights.double()
    total = weights.sum().clamp(min=1e-9)
    mean = (values * weights).sum(0) / total
    centred = values - mean
    return mean, (centred * weights).T @ centred / total


def color_statistics(rgb: Float[Tensor, "pixels 3"], weights: Float[Tensor, "pixels 1"] | None = None) -> ColorStatistics:
    """Mean and covariance of pixels, as `weighted_moments`, in float32."""
    mean, covariance = weighted_moments(rgb, weights)
    return ColorStatistics(mean.float(), covariance.float())


def between(one: ColorStatistics, other: ColorStatistics, share: float) -> ColorStatistics:
    """Statistics on the way from `one` (share 0) to `other` (share 1)."""
    return ColorStatistics(
        (1 - share) * one.mean + share * other.mean, (1 - share) * one.covariance + share * other.covariance
    )


def matching_map(source: ColorStatistics, target: ColorStatistics, max_gain: float = float("inf")) -> Float[Tensor, "3 4"]:
    """The affine map [A | b] that gives colours of `source` the mean and covariance of `target`.

    Of all that do, the one that moves colours least (Pitie and Kokaram 2007, the linear Monge-Kantorovitch map):
    A = Cs^-1/2 (Cs^1/2 Ct Cs^1/2)^1/2 Cs^-1/2. It is symmetric and positive: what is lighter stays lighter, what is redder
    redder. Differs from ARF (section 4.3) and CORAL, whose Ct^1/2 Cs^-1/2 also turns colours, by 6 to 44 degrees between the
    scenes and paintings here: shadows in the green, clay in the pink.

    Channels that do not vary in the source are not blown up: variances below (1/255)^2 count as that. No direction of colour
    is stretched or shrunk more than `max_gain` times.

    >>> flat = ColorStatistics(torch.zeros(3), torch.eye(3))
    >>> matching_map(flat, ColorStatistics(torch.ones(3), 4 * torch.eye(3)))[0].tolist()
    [2.0, 0.0, 0.0, 1.0]
    """
    there, back = _power(source.covariance, 0.5), _power(source.covariance, -0.5)
    linear = back @ _power(there @ target.covariance.double() @ there, 0.5, least=0.0) @ back
    gains, directions = torch.linalg.eigh(linear)
    linear = (directions @ torch.diag(gains.clamp(1 / max_gain, max_gain)) @ directions.T).to(source.mean)
    return torch.cat([linear, (target.mean - linear @ source.mean)[:, None]], dim=1)


def apply_color_map(
    color_map: Float[Tensor, "3 4"], rgb: Float[Tensor, "*batch 3"], alpha: Float[Tensor, "*batch 1"] | float = 1.0
) -> Float[Tensor, "*batch 3"]:
    """A c + b; of colours that were multiplied by `alpha` the offset is, too. Not clamped."""
    return rgb @ color_map[:, :3].T + alpha * color_map[:, 3]


def recolor_pictures(
    color_map: Float[Tensor, "3 4"], pictures: Float[Tensor, "*batch 3 height width"]
) -> Float[Tensor, "*batch 3 height width"]:
    """`apply_color_map` for channels first. Not clamped."""
    return apply_color_map(color_map, pictures.movedim(-3, -1)).movedim(-1, -3)


def compose(after: Float[Tensor, "3 4"], before: Float[Tensor, "3 4"]) -> Float[Tensor, "3 4"]:
    """The map that does `before`, then `after`."""
    linear = after[:, :3] @ before[:, :3]
    return torch.cat([linear, (after[:, :3] @ before[:, 3] + after[:, 3])[:, None]], dim=1)


def identity_map() -> Float[Tensor, "3 4"]:
    """The map that changes no colour."""
    return torch.eye(3, 4)


def brightness_only(change: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """What a change of colour does to brightness, given to all three channels: hue and chroma (Cb, Cr) stay.

    >>> brightness_only(torch.tensor([1.0, 0.0, 0.0])).tolist()
    [0.29899999499320984, 0.29899999499320984, 0.29899999499320984]
    """
    return (change @ change.new_tensor(LUMINANCE))[..., None].expand_as(change)


def _power(covariance: Tensor, exponent: float, least: float = (1 / 255) ** 2) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance.double())
    return vectors @ torch.diag(values.clamp(min=least) ** exponent) @ vectors.T
