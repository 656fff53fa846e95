"""Splats that are larger than a stroke are split, so that strokes can be finer than they were."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ins3d.splats.gaussians import Gaussians, rotation_matrices

APART = 2.0
"""How far apart the parts of a splat are, in their own standard deviations: their sum has ripples of a hundredth."""
REACH = 2.0
"""How far out the outermost part lies, in standard deviations of what is smeared."""
MOST_PARTS = 64
"""Of one splat along one axis."""


def split_large(splats: Gaussians, most: Float[Tensor, " splats"], growth: float) -> Gaussians:
    """Splats whose standard deviations are at most `most`, or a `MOST_PARTS`th of what they were.

    Where that makes more than `growth` times as many, `most` is enlarged for all until it does not. A splat that is larger
    becomes a row of splats along its longest axis, then each along the next: their optical depths add up to what it had at
    every place (G-Style and FastSplatStyler split likewise). What is small enough stays as it is.
    """
    while float(_parts(splats.scales / most[:, None]).prod(-1).sum()) > growth * len(splats):
        most = 1.2 * most
    for _ in range(3):
        longest, axis = splats.scales.max(dim=-1)
        parts = _parts(longest / most)
        large = parts > 1
        if not bool(large.any()):
            break
        halves = _in_a_row(splats[large], axis[large], parts[large])
        splats, most = (
            _together(splats[~large], halves),
            torch.cat([most[~large], most[large].repeat_interleave(parts[large])]),
        )
    return splats


def _parts(ratio: Tensor) -> Tensor:
    """How many parts of one standard deviation make a splat of `ratio` of them: an odd number."""
    smear = (ratio.square() - 1).clamp(min=0).sqrt()
    steps = (REACH * smear / APART).ceil().clamp(max=MOST_PARTS // 2)
    return torch.where(ratio > 1, 2 * steps + 1, 1).long()


def _in_a_row(splats: Gaussians, axis: Tensor, parts: Tensor) -> Gaussians:
    """Each splat as `parts` of them along an axis of its own.

    A Gaussian is a narrower one smeared by a third: variances add. The parts stand for the smear, `APART` apart.
    """
    rows = torch.arange(len(splats)).repeat_interleave(parts)
    place = torch.arange(len(rows)) - (parts.cumsum(0) - parts)[rows] - parts[rows] // 2
    longest = splats.scales.gather(1, axis[:, None])[:, 0]
    steps = (parts // 2).float()
    narrow = longest / (1 + (APART * steps / REACH).square()).sqrt()
    smear = (longest.square() - narrow.square()).sqrt()
    away = place * (APART * narrow)[rows]
    share = torch.exp(-0.5 * (away / smear[rows]).square()) * (APART * longest / smear)[rows] / math.sqrt(2 * math.pi)
    made = splats[rows]
    direction = rotation_matrices(made.rotations).gather(2, axis[rows][:, None, None].expand(-1, 3, 1))[:, :, 0]
    scales = made.scales.scatter(1, axis[rows][:, None], narrow[rows][:, None])
    depth = -torch.log1p(-made.opacities.clamp(max=0.999))
    opacities = -torch.expm1(-depth * share)
    return Gaussians(made.means + away[:, None] * direction, scales, made.rotations, opacities, made.rgb, made.harmonics)


def _together(first: Gaussians, second: Gaussians) -> Gaussians:
    return Gaussians(**{name: torch.cat([value, getattr(second, name)]) for name, value in vars(first).items()})
