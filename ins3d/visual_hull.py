"""Silhouettes become the points that every picture allows to be inside the object."""

import torch
from jaxtyping import Float
from torch import Tensor

from ins3d.posed_pictures import PosedPictures


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
    points = center + torch.stack(torch.meshgrid(line, line, line, indexing="ij"), dim=-1).reshape(-1, 3)
    views = torch.linspace(0, len(scene.pictures) - 1, min(max_views, len(scene.pictures))).round().long().unique()
    times_seen = torch.zeros(len(points))
    for view in views:
        seen, inside = scene.look_up(int(view), points)
        # Small, not half: a thin part covers little of a small picture's pixel.
        keep = (seen[3] > 0.05) | (inside == 0)
        points, times_seen = points[keep], (times_seen + inside)[keep]
    return points[times_seen >= len(views) / 2]
