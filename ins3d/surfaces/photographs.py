"""Reads folders of photographs with masks and cameras, normalised so that the object lies in the unit ball."""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ins3d.files.pictures import read_picture
from ins3d.meshes.queries import MeshQueries
from ins3d.meshes.triangles import MeshPlacement
from ins3d.placement.posed_pictures import PosedPictures
from ins3d.placement.visual_hull import hull_points
from ins3d.surfaces.camera_files import Frame, decompose, nerfstudio_frame, shrunk_by
from ins3d.surfaces.cameras import ObjectCameras, UpAxis, cameras_around

IDR, NERFSTUDIO = "cameras_sphere.npz", ("transforms.json", "transforms_train.json")
EXAMPLE_VIEWS, EXAMPLE_SIZE = 24, 200


@dataclass(frozen=True)
class ObjectPictures:
    """Pictures of one size, what of them is the object, and their cameras in the ball."""

    pictures: Float[Tensor, "cameras 4 height width"]
    """RGB in [0, 1] and the share of the pixel that the object covers."""
    cameras: ObjectCameras
    placement: MeshPlacement
    up: UpAxis = "y"
    """Of the cameras' world, as far as the kind of file tells."""

    def split(self, every: int) -> tuple["ObjectPictures", "ObjectPictures"]:
        """(to learn from, held out): every `every`-th picture is held out; with 0, none."""
        number = len(self.pictures)
        held = [index for index in range(number) if every and index % every == every // 2]
        return self._of([index for index in range(number) if index not in held]), self._of(held)

    def _of(self, which: list[int]) -> "ObjectPictures":
        return replace(self, pictures=self.pictures[which], cameras=self.cameras[which])

    def to(self, device: torch.device) -> "ObjectPictures":
        """On another device."""
        return replace(self, pictures=self.pictures.to(device), cameras=self.cameras.to(device))


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
        read = {name: np.asarray(values, float) for name, values in dict(np.load(folder / IDR)).items()}
        cameras = {name: values for name, values in read.items() if values.shape == (4, 4)}
        numbers = sorted(int(name.removeprefix("world_mat_")) for name in cameras if re.fullmatch(r"world_mat_\d+", name))
        numbers = [number for number in numbers if f"scale_mat_{number}" in cameras]
        scale = cameras[f"scale_mat_{numbers[0]}"]
    except (OSError, EOFError, BadZipFile, ValueError, TypeError, IndexError) as error:
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
        projection = (cameras[f"world_mat_{number}"] @ cameras[f"scale_mat_{number}"])[:3]
        intrinsics, pose = decompose(projection, pictures[number])
        frames.append(Frame(pictures[number], masks[number], pose, intrinsics))
    if not np.isfinite(scale).all() or scale[0, 0] <= 0:
        raise ValueError(f"images: scale_mat in {folder / IDR} is none (not finite, or without size); give IDR's own file.")
    placement = MeshPlacement(tuple(scale[:3, 3].tolist()), float(scale[0, 0]))
    return ObjectPictures(*_read_frames(frames, long_side, shrunk=True), placement)


def _read_nerfstudio(path: Path, long_side: int | None) -> ObjectPictures:
    remedy = "make it with ns-process-data, or give IDR's files."
    try:
        contents = json.loads(path.read_text())
        frames = [nerfstudio_frame(path.parent, contents, frame) for frame in contents["frames"]]
    except KeyError as error:
        raise ValueError(f"images: {path} lacks {error}; {remedy}") from error
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"images: {path} is no file of cameras; {remedy}") from error
    if not frames:
        raise ValueError(f"images: {path} lists no pictures; {remedy}")
    pictures, cameras = _read_frames(frames, long_side)
    small = PosedPictures(pictures, cameras.camera_to_world, cameras.intrinsics)
    points = hull_points(small).double().numpy()
    if len(points) < 8:
        raise ValueError(f"images: the silhouettes of {path.parent} have no place in common; check masks and cameras.")
    placement = MeshPlacement.of(points)
    poses = cameras.camera_to_world.clone()
    poses[:, :, 3] = (poses[:, :, 3] - torch.tensor(placement.center)) / placement.scale
    placed = ObjectCameras(poses, cameras.intrinsics, cameras.height, cameras.width)
    return ObjectPictures(pictures, placed, placement, "z")


def _read_frames(
    frames: list[Frame], long_side: int | None, shrunk: bool = False
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
    if not bool((stacked[:, 3] > 0.5).any()):
        where = (frames[0].mask or frames[0].picture).parent
        raise ValueError(f"images: no mask in {where} shows anything; the object must be white, or opaque, in them.")
    if long_side is None or long_side == max(height, width):
        return stacked, cameras
    cameras = cameras.resized(long_side)
    return resize_masked(stacked, (cameras.height, cameras.width)), cameras


def _read_frame(frame: Frame) -> Float[Tensor, "4 height width"]:
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
    return sorted(
        path for path in folder.glob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg") and path.stem.isdigit()
    )
