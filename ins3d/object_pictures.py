"""Folders of photographs become pictures with silhouettes and cameras, placed so that the object lies in the unit ball."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ins3d.image_files import read_picture
from ins3d.mesh_queries import MeshQueries
from ins3d.object_cameras import ObjectCameras, cameras_around
from ins3d.posed_pictures import PosedPictures
from ins3d.surface_mesh import MeshPlacement
from ins3d.visual_hull import hull_points

IDR, NERFSTUDIO = "cameras_sphere.npz", ("transforms.json", "transforms_train.json")
EXAMPLE_VIEWS, EXAMPLE_SIZE = 24, 200
FLIP = np.diag([1.0, -1.0, -1.0])
"""From cameras that look along +z with y down (IDR) to those that look along -z with y up."""


@dataclass(frozen=True)
class ObjectPictures:
    """Pictures of one size, what of them is the object, and their cameras in the ball."""

    pictures: Float[Tensor, "cameras 4 height width"]
    """RGB in [0, 1] and the share of the pixel that the object covers."""
    cameras: ObjectCameras
    placement: MeshPlacement

    def split(self, every: int) -> tuple["ObjectPictures", "ObjectPictures"]:
        """(to learn from, held out): every so-manieth picture is held out; of 0, none."""
        number = len(self.pictures)
        held = [index for index in range(number) if every and index % every == every // 2]
        return self._of([index for index in range(number) if index not in held]), self._of(held)

    def _of(self, which: list[int]) -> "ObjectPictures":
        return ObjectPictures(self.pictures[which], self.cameras[which], self.placement)

    def to(self, device: torch.device) -> "ObjectPictures":
        """On another device."""
        return ObjectPictures(self.pictures.to(device), self.cameras.to(device), self.placement)


def read_object_pictures(folder: Path, long_side: int | None) -> ObjectPictures:
    """IDR's folders (image/, mask/, cameras_sphere.npz) or nerfstudio's (transforms.json with masks or alpha)."""
    if not folder.is_dir():
        raise FileNotFoundError(f"images: {folder} is no folder; give one with {IDR} or {NERFSTUDIO[0]}.")
    if (folder / IDR).is_file():
        return _read_idr(folder, long_side)
    for name in NERFSTUDIO:
        if (folder / name).is_file():
            return _read_nerfstudio(folder / name, long_side)
    raise FileNotFoundError(f"images: {folder} holds neither {IDR} nor {NERFSTUDIO[0]}; give a folder that has its cameras.")


def picture_mesh(queries: MeshQueries, number: int = EXAMPLE_VIEWS, size: int = EXAMPLE_SIZE) -> ObjectPictures:
    """Pictures of a mesh in the ball, from all around: photographs whose shape is known."""
    cameras = cameras_around(number, "y", size)
    pictures = torch.zeros(number, size * size, 4)
    for camera in range(number):
        origins, directions = (rays.numpy() for rays in cameras.picture_rays(camera))
        hits = queries.cast(origins, directions)
        rgb = queries.mesh.colors_at(hits.faces[hits.hit], hits.weights[hits.hit])
        pictures[camera, torch.from_numpy(hits.hit), :3] = torch.from_numpy(rgb).float()
        pictures[camera, torch.from_numpy(hits.hit), 3] = 1.0
    square = pictures.reshape(number, size, size, 4).permute(0, 3, 1, 2).contiguous()
    return ObjectPictures(square, cameras, MeshPlacement((0.0, 0.0, 0.0), 1.0))


def _read_idr(folder: Path, long_side: int | None) -> ObjectPictures:
    try:
        cameras = dict(np.load(folder / IDR))
        numbers = sorted(int(name.removeprefix("world_mat_")) for name in cameras if re.fullmatch(r"world_mat_\d+", name))
        scale = cameras[f"scale_mat_{numbers[0]}"]
        known = [number for number in numbers if cameras[f"world_mat_{number}"].shape == (4, 4) == scale.shape]
        numbers = [number for number in known if cameras.get(f"scale_mat_{number}", np.zeros(0)).shape == (4, 4)]
    except (OSError, EOFError, BadZipFile, ValueError, KeyError, IndexError) as error:
        raise ValueError(
            f"images: {folder / IDR} does not hold world_mat_0, scale_mat_0, ... as IDR's do; give IDR's own file."
        ) from error
    pictures = {int(path.stem): path for path in _pictures(folder / "image")}
    masks = {int(path.stem): path for path in _pictures(folder / "mask")}
    if pictures and not masks:
        raise FileNotFoundError(f"images: {folder / 'mask'} holds no masks; put one for each picture there, of its name.")
    lacking = [number for number in pictures if number not in masks or number not in numbers]
    if not pictures or lacking:
        what = f"picture {lacking[0]} has no mask or camera" if lacking else f"{folder / 'image'} holds no pictures"
        raise FileNotFoundError(f"images: {what}; name pictures, masks and cameras by the same numbers.")
    frames = []
    for number in sorted(pictures):
        intrinsics, pose = _decompose((cameras[f"world_mat_{number}"] @ cameras[f"scale_mat_{number}"])[:3])
        frames.append(_Frame(pictures[number], masks[number], pose, intrinsics))
    placement = MeshPlacement(tuple(scale[:3, 3].astype(float).tolist()), float(scale[0, 0]))
    return ObjectPictures(*_read_frames(frames, long_side, shrunk=True), placement)


def _decompose(projection: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(fx, fy, cx, cy; camera to world) of a 3x4 projection."""
    matrix, rotation, center = cv2.decomposeProjectionMatrix(projection.astype(np.float64))[:3]
    matrix = matrix / matrix[2, 2]
    pose = np.concatenate([rotation.T @ FLIP, center[:3] / center[3]], axis=1)
    return np.array([matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]]), pose


