"""The training pictures say where the scene lies."""

import torch
import torch.nn.functional as F
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.datasets.base_dataset import InputDataset

from ins3d.placement.posed_pictures import PosedPictures
from ins3d.placement.scene import Placement, placement_from_hull, placement_from_points

SMALL_SIDE = 72
"""Short side, in pixels, of the pictures that depth is searched in: enough for a range, and seconds of work."""
MAX_PICTURES = 60
FEWEST_POINTS = 200
MAX_POINTS = 20_000


def measure_placement(dataset: InputDataset) -> Placement:
    """From alpha, the visual hull; else from sparse points that came with the data; else from a plane sweep."""
    scene = small_pictures(dataset)
    if has_empty_background(scene):
        from ins3d.placement.visual_hull import hull_points

        points = hull_points(scene)
        if len(points):
            return placement_from_hull(points, scene.centers)
    if "points3D_xyz" in dataset.metadata:
        placement = _from_sparse_points(dataset.metadata["points3D_xyz"], scene)
        if placement is not None:
            return placement
    from ins3d.placement.plane_sweep import sweep_points

    points, depths = sweep_points(scene)
    if len(points) >= FEWEST_POINTS:
        return placement_from_points(points, depths, "a plane sweep between neighbouring pictures")
    raise ValueError(
        f"pipeline.model.near/far/center/radius: only {len(points)} pixels show at which depth the scene lies (too few "
        "pictures, no texture, or wrong poses); check the poses, or give near, far, center and radius in scene units."
    )


def has_empty_background(scene: PosedPictures) -> bool:
    """True for an object whose pictures are transparent around it; alpha that is opaque everywhere says nothing."""
    return scene.pictures.shape[1] == 4 and float((scene.pictures[:, 3] < 0.5).float().mean()) > 0.02


def _from_sparse_points(points: torch.Tensor, scene: PosedPictures) -> Placement | None:
    """None when the points are not where the pictures look."""
    points = points[torch.linspace(0, len(points) - 1, min(len(points), MAX_POINTS)).long()]
    depths = []
    for camera in range(len(scene.pictures)):
        local = (points - scene.centers[camera]) @ scene.view_axes[camera]
        _, inside = scene.look_up(camera, points)
        depths.append(local[inside > 0])
    seen = torch.cat(depths)
    if len(seen) < FEWEST_POINTS:
        return None
    return placement_from_points(points, seen, "the sparse points of the data")


def small_pictures(dataset: InputDataset) -> PosedPictures:
    """Evenly chosen pictures, shrunk to one small size, with their cameras as pinholes."""
    count = min(len(dataset), MAX_PICTURES)
    chosen = torch.linspace(0, len(dataset) - 1, count).round().long().unique()
    cameras: Cameras = dataset.cameras[chosen].to("cpu")
    pictures, scales = [], []
    first = dataset.get_data(int(chosen[0]))["image"].shape
    scale = SMALL_SIDE / min(first[:2])
    size = (round(first[0] * scale), round(first[1] * scale))
    for index in chosen:
        picture = dataset.get_data(int(index))["image"].permute(2, 0, 1)[None]
        scales.append((size[1] / picture.shape[3], size[0] / picture.shape[2]))
        pictures.append(F.interpolate(picture, size=size, mode="bilinear", antialias=True)[0])
    channels = max(picture.shape[0] for picture in pictures)
    full = [F.pad(picture, (0, 0, 0, 0, 0, channels - len(picture)), value=1.0) for picture in pictures]
    scale_x, scale_y = torch.tensor(scales).unbind(-1)
    intrinsics = [
        cameras.fx[:, 0] * scale_x,
        cameras.fy[:, 0] * scale_y,
        cameras.cx[:, 0] * scale_x,
        cameras.cy[:, 0] * scale_y,
    ]
    return PosedPictures(torch.stack(full), cameras.camera_to_worlds, torch.stack(intrinsics, dim=-1))
