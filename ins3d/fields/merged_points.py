"""Samples and weights along a ray become K merged points: the places where a pixel's colour is decided."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass
class SurfacePoints:
    """K representative points of a ray; each stands for an equal share of the ray's weight."""

    positions: Float[Tensor, "*rays points 3"]
    """In the unit ball."""
    color_features: Float[Tensor, "*rays points channels"]
    weights: Float[Tensor, "*rays points 1"]
    """The share of the pixel's colour that the point decides; they add up to the accumulation."""
    spread: Float[Tensor, "*rays points 1"]
    """Standard deviation of the places that the point stands for, in the units of `positions`: strokes that are finer
    fade out."""


def merge_samples(
    weights: Float[Tensor, "*rays samples 1"],
    positions: Float[Tensor, "*rays samples 3"],
    color_features: Float[Tensor, "*rays samples channels"],
    num_points: int,
    spread_mult: float = 1.0,
    footprint: Float[Tensor, "*rays samples 1"] | None = None,
) -> SurfacePoints:
    """Cuts a ray into `num_points` pieces of equal weight and takes the weighted mean of each.

    A sample on a cut is shared between the pieces, so the result moves smoothly with the weights. Gradients reach the
    weights. Keeping the heaviest samples instead loses far more (26.5 dB against 37.6 dB for one point, prototype).

    `spread` is that of the samples along the ray times `spread_mult`, and that of the pixel across it (`footprint`, a
    standard deviation at each sample): two independent blurs, so that their variances add.

    >>> half = torch.tensor([[0.5], [0.5]])
    >>> merged = merge_samples(half, torch.tensor([[0.0, 0, 0], [1, 0, 0]]), torch.ones(2, 4), num_points=1)
    >>> merged.positions.tolist(), merged.weights.tolist(), merged.spread.tolist()
    ([[0.5, 0.0, 0.0]], [[1.0]], [[0.5]])
    """
    shares = _shares(weights[..., 0], num_points)
    mean_positions = shares @ positions
    squared_distance = ((positions[..., None, :, :] - mean_positions[..., :, None, :]) ** 2).sum(-1)
    # The square root has no gradient at zero, and a spread teaches nothing: it is measured, not trained.
    variance = spread_mult**2 * (shares.detach() * squared_distance.detach()).sum(-1, keepdim=True)
    if footprint is not None:
        variance = variance + (shares.detach() @ footprint) ** 2
    accumulation = weights.sum(-2, keepdim=True)
    return SurfacePoints(
        positions=mean_positions,
        color_features=shares @ color_features,
        weights=(accumulation / num_points).expand(*variance.shape),
        spread=variance.sqrt(),
    )


def _shares(weights: Float[Tensor, "*rays samples"], num_points: int) -> Float[Tensor, "*rays points samples"]:
    """How much each sample counts in each point; rows add up to 1 (to 0 where a ray hits nothing)."""
    # Guarded before the division: a ray that hits nothing has shares of zero and a finite gradient.
    total = weights.sum(-1, keepdim=True).clamp(min=1e-6)
    ends = torch.cumsum(weights / total, dim=-1)
    starts = ends - weights / total
    cuts = torch.arange(num_points, device=weights.device, dtype=weights.dtype)[:, None] / num_points
    upper = torch.minimum(ends[..., None, :], cuts + 1 / num_points)
    lower = torch.maximum(starts[..., None, :], cuts)
    return (upper - lower).clamp(min=0) * num_points
