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

from ins3d.files.foreign import read_text
from ins3d.files.masks import read_mask
from ins3d.files.orientation import fitting_orientation
from ins3d.files.pictures import StoredPicture, look_at, picture_files, read_pixels
from ins3d.files.sequences import natural
from ins3d.meshes.queries import MeshQueries
from ins3d.meshes.triangles import MeshPlacement
from ins3d.placement.cameras import ObjectCameras, UpAxis, cameras_around
from ins3d.placement.posed_pictures import PosedPictures
from ins3d.placement.visual_hull import hull_points
from ins3d.surfaces.camera_files import Frame, decompose, nerfstudio_frame, paired, shrunk_by

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
    notes: tuple[str, ...] = ()
    """What a user should know of the files."""

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
    pictures, masks, notes = _idr_files(folder, numbers)
    frames = []
    for number in sorted(pictures):
        projection = (cameras[f"world_mat_{number}"] @ cameras[f"scale_mat_{number}"])[:3]
        intrinsics, pose = decompose(projection, pictures[number])
        frames.append(Frame(pictures[number], masks[number], pose, intrinsics))
    if not np.isfinite(scale).all() or scale[0, 0] <= 0:
        raise ValueError(f"images: scale_mat in {folder / IDR} is none (not finite, or without size); give IDR's own file.")
    placement = MeshPlacement(tuple(scale[:3, 3].tolist()), float(scale[0, 0]))
    return ObjectPictures(*_read_frames(frames, long_side, shrunk=True), placement, notes=notes)


def _idr_files(folder: Path, numbers: list[int]) -> tuple[dict[int, Path], dict[int, Path], tuple[str, ...]]:
    """(pictures, masks, notes), by the numbers of their cameras."""
    files, masks = (_pictures(folder / name) for name in ("image", "mask"))
    remedy = "name pictures, masks and cameras by the same numbers."
    if not files:
        raise FileNotFoundError(f"images: {folder / 'image'} holds no pictures; {remedy}")
    if not masks:
        raise FileNotFoundError(f"images: {folder / 'mask'} holds no masks; put one for each picture there, of its name.")
    found = paired(files, numbers)
    if not found:
        raise FileNotFoundError(
            f"images: {len(files)} pictures ({files[0].name} to {files[-1].name}) and {len(numbers)} cameras "
            f"({numbers[0]} to {numbers[-1]}) do not fit together; {remedy}"
        )
    own, shown = _own_numbers(files), {number: mask for mask, number in _own_numbers(masks).items()}
    of_picture = {number: shown.get(own.get(file, -1)) for number, file in found.items()}
    if None in of_picture.values():
        of_picture |= paired(masks, sorted(found))
    lacking = [number for number in found if of_picture.get(number) is None]
    if lacking:
        raise FileNotFoundError(f"images: picture {lacking[0]} has no mask or camera; {remedy}")
    first, last = min(found), max(found)
    notes = () if own.get(found[first], first) == first else (
        f"Pictures {found[first].name} to {found[last].name} belong to cameras {first} to {last}, in their order.",
    )  # fmt: skip
    return found, {number: mask for number, mask in of_picture.items() if mask is not None}, notes


def _own_numbers(files: list[Path]) -> dict[Path, int]:
    return {file: int(end[1]) for file in files if (end := re.search(r"(\d+)$", file.stem))}


def _read_nerfstudio(path: Path, long_side: int | None) -> ObjectPictures:
    remedy = "make it with ns-process-data, or give IDR's files."
    try:
        contents = json.loads(read_text(path))
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
    _check_masks(stacked[:, 3], (frames[0].mask or frames[0].picture).parent)
    if long_side is None or long_side == max(height, width):
        return stacked, cameras
    cameras = cameras.resized(long_side)
    return resize_masked(stacked, (cameras.height, cameras.width)), cameras


def _check_masks(shown: Float[Tensor, "cameras height width"], where: Path) -> None:
    """Refuses masks that say nothing, or the opposite."""
    if float(shown.mean()) > 0.999:
        raise ValueError(
            f"images: the masks in {where} are white everywhere, and do not say which part is the object; make some that do."
        )
    height, width = shown.shape[1:]
    middle = shown[:, height // 4 : height - height // 4, width // 4 : width - width // 4].mean((1, 2))
    border = torch.cat([shown[:, 0], shown[:, -1], shown[:, :, 0], shown[:, :, -1]], dim=1).mean(1)
    outside = int((border > middle + 0.2).sum())
    if outside > 0.8 * len(shown):
        raise ValueError(
            f"images: the masks in {where} are white along the borders, and darker in the middle, of {outside} of "
            f"{len(shown)} pictures, as if what is around the object were shown; it must be white itself: invert them."
        )


def _read_frame(frame: Frame) -> Float[Tensor, "4 height width"]:
    stored = _stored(frame.picture)
    mask = None if frame.mask is None else _stored(frame.mask)
    like = frame.size or (None if mask is None else mask.size)
    tag = stored.orientation if like is None else fitting_orientation(stored, like)
    values = read_pixels(frame.picture, "images", orientation=tag)
    height, width = values.shape[:2]
    if frame.mask is None or mask is None:
        if values.shape[2] == 4:
            return torch.from_numpy(values).permute(2, 0, 1).float() / 255
        raise ValueError(
            f"images: {frame.picture} has no mask and no transparency; say in mask_path which part is the object, or save "
            "pictures with alpha."
        )
    turn = fitting_orientation(mask, (width, height), (tag or 1,))
    if turn is None:
        raise ValueError(
            f"images: {frame.mask} is of another shape than {frame.picture} ({mask.size[0]}x{mask.size[1]} and "
            f"{width}x{height}); make masks of the pictures' shape."
        )
    alpha = torch.from_numpy(read_mask(frame.mask, "images", (width, height), turn))[None].float()
    return torch.cat([torch.from_numpy(values[..., :3]).permute(2, 0, 1).float() / 255, alpha])


def _stored(path: Path) -> StoredPicture:
    if not path.is_file():
        raise FileNotFoundError(f"images: {path} is missing; put it there, or take it out of the cameras' file.")
    return look_at(path, "images")


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
    return sorted(picture_files(folder), key=lambda file: natural(file.name)) if folder.is_dir() else []
