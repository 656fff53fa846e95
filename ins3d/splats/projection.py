"""Splats become ellipses in a picture (Zwicker et al. 2001; Kerbl et al. 2023, section 4)."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ins3d.splats.gaussians import rotation_matrices
from ins3d.splats.views import View

NEAR = 0.01
"""Distance along the view axis, in scene units, before which nothing is drawn; gsplat's."""
LOW_PASS = 0.3
"""Added to the variance of every ellipse, in square pixels, so that none falls between pixels; all viewers add it."""
LEAST_ALPHA = 1 / 255
MARGIN = 1.3
"""Of the picture, within which an ellipse's shape is that of its own place: farther out the linearised camera explodes."""

LARGEST = 1e4
"""Standard deviation of a splat, in its distances: it covers all of any picture, and the square of its square is finite."""


@dataclass
class Ellipses:
    """What splats cover in a picture; those that reach no pixel are not `seen`."""

    middles: Float[Tensor, "splats 2"]
    """Columns and rows, in pixels."""
    conics: Float[Tensor, "splats 3"]
    """The inverse of the covariance: xx, xy, yy, in 1 / square pixels."""
    depths: Float[Tensor, " splats"]
    """Along the view axis, in scene units."""
    reach: Float[Tensor, "splats 2"]
    """Half the width and height of the box outside which alpha is below 1/255, in pixels."""
    seen: Bool[Tensor, " splats"]


def project(
    view: View,
    means: Float[Tensor, "splats 3"],
    scales: Float[Tensor, "splats 3"],
    rotations: Float[Tensor, "splats 4"],
    opacities: Float[Tensor, " splats"],
) -> Ellipses:
    """Gradients reach means, scales and rotations through `middles` and `conics`."""
    axes = view.axes()
    x, y, z = view.seen_from(means).unbind(-1)
    away = z.clamp(min=NEAR)
    across, down = x / away, y / away
    middles = torch.stack([view.fx * across + view.cx, view.fy * down + view.cy], dim=-1)
    limits = MARGIN * view.width / (2 * view.fx), MARGIN * view.height / (2 * view.fy)
    across, down = across.clamp(-limits[0], limits[0]), down.clamp(-limits[1], limits[1])
    scales = torch.minimum(scales, LARGEST * away.detach()[:, None])
    spread = axes @ (rotation_matrices(rotations) * scales[:, None, :])
    columns = (view.fx / away)[:, None] * (spread[:, 0] - across[:, None] * spread[:, 2])
    rows = (view.fy / away)[:, None] * (spread[:, 1] - down[:, None] * spread[:, 2])
    xx, xy, yy = (columns**2).sum(-1) + LOW_PASS, (columns * rows).sum(-1), (rows**2).sum(-1) + LOW_PASS
    determinant = (xx * yy - xy * xy).clamp(min=1e-12)
    conics = torch.stack([yy, -xy, xx], dim=-1) / determinant[:, None]
    with torch.no_grad():
        sigmas = (2 * (opacities / LEAST_ALPHA).clamp(min=1).log()).sqrt()
        reach = sigmas[:, None] * torch.stack([xx, yy], dim=-1).sqrt()
        extent = reach.new_tensor([view.width, view.height])
        inside = ((middles + reach > 0) & (middles - reach < extent)).all(-1)
        finite = torch.cat([middles, conics, reach], dim=-1).isfinite().all(-1)  # huge ones overflow
        seen = (z > NEAR) & (opacities > LEAST_ALPHA) & inside & finite & (conics[:, [0, 2]] > 0).all(-1)
    return Ellipses(middles, conics, z, reach, seen)