def _read_nerfstudio(path: Path, long_side: int | None) -> ObjectPictures:
    try:
        contents = json.loads(path.read_text())
        frames = [_nerfstudio_frame(path.parent, contents, frame) for frame in contents["frames"]]
    except KeyError as error:
        raise ValueError(f"images: {path} lacks {error}; make it with ns-process-data, or give IDR's files.") from error
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(
            f"images: {path} is no file of cameras; make it with ns-process-data, or give IDR's files."
        ) from error
    if not frames:
        raise ValueError(f"images: {path} lists no pictures; make it with ns-process-data, or give IDR's files.")
    pictures, cameras = _read_frames(frames, long_side)
    small = PosedPictures(pictures, cameras.camera_to_world, cameras.intrinsics)
    points = hull_points(small).double().numpy()
    if len(points) < 8:
        raise ValueError(f"images: the silhouettes of {path.parent} have no place in common; check masks and cameras.")
    placement = MeshPlacement.of(points)
    poses = cameras.camera_to_world.clone()
    poses[:, :, 3] = (poses[:, :, 3] - torch.tensor(placement.center)) / placement.scale
    return ObjectPictures(pictures, ObjectCameras(poses, cameras.intrinsics, cameras.height, cameras.width), placement)


def _nerfstudio_frame(folder: Path, contents: dict[str, Any], frame: dict[str, Any]) -> "_Frame":
    def told(name: str) -> Any:
        return frame.get(name, contents.get(name))

    wrong = [name for name in ("k1", "k2", "k3", "p1", "p2") if told(name)]
    if wrong:
        raise ValueError(f"images: the lens is distorted ({wrong[0]} is {told(wrong[0])}); undistort the pictures first.")
    path = folder / frame["file_path"]
    path = path if path.suffix else path.with_suffix(".png")
    mask = folder / frame["mask_path"] if "mask_path" in frame else None
    pose = _numbers(frame["transform_matrix"])[:3]
    if pose.shape != (3, 4):
        raise TypeError("transform_matrix")
    if told("fl_x") is None:
        angle = float(contents["camera_angle_x"])
        return _Frame(path, mask, pose, lambda height, width: _from_angle(angle, height, width))
    across, down = (
        _numbers([told(name) or math.nan for name in names]) for names in (("fl_x", "cx", "w"), ("fl_y", "cy", "h"))
    )
    return _Frame(path, mask, pose, lambda height, width: _from_numbers(path, across, down, height, width))


def _numbers(values: Any) -> np.ndarray:
    try:
        return np.asarray(values, float)
    except ValueError as error:  # words, or rows of several lengths
        raise TypeError(values) from error


def shrunk_by(intrinsics: Float[Tensor, "cameras 4"], width: int) -> int:
    """How many times smaller pictures are than their cameras say, whose axis goes through their middle, or about so.

    >>> shrunk_by(torch.tensor([[2892.0, 2883.0, 823.0, 619.0]]), 400)
    4
    """
    return max(round(float(2 * intrinsics[:, 2].median() / width)), 1)


