"""Rays of training pixels; a lens that all pictures share is undistorted once instead of for every ray."""

from dataclasses import replace

import torch
from jaxtyping import Int
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import OrientedBox
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


class PictureRays:
    """Rays of whole pictures: of a film, all through one lens, the host undistorts every frame anew (an eighth of its time).

    The lens of the last picture is kept.
    """

    def __init__(self) -> None:
        self._lens: tuple[list[Tensor], RayBundle | None] | None = None

    def __call__(self, camera: Cameras, obb_box: OrientedBox | None = None) -> RayBundle:
        """(height, width) rays through the centres of the pixels of one camera; as the host's `generate_rays`."""
        lens = None if obb_box is not None or not camera.shape else self._lens_of(camera)
        if lens is None:
            return camera.generate_rays(camera_indices=0, keep_shape=True, obb_box=obb_box)
        pose = camera.camera_to_worlds.reshape(-1, 3, 4)[0]
        directions = lens.directions @ pose[:, :3].T
        number = torch.zeros(*directions.shape[:2], 1, dtype=torch.long, device=directions.device)
        times = None if camera.times is None else camera.times.reshape(-1)[0].expand_as(number)
        return RayBundle(pose[:, 3].expand_as(directions), directions, lens.pixel_area, camera_indices=number, times=times)

    def _lens_of(self, camera: Cameras) -> RayBundle | None:
        parts = _lens_parts(camera)
        if self._lens is None or not _same(self._lens[0], parts):
            self._lens = [part.clone() for part in parts], lens_rays(camera)
        return self._lens[1]


def _lens_parts(cameras: Cameras) -> list[Tensor]:
    parts = [cameras.fx, cameras.fy, cameras.cx, cameras.cy, cameras.height, cameras.width, cameras.camera_type]
    return parts if cameras.distortion_params is None else [*parts, cameras.distortion_params]


def _same(first: list[Tensor], second: list[Tensor]) -> bool:
    return len(first) == len(second) and all(map(torch.equal, first, second))


def lens_rays(cameras: Cameras) -> RayBundle | None:
    """Rays (height, width) of a picture's pixels in the camera's own axes; None when the pictures' lenses differ."""
    if any(bool((part != part[:1]).any()) for part in _lens_parts(cameras)):
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
