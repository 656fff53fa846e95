"""Picture statistics that need no network: colour variance, high frequencies, edges, SSIM.

For evaluation: what is steady because it is blurred shows here. A mask holds weights in [0, 1]; where no pixel counts, the
result is nan. Pictures need 7 pixels a side. Nothing here is meant to be differentiated.
"""

from math import ceil, inf

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from kornia.filters import gaussian_blur2d, sobel
from skimage.metrics import structural_similarity as skimage_similarity
from torch import Tensor

from ins3d.perception.color_transfer import LUMINANCE, color_statistics

BLUR_SIGMA = 1.5
"""Pixels: what a blur of this width takes away is a picture's high band."""
BLUR_RADIUS = ceil(4 * BLUR_SIGMA)
"""Pixels: how far the blur reaches."""
SOBEL_RADIUS = 1
"""Pixels: how far the edge filter reaches."""
WHOLE = 0.99
"""A weight from which on a pixel counts as inside the mask."""
FLAT = 1e-6
"""Edges that vary less than this (standard deviation) are rounding."""


def blur_numbers(
    rgb: Float[Tensor, "3 height width"],
    photograph: Float[Tensor, "3 height width"],
    plain: Float[Tensor, "3 height width"],
    mask: Float[Tensor, "1 height width"] | None = None,
    painting_variance: float = inf,
) -> dict[str, float]:
    """What a blurred picture would lose: colour variance, high frequencies, and the `plain` render's edges (correlation).

    High frequencies are in shares of the photograph's; the variance in shares of what is possible: the smaller of the
    photograph's and the painting's. A sepia drawing cannot have a photograph's colours, nor a white wall a fauve's.
    """
    energy = high_frequency_energy(rgb, mask) / max(high_frequency_energy(photograph, mask), 1e-12)
    possible = min(colour_variance(photograph, mask), painting_variance)
    variance = colour_variance(rgb, mask) / max(possible, 1e-12)
    return {"colour_variance": variance, "high_frequency": energy, "edges": edge_agreement(rgb, plain, mask)}


def colour_variance(rgb: Float[Tensor, "3 height width"], mask: Float[Tensor, "1 height width"] | None = None) -> float:
    """The variance of a channel's values, averaged over the channels: a third of the trace of the colours' covariance.

    At most 0.25, where half of the pixels are black and half of them white. Pixels count by their weight.

    >>> colour_variance(torch.tensor([[[0.0, 1.0]], [[0.5, 0.5]], [[0.0, 0.0]]])) * 12
    1.0
    """
    if mask is not None and not mask.any():
        return float("nan")
    statistics = color_statistics(rgb.flatten(1).T, None if mask is None else mask.flatten(1).T)
    return float(statistics.covariance.trace()) / 3


def high_frequency_energy(
    rgb: Float[Tensor, "3 height width"], mask: Float[Tensor, "1 height width"] | None = None
) -> float:
    """The mean square of luminance minus its Gaussian blur of 1.5 pixels: 0.25 for a chessboard of black and white pixels.

    Only pixels count from which the blur does not reach beyond the mask, or the silhouette's edge would count as detail.
    """
    bright = luminance(rgb)
    band = bright - gaussian_blur2d(bright, 2 * BLUR_RADIUS + 1, (BLUR_SIGMA, BLUR_SIGMA))
    return float(band[0, 0][_inside(bright, mask, BLUR_RADIUS)].square().mean())


def edge_agreement(
    rgb: Float[Tensor, "3 height width"],
    reference: Float[Tensor, "3 height width"],
    mask: Float[Tensor, "1 height width"] | None = None,
) -> float:
    """Pearson's correlation of how strong two pictures' edges are (Sobel, of luminance): 1 for the same, near 0 for others.

    In [-1, 1]; 0 if either has no edges at all. It knows nothing of the strength itself: half the contrast agrees by 1. Only
    pixels count from which the filter does not reach beyond the mask: both pictures have the silhouette's edge.
    """
    inside = _inside(luminance(rgb), mask, SOBEL_RADIUS)
    edges = torch.stack([sobel(luminance(each), eps=0.0)[0, 0][inside] for each in (rgb, reference)])
    if edges.shape[1] == 0:
        return float("nan")
    if edges.std(1, correction=0).min() < FLAT:
        return 0.0
    return float(torch.corrcoef(edges)[0, 1])


def structural_similarity(
    rgb: Float[Tensor, "3 height width"],
    reference: Float[Tensor, "3 height width"],
    mask: Float[Tensor, "1 height width"] | None = None,
) -> float:
    """SSIM (Wang et al. 2004; Gaussian window of 1.5 pixels) of values in [0, 1], averaged over channels and positions.

    1 for the same picture. A position counts by its weight; its window, of 11 pixels, sees what is next to the mask, too.
    """
    # By separable filters: torchmetrics' windows of 121 doubles a pixel take 2.6 GB and 8 seconds for 960x540.
    pictures = (picture.double().cpu().numpy() for picture in (rgb, reference))
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    found = skimage_similarity(*pictures, channel_axis=0, data_range=1.0, full=True, **options)
    similarity = torch.from_numpy(found[1]).mean(0).to(rgb.device)
    weights = torch.ones_like(similarity) if mask is None else mask[0].to(similarity)
    return float((similarity * weights).sum() / weights.sum())


def luminance(rgb: Float[Tensor, "3 height width"]) -> Float[Tensor, "1 1 height width"]:
    """Brightness in [0, 1], in float64: differences of neighbours that are alike are no rounding then."""
    return torch.tensordot(rgb.new_tensor(LUMINANCE, dtype=torch.float64), rgb.double(), dims=1)[None, None]


def _inside(bright: Tensor, mask: Tensor | None, radius: int) -> Bool[Tensor, "height width"]:
    """Pixels around which the mask is whole, as far as `radius` in every direction; the picture's border takes nothing."""
    if mask is None:
        return torch.ones_like(bright[0, 0], dtype=torch.bool)
    # The smallest weight of a window: kornia's erosion holds all windows in memory, 169 numbers for each pixel.
    return -F.max_pool2d(-mask[None].to(bright), 2 * radius + 1, stride=1, padding=radius)[0, 0] >= WHOLE
