"""Plane sweep: a rough point cloud from posed photographs, at the depths where neighbouring pictures agree best."""

import torch
from jaxtyping import Float
from kornia.filters import box_blur
from torch import Tensor

from ins3d.placement.posed_pictures import PosedPictures

NUM_DEPTHS = 64
NUM_NEIGHBOURS = 4
MIN_MARGIN = 0.02
"""Colour difference, in [0, 1], by which a depth must win: a wall without texture agrees with itself everywhere."""
MAX_ANGLE = 45.0
"""Pictures taken at a wider angle (degrees) show too little of the same surface to be compared by colour."""


def sweep_points(scene: PosedPictures, num_views: int = 8) -> tuple[Float[Tensor, "points 3"], Float[Tensor, " points"]]:
    """Points on what the pictures show, and their depths along the view axes, from some evenly chosen views.

    Only pixels count whose best depth is clearly better than the others; a scene without texture gives few.
    """
    views = torch.linspace(0, len(scene.pictures) - 1, min(num_views, len(scene.pictures))).round().long().unique()
    found = [_sweep_view(scene, int(view)) for view in views]
    return torch.cat([points for points, _ in found]), torch.cat([depths for _, depths in found])


def neighbours(scene: PosedPictures, view: int) -> list[int]:
    """The nearest cameras that look in about the same direction from another place."""
    distances = (scene.centers - scene.centers[view]).norm(dim=-1)
    angles = torch.rad2deg(torch.acos((scene.view_axes @ scene.view_axes[view]).clamp(-1, 1)))
    smallest = 1e-3 * distances.amax()
    usable = (distances > smallest) & (angles < MAX_ANGLE)
    order = distances.masked_fill(~usable, torch.inf).argsort()
    return [int(camera) for camera in order[:NUM_NEIGHBOURS] if usable[camera]]


def _sweep_view(scene: PosedPictures, view: int) -> tuple[Tensor, Tensor]:
    near_cameras = neighbours(scene, view)
    rays = scene.pixel_rays(view)
    if len(near_cameras) < 2:
        return rays.new_zeros(0, 3), rays.new_zeros(0)
    baseline = (scene.centers[near_cameras] - scene.centers[view]).norm(dim=-1).median()
    # From half a baseline, where disparities are as large as the picture, to where they are below a pixel.
    depths = torch.logspace(-0.3, 2.3, NUM_DEPTHS) * baseline
    points = scene.centers[view] + depths[:, None, None, None] * rays
    costs, seen = _photometric_costs(scene, view, near_cameras, points)
    best = costs.masked_fill(~seen, torch.inf).min(0)
    typical = costs.masked_fill(~seen, torch.nan).nanmedian(0).values
    # Sure where the best depth beats the typical one by far, in proportion and in colour, and is not at the range's end.
    sure = (best.values < 0.5 * typical) & (typical - best.values > MIN_MARGIN) & (best.values < 0.1)
    sure &= (best.indices > 0) & (best.indices < NUM_DEPTHS - 1)
    chosen = points.gather(0, best.indices[None, :, :, None].expand(1, -1, -1, 3))[0]
    return chosen[sure], depths[best.indices[sure]]


def _photometric_costs(scene: PosedPictures, view: int, cameras: list[int], points: Tensor) -> tuple[Tensor, Tensor]:
    """Mean colour difference in a 5x5 window over the two neighbours that agree best (the others are hidden), and where
    at least two neighbours see the point at all."""
    costs, times_seen = [], torch.zeros(points.shape[:-1])
    for camera in cameras:
        seen, inside = scene.look_up(camera, points)
        difference = (seen[:3] - scene.pictures[view, :3, None]).abs().mean(0)
        # Only what lies inside the neighbour's picture is compared; a window half outside it proves nothing.
        share = box_blur(inside[:, None], (5, 5))[:, 0]
        cost = box_blur((difference * inside)[:, None], (5, 5))[:, 0] / share.clamp(min=0.5)
        whole = share > 0.5
        costs.append(torch.where(whole, cost, torch.ones_like(cost)))
        times_seen += whole
    return torch.stack(costs).topk(2, dim=0, largest=False).values.mean(0), times_seen >= 2
