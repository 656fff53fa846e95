"""What rays see of a content."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ins3d.fields.merged_points import SurfacePoints


@dataclass(frozen=True)
class Merging:
    """How what lies along a ray becomes the points that style is computed at."""

    num_points: int | None
    """Points per ray; None: every sample is a point."""
    spread_mult: float = 0.0
    """Of the standard deviation, along the ray, of the samples behind a point."""
    footprint_mult: float = 0.0
    """Standard deviation of the pixel's footprint, in pixels."""


@dataclass
class Look:
    """What rays see of a content."""

    rgb: Float[Tensor, "rays 3"]
    """Over the content's background."""
    accumulation: Float[Tensor, "rays 1"]
    depth: Float[Tensor, "rays 1"]
    """Along the ray, in scene units; beyond the placement's `far` where there is nothing."""
    points: SurfacePoints
    weights: Float[Tensor, "rays samples 1"]
    """Of the samples behind `rgb`; they add up to the accumulation."""
