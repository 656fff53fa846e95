"""Volume rendering of samples along rays: colours and depths of pixels."""

import torch
from jaxtyping import Float
from nerfstudio.cameras.rays import RaySamples
from torch import Tensor

MIN_ACCUMULATION = 0.05
"""Accumulation below which a ray's depth means nothing."""


def composite(
    rgb: Float[Tensor, "rays samples 3"], weights: Float[Tensor, "rays samples 1"], background: Float[Tensor, "*rays 3"]
) -> Float[Tensor, "rays 3"]:
    """Volume rendering over a background."""
    return (weights * rgb).sum(-2) + (1 - weights.sum(-2)) * background


def uncomposited(
    rgb: Float[Tensor, "*pixels 3"], alpha: Float[Tensor, "*pixels 1"], background: Float[Tensor, " 3"]
) -> Float[Tensor, "*pixels 3"]:
    """The colour of what hides the background; any colour where nothing does.

    >>> uncomposited(torch.tensor([0.75, 0.5, 0.5]), torch.tensor([0.5]), torch.ones(3)).tolist()
    [0.5, 0.0, 0.0]
    """
    return ((rgb - (1 - alpha) * background) / alpha.clamp(min=1e-6)).clamp(0, 1)


def expected_depth(
    samples: RaySamples, weights: Float[Tensor, "rays samples 1"], nowhere: Float[Tensor, ""]
) -> Float[Tensor, "rays 1"]:
    """The mean distance along the ray, in scene units; `nowhere` for a ray that hits next to nothing."""
    middles = (samples.frustums.starts + samples.frustums.ends) / 2
    accumulation = weights.sum(-2)
    depth = (weights * middles).sum(-2) / accumulation.clamp(min=1e-6)
    return torch.where(accumulation > MIN_ACCUMULATION, depth, nowhere)
