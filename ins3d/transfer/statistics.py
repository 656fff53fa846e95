"""How features are changed without being learned: their statistics are exchanged."""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ins3d.perception.losses import Mask, statistics_of

ChannelStatistics = tuple[Float[Tensor, "_ _ 1 1"], Float[Tensor, "_ _ 1 1"]]
"""Mean and standard deviation over all positions."""


def channel_statistics(
    features: Float[Tensor, "batch channels height width"], where: Mask | None = None
) -> ChannelStatistics:
    """As `perception.losses.statistics_of`. With `where`, positions count by their weight."""
    mean, deviation = statistics_of({"": features}, where)[""]
    return mean[..., None, None], deviation[..., None, None]


def normalized(
    features: Float[Tensor, "batch channels height width"], where: Mask | None = None
) -> Float[Tensor, "batch channels height width"]:
    """Every channel with mean 0 and deviation 1."""
    mean, deviation = channel_statistics(features, where)
    return (features - mean) / deviation


def adain(
    features: Float[Tensor, "batch channels height width"],
    style: ChannelStatistics,
    where: Mask | None = None,
) -> Float[Tensor, "batch channels height width"]:
    """The features with the style's statistics (Huang and Belongie, ICCV 2017, equation 8).

    `where`: the positions whose own statistics are exchanged (section 7.2, spatial control).
    """
    mean, deviation = style
    return normalized(features, where) * deviation + mean


def upsampled(
    features: Float[Tensor, "batch channels height width"], mode: str = "nearest", size: Sequence[int] | None = None
) -> Float[Tensor, "batch channels new_height new_width"]:
    """Twice as large, or of a size. `bilinear` does not align corners."""
    more = {} if mode == "nearest" else {"align_corners": False}
    scale = None if size else 2
    return F.interpolate(features, size=list(size) if size else None, scale_factor=scale, mode=mode, **more)