def _from_numbers(path: Path, across: np.ndarray, down: np.ndarray, height: int, width: int) -> np.ndarray:
    """fx, fy, cx, cy in pixels of a picture as it is. Told is (focal length, middle, size); nan where nothing is told."""
    scales = np.array([width / across[2], height / down[2]])
    if abs(down[2] * scales[0] - height) > 1 and abs(across[2] * scales[1] - width) > 1:
        raise ValueError(
            f"images: {path} has {width}x{height} pixels, and its cameras are for {across[2]:.0f}x{down[2]:.0f}, another "
            "shape; give the pictures that the cameras were made for."
        )
    scales = np.where(np.isnan(scales), 1.0, scales)
    focal = np.array([across[0], across[0] if np.isnan(down[0]) else down[0]]) * scales
    middle = np.array([across[1], down[1]]) * scales
    return np.concatenate([focal, np.where(np.isnan(middle), np.array([width, height]) / 2, middle)])


def _from_angle(angle: float, height: int, width: int) -> np.ndarray:
    focal = width / 2 / np.tan(angle / 2)
    return np.array([focal, focal, width / 2, height / 2])


@dataclass(frozen=True)
class _Frame:
    """A picture that has not been read yet."""

    picture: Path
    mask: Path | None
    pose: np.ndarray
    intrinsics: np.ndarray | Callable[[int, int], np.ndarray]


def _read_frames(
    frames: list[_Frame], long_side: int | None, shrunk: bool = False
) -> tuple[Float[Tensor, "cameras 4 height width"], ObjectCameras]:
    """Pictures and cameras; where a file does not say their size, pictures may have been `shrunk` since it was made."""
    pictures = [_read_frame(frame) for frame in frames]
    shapes = {tuple(picture.shape) for picture in pictures}
    if len(shapes) != 1:
        sizes = ", ".join(sorted(f"{width}x{height}" for _, height, width in shapes))
        raise ValueError(f"images: the pictures have several sizes ({sizes}); give pictures of one.")
    height, width = pictures[0].shape[1:]
    intrinsics = [frame.intrinsics(height, width) if callable(frame.intrinsics) else frame.intrinsics for frame in frames]
    poses, numbers = (torch.from_numpy(np.stack(values)).float() for values in ([f.pose for f in frames], intrinsics))
    if shrunk:
        numbers = numbers / shrunk_by(numbers, width)
    cameras, stacked = ObjectCameras(poses, numbers, height, width), torch.stack(pictures)
    if long_side is None or long_side == max(height, width):
        return stacked, cameras
    cameras = cameras.resized(long_side)
    return resize_masked(stacked, (cameras.height, cameras.width)), cameras


def _read_frame(frame: _Frame) -> Float[Tensor, "4 height width"]:
    values = _read(frame.picture)
    if frame.mask is None and len(values) != 4:
        raise ValueError(
            f"images: {frame.picture} has no mask and no transparency; say in mask_path which part is the object, or save "
            "pictures with alpha."
        )
    if frame.mask is None:
        return values
    mask = _read(frame.mask)[:3].mean(0, keepdim=True)
    if mask.shape[1:] != values.shape[1:]:
        raise ValueError(f"images: {frame.mask} is of another size than {frame.picture}; make masks of the pictures' size.")
    return torch.cat([values[:3], (mask > 0.5).float()])


def _read(path: Path) -> Float[Tensor, "channels height width"]:
    if not path.is_file():
        raise FileNotFoundError(f"images: {path} is missing; put it there, or take it out of the cameras' file.")
    return read_picture(path, "images")


def resize_masked(
    pictures: Float[Tensor, "cameras 4 height width"], size: tuple[int, int]
) -> Float[Tensor, "cameras 4 new_height new_width"]:
    """Bilinear with antialiasing; pixels count for the colour as much as they are opaque, so that borders stay clean."""
    rgb, alpha = pictures.split([3, 1], dim=1)
    weighed = torch.cat([rgb * alpha, rgb, alpha], dim=1)
    resized = F.interpolate(weighed, size=size, mode="bilinear", antialias=True, align_corners=False)
    opaque, anyway, alpha = resized.split([3, 3, 1], dim=1)
    return torch.cat([torch.where(alpha > 1e-3, opaque / alpha.clamp(min=1e-3), anyway), alpha], dim=1).clamp(0, 1)


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        path for path in folder.iterdir() if path.suffix.lower() in (".png", ".jpg", ".jpeg") and path.stem.isdigit()
    )
