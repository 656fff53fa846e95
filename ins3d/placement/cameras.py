"""Cameras that look at an object in the unit ball, and the rays of their pixels."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation, Slerp
from torch import Tensor

UpAxis = Literal["y", "z"]
DISTANCE = 3.0
"""Of cameras around the object, in radii of the ball: far enough that the far side is not small, near enough for depth."""


@dataclass(frozen=True)
class ObjectCameras:
    """Pinhole cameras of one picture size; a camera looks along its -z axis, y is up (as in nerfstudio)."""

    camera_to_world: Float[Tensor, "cameras 3 4"]
    intrinsics: Float[Tensor, "cameras 4"]
    """fx, fy, cx, cy in pixels."""
    height: int
    width: int

    def __len__(self) -> int:
        return len(self.camera_to_world)

    @property
    def pixels(self) -> Float[Tensor, " cameras"]:
        """Of each camera: how wide a pixel is at distance 1."""
        return 1 / self.intrinsics[:, :2].mean(-1)

    @property
    def footprint(self) -> float:
        """How wide a pixel is at the ball's middle, in its radii: the cameras' median."""
        return float((self.camera_to_world[:, :, 3].norm(dim=-1) * self.pixels).median())

    def __getitem__(self, which: slice | list[int]) -> "ObjectCameras":
        """Some of them."""
        return ObjectCameras(self.camera_to_world[which], self.intrinsics[which], self.height, self.width)

    def rays(
        self, cameras: Int[Tensor, " rays"], places: Float[Tensor, "rays 2"]
    ) -> tuple[Float[Tensor, "rays 3"], Float[Tensor, "rays 3"]]:
        """(origins, unit directions) through places in pixels, rightwards and downwards; a pixel's centre is at +.5."""
        focal, middle = self.intrinsics[cameras].split(2, dim=-1)
        across, down = ((places - middle) / focal).unbind(-1)
        local = torch.stack([across, -down, -torch.ones_like(across)], dim=-1)
        pose = self.camera_to_world[cameras]
        directions = (pose[:, :, :3] @ local[:, :, None])[:, :, 0]
        return pose[:, :, 3], F.normalize(directions, dim=-1)

    def picture_places(self) -> Float[Tensor, "rays 2"]:
        """The middles of a picture's pixels, row by row."""
        across, down = (torch.arange(size, device=self.intrinsics.device) + 0.5 for size in (self.width, self.height))
        return torch.stack(torch.meshgrid(across, down, indexing="xy"), dim=-1).reshape(-1, 2)

    def picture_rays(self, camera: int) -> tuple[Float[Tensor, "rays 3"], Float[Tensor, "rays 3"]]:
        """All of a picture's rays, row by row."""
        places = self.picture_places()
        return self.rays(torch.full((len(places),), camera, device=places.device), places)

    def resized(self, long_side: int) -> "ObjectCameras":
        """The same views in another number of pixels."""
        scale = long_side / max(self.height, self.width)
        height, width = max(round(self.height * scale), 1), max(round(self.width * scale), 1)
        across, down = width / self.width, height / self.height
        factors = self.intrinsics.new_tensor([across, down, across, down])
        return ObjectCameras(self.camera_to_world, self.intrinsics * factors, height, width)

    def to(self, device: torch.device) -> "ObjectCameras":
        """On another device."""
        return ObjectCameras(self.camera_to_world.to(device), self.intrinsics.to(device), self.height, self.width)


def looking_cameras(centers: Float[Tensor, "cameras 3"], up: UpAxis, size: int) -> ObjectCameras:
    """Square pictures from places around the ball, which touches their borders."""
    back = F.normalize(centers, dim=-1)
    axis = F.one_hot(torch.tensor("xyz".index(up)), 3).to(centers)
    # Straight above or below there is no upwards: any other axis will do.
    other = F.one_hot(torch.tensor(0), 3).to(centers)
    upwards = torch.where(((back @ axis).abs() > 0.999)[:, None], other, axis)
    right = F.normalize(torch.linalg.cross(upwards, back), dim=-1)
    pose = torch.stack([right, torch.linalg.cross(back, right), back, centers], dim=-1)
    distance = centers.norm(dim=-1)
    focal = size / 2 * (distance.square() - 1).sqrt()
    middle = torch.full_like(focal, size / 2)
    return ObjectCameras(pose, torch.stack([focal, focal, middle, middle], dim=-1), size, size)


def cameras_around(number: int, up: UpAxis, size: int) -> ObjectCameras:
    """From all sides, evenly (a Fibonacci sphere)."""
    number = max(number, 1)
    height = 1 - 2 * (torch.arange(number) + 0.5) / number
    angle = torch.arange(number) * math.pi * (3 - 5**0.5)
    return looking_cameras(DISTANCE * _around(up, angle, height), up, size)


def turntable(number: int, up: UpAxis, size: int, elevation: float = 20.0) -> ObjectCameras:
    """Once around the upward axis, evenly, from the front; `elevation` in degrees."""
    angle = 2 * math.pi * torch.arange(number) / number
    height = torch.full((number,), math.sin(math.radians(elevation)))
    return looking_cameras(DISTANCE * _around(up, angle, height), up, size)


def walk(cameras: ObjectCameras, number: int) -> ObjectCameras:
    """From each camera to the next and back to the first, evenly.

    Rotations are blended (slerp), and the place at which the camera sees the ball's middle: between opposite cameras the way
    goes around the object.
    """
    places = np.arange(number) * len(cameras) / number
    before = torch.from_numpy(places).long()
    after, share = (before + 1) % len(cameras), torch.from_numpy(places % 1).float()[:, None]
    stops = Rotation.from_matrix(cameras.camera_to_world[[*range(len(cameras)), 0], :, :3].double().numpy())
    rotation = torch.from_numpy(Slerp(range(len(cameras) + 1), stops)(places).as_matrix()).float()
    local = -(cameras.camera_to_world[:, :, :3].mT @ cameras.camera_to_world[:, :, 3:])[..., 0]
    centers = -(rotation @ torch.lerp(local[before], local[after], share)[..., None])
    intrinsics = torch.lerp(cameras.intrinsics[before], cameras.intrinsics[after], share)
    return ObjectCameras(torch.cat([rotation, centers], -1), intrinsics, cameras.height, cameras.width)


def _around(up: UpAxis, angle: Tensor, height: Tensor) -> Tensor:
    """Unit vectors; angle 0 is the front: +z with y up, -y with z up."""
    flat = (1 - height.square()).clamp(min=0).sqrt()
    across, front = flat * angle.sin(), flat * angle.cos()
    return torch.stack([across, height, front] if up == "y" else [across, -front, height], dim=-1)
