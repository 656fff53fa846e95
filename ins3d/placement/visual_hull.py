"""Visual hull: the points that no silhouette excludes."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ins3d.placement.posed_pictures import PosedPictures


def common_look_at(scene: PosedPictures) -> Float[Tensor, " 3"]:
    """The point nearest to all view axes (least squares)."""
    axes = scene.view_axes
    projections = torch.eye(3) - axes[:, :, None] * axes[:, None, :]
    return torch.linalg.lstsq(projections.sum(0), (projections @ scene.centers[:, :, None]).sum(0)).solution[:, 0]


def hull_points(scene: PosedPictures, resolution: int = 64, max_views: int = 40) -> Float[Tensor, "points 3"]:
    """The cells of a grid around the look-at point that no picture's alpha carves away. `pictures` have 4 channels.

    A point that a picture does not show is left to the others; one that most pictures do not show is not the object.
    """
    center = common_look_at(scene)
    reach = (scene.centers - center).norm(dim=-1).median()
    line = torch.linspace(-1, 1, resolution) * reach
    points = center + torch.cartesian_prod(line, line, line)
    views = torch.linspace(0, len(scene.pictures) - 1, min(max_views, len(scene.pictures))).round().long().unique()
    kept, times_seen = carve(scene, points, views.tolist())
    return points[kept & (times_seen >= len(views) / 2)]


def carve(
    scene: PosedPictures, points: Float[Tensor, "*batch 3"], views: Sequence[int]
) -> tuple[Bool[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """(whether no picture's last channel, alpha, says that it is empty there; how many pictures show the place)."""
    kept, times_seen = torch.ones_like(points[..., 0], dtype=torch.bool), torch.zeros_like(points[..., 0])
    for view in views:
        seen, shown = scene.look_up(view, points)
        # Small, not half: a thin part covers little of a small picture's pixel.
        kept &= (seen[-1] > 0.05) | (shown == 0)
        times_seen += shown
    return kept, times_seen
