"""Pictures of splats whose shapes no longer change: a sparse product away from any colours."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import csr_matrix
from torch import Tensor

from ins3d.splats.compositing import seen_rgb, weights_of
from ins3d.splats.gaussians import Gaussians
from ins3d.splats.views import View

LEAST_WEIGHT = 1 / 256
"""Less of a splat in a pixel is left out, and its others make up for it: most of all weights, and hardly to be seen."""


@dataclass
class SplatPicture:
    """What one camera sees of splats, in whatever colours."""

    shape: tuple[int, int]
    """(height, width)."""
    splats: Int[np.ndarray, " seen"]
    """Those that are seen."""
    weights: csr_matrix
    """(pixels, seen splats)."""
    left: Float[Tensor, "pixels 1"]
    """Of the light, for the background."""

    def rgb(self, colors: Float[Tensor, "seen 3"]) -> Float[Tensor, "pixels 3"]:
        """Colours of the pixels, without a background; gradients reach the colours."""
        return cast(Tensor, _Product.apply(colors, self.weights))

    def window(self, top: int, left: int, height: int, width: int) -> "SplatPicture":
        """A part of it."""
        if (height, width) == self.shape:
            return self
        rows = ((top + np.arange(height))[:, None] * self.shape[1] + left + np.arange(width)).ravel()
        weights = self.weights[rows]
        seen = np.zeros(len(self.splats), bool)
        seen[weights.indices] = True
        return _numbered((height, width), self.splats, weights, seen, self.left[torch.from_numpy(rows)])


def splat_picture(view: View, splats: Gaussians) -> SplatPicture:
    """The picture of a camera."""
    weights, left = weights_of(view, splats)
    weights.data[weights.data < LEAST_WEIGHT] = 0
    weights.eliminate_zeros()
    sums = np.add.reduceat(np.append(weights.data, 0), weights.indptr[:-1])
    kept = np.where(np.diff(weights.indptr) > 0, (1 - left.numpy()) / np.maximum(sums, 1e-9), 0)
    weights.data *= np.repeat(kept, np.diff(weights.indptr)).astype(np.float32)
    seen = np.zeros(len(splats), bool)
    seen[weights.indices] = True
    return _numbered(view.shape, np.arange(len(splats)), weights, seen, left[:, None])


def _numbered(
    shape: tuple[int, int], splats: np.ndarray, weights: csr_matrix, seen: np.ndarray, left: Tensor
) -> SplatPicture:
    """With the seen splats alone as columns."""
    numbers = np.cumsum(seen, dtype=np.int32) - 1
    columns = numbers[weights.indices]
    small = csr_matrix((weights.data, columns, weights.indptr), (shape[0] * shape[1], int(seen.sum())))
    return SplatPicture(shape, splats[seen], small, left)


def shine(view: View, splats: Gaussians) -> Float[Tensor, "splats 3"]:
    """What a camera sees of splats beside the colours that do not depend on the view."""
    return seen_rgb(splats, view) - splats.rgb


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, colors: Tensor, weights: csr_matrix) -> Float[Tensor, "pixels 3"]:
        ctx.weights = weights
        return torch.from_numpy(weights @ colors.detach().cpu().numpy()).to(colors)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        return torch.from_numpy(ctx.weights.T @ gradient.cpu().numpy()).to(gradient), None
