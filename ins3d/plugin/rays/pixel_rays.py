"""Rays of training pixels; a lens that all pictures share is undistorted once instead of for every ray."""

from dataclasses import replace

import torch
from jaxtyping import Int
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.model_components.ray_generators import RayGenerator
from torch import Tensor

PIXELS_AT_ONCE = 2**18
"""To undistort a pixel takes some 450 bytes for a moment."""


class PixelRays:
    """As the host's RayGenerator, which undistorts every ray anew (7 ms for 1024 rays, a tenth of a content step)."""

    def __init__(self, cameras: Cameras) -> None:
        self.cameras = cameras
        # The host leaves its table of pixels on the CPU, where indices of a GPU cannot read it.
        self.generator = RayGenerator(cameras).to(cameras.device)
        self.lens = lens_rays(cameras)

    def __call__(self, pixel_indices: Int[Tensor, "rays 3"]) -> RayBundle:
        """Rays through the centres of pixels (camera, row, column)."""
        if self.lens is None:
            return self.generator(pixel_indices)
        camera, row, column = pixel_indices.unbind(-1)
        poses = self.cameras.camera_to_worlds[camera]
        directions = (poses[:, :, :3] @ self.lens.directions[row, column][..., None])[..., 0]
        area = self.lens.pixel_area[row, column]  # a point's footprint is computed from it, in training as in rendering
        return RayBundle(poses[:, :, 3], directions, area, camera_indices=camera[:, None])


def lens_rays(cameras: Cameras) -> RayBundle | None:
    """Rays (height, width) of a picture's pixels in the camera's own axes; None when the pictures' lenses differ."""
    parts = [cameras.fx, cameras.fy, cameras.cx, cameras.cy, cameras.height, cameras.width, cameras.camera_type]
    if cameras.distortion_params is not None:
        parts.append(cameras.distortion_params)
    if any(bool((part != part[:1]).any()) for part in parts):
        return None
    if int(cameras.camera_type[0]) not in (CameraType.PERSPECTIVE.value, CameraType.FISHEYE.value):
        return None  # not all rays of such a picture start in one point
    one = replace(cameras[:1], camera_to_worlds=torch.eye(4, device=cameras.device)[None, :3])
    coords, every = one.get_image_coords(), max(PIXELS_AT_ONCE // int(one.width), 1)
    # Where the cameras are: the host makes its coordinates on the CPU, whose table indices of a GPU cannot read.
    directions, area = (torch.empty(*coords.shape[:2], channels, device=cameras.device) for channels in (3, 1))
    for first in range(0, len(coords), every):  # into their place: of a large picture, pieces in a list take a gigabyte
        rays = one.generate_rays(camera_indices=0, coords=coords[first : first + every], keep_shape=True)
        directions[first : first + every], area[first : first + every] = rays.directions, rays.pixel_area
    return RayBundle(torch.zeros(1).expand_as(directions), directions, area)
