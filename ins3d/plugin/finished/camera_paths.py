"""Camera paths: an orbit around an object, a spiral, or through the training cameras."""

import math
from dataclasses import replace

import torch
from jaxtyping import Float
from nerfstudio.cameras import camera_utils
from nerfstudio.cameras.camera_paths import get_interpolated_camera_path
from nerfstudio.cameras.cameras import Cameras
from torch import Tensor

from ins3d.evaluation.settings import Flight

SPIRAL_RADIUS = 0.25
"""Share of the cameras' median distance from their middle."""


def camera_path(kind: Flight, cameras: Cameras, center: Float[Tensor, " 3"], bounded: bool, num_frames: int) -> Cameras:
    """`num_frames` cameras like the given ones. `auto`: an orbit for an object, a spiral for an open scene."""
    if kind == "orbit" or (kind == "auto" and bounded):
        return orbit(cameras, center, num_frames)
    if kind == "cameras":
        return through_cameras(cameras, num_frames)
    return spiral(cameras, num_frames)


def orbit(cameras: Cameras, center: Float[Tensor, " 3"], num_frames: int) -> Cameras:
    """Once around `center`, about the z axis (the host's up), as high and as far away as the cameras usually are."""
    places = cameras.camera_to_worlds[:, :3, 3] - center
    distance, height = places[:, :2].norm(dim=-1).median(), places[:, 2].median()
    angles = torch.arange(num_frames) * (2 * math.pi / num_frames)
    around = torch.stack([distance * angles.cos(), distance * angles.sin(), height.expand(num_frames)], dim=-1)
    up = torch.tensor([0.0, 0.0, 1.0])
    poses = torch.stack([camera_utils.viewmatrix(place, up, center + place) for place in around])
    return _like(cameras, 0, poses[:, :3])


def spiral(cameras: Cameras, num_frames: int) -> Cameras:
    """A closed spiral of the camera that stands in the middle of all; it goes on looking where it looks.

    The host's `get_spiral_path` takes the camera's own viewing axis for up, and lays pictures on their side.
    """
    places = cameras.camera_to_worlds[:, :3, 3]
    away = (places - places.mean(0)).norm(dim=-1)
    middle = int(away.argmin())
    angles = torch.arange(num_frames) * (2 * math.pi / num_frames)
    around = torch.stack([angles.cos(), angles.sin(), angles.sin()], dim=-1) * SPIRAL_RADIUS * away.median()
    poses = cameras.camera_to_worlds[middle].repeat(num_frames, 1, 1)
    poses[:, :, 3] += around @ poses[0, :, :3].T
    return _like(cameras, middle, poses)


def through_cameras(cameras: Cameras, num_frames: int) -> Cameras:
    """From place to place, the nearest next."""
    if len(cameras) == 1:
        return _like(cameras, 0, cameras.camera_to_worlds.repeat(num_frames, 1, 1))
    steps = math.ceil(num_frames / (len(cameras) - 1)) + 1
    poses = get_interpolated_camera_path(cameras, steps=steps, order_poses=True).camera_to_worlds
    return _like(cameras, 0, poses[torch.linspace(0, len(poses) - 1, num_frames).round().long()])


def _like(cameras: Cameras, index: int, poses: Float[Tensor, "frames 3 4"]) -> Cameras:
    """One of the cameras at other places, without its lens's distortion: straight lines stay straight."""
    return replace(cameras[index : index + 1], camera_to_worlds=poses, distortion_params=None)
