"""Pictures, masks and cameras of a scene compared, before a step is taken: each camera becomes its picture's."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from copy import copy, deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs

from ins3d.files.orientation import Size, fitting_orientation
from ins3d.files.pictures import SIDEWAYS, look_at, turned_size
from ins3d.plugin.data.faults import spared
from ins3d.plugin.data.folds import check_folds

ORIENTATIONS, MASK_ORIENTATIONS = "orientations", "mask_orientations"
"""In the outputs' metadata: what is taken for the orientation tag of each picture, and of each mask."""


@dataclass(frozen=True)
class Agreement:
    """How a picture is read so that it is its camera's."""

    camera: Size
    """Of the camera, as it was told."""
    size: Size
    """Of the picture, turned as it will be."""
    orientation: int = 1
    tag: int = 1
    mask_orientation: int = 1


def agreed(outputs: DataparserOutputs, split: str, fewest: int, level: int, notes: list[str]) -> DataparserOutputs:
    """Outputs with cameras of their pictures' sizes, without those whose files are missing or cannot be used.

    `level` is by how much pictures are smaller than cameras with everybody's knowledge. What a user should know is added to
    `notes`. Raises ValueError, naming `data`, where too little is left.
    """
    if not outputs.image_filenames:
        return outputs
    outputs = _existing(outputs, split, fewest, notes)
    paths = [Path(path) for path in outputs.image_filenames]
    masks = list(outputs.mask_filenames or [None] * len(paths))
    cameras = [(int(w), int(h)) for w, h in zip(outputs.cameras.width, outputs.cameras.height, strict=True)]
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(_looked_at, paths, masks, cameras))
    mirrored = torch.linalg.det(outputs.cameras.camera_to_worlds[:, :, :3]) < 0  # whichever file they came from
    found = ["has a camera whose axes mirror" if wrong else each for wrong, each in zip(mirrored, found, strict=True)]
    names = [path.name for path in paths]
    names = names if len(set(names)) == len(names) else list(map(str, paths))
    faults = {name: each for name, each in zip(names, found, strict=True) if isinstance(each, str)}
    spared(faults, len(paths), f"data: of the {split} pictures", notes)
    there = [index for index, each in enumerate(found) if not isinstance(each, str)]
    _check_number(len(there), len(paths), split, fewest, paths[0], "cannot be used")
    ways = _same_way([each for each in found if not isinstance(each, str)])
    outputs = _chosen(outputs, there) if faults else copy(outputs)
    outputs.cameras = _fitted(outputs.cameras, ways)
    if split == "training":
        _say_sizes(ways, level, notes)
        check_folds(outputs.cameras, Path(outputs.image_filenames[0]), notes)
    outputs.metadata = outputs.metadata | {
        ORIENTATIONS: [way.orientation for way in ways], MASK_ORIENTATIONS: [way.mask_orientation for way in ways]
    }  # fmt: skip
    return outputs


def _existing(outputs: DataparserOutputs, split: str, fewest: int, notes: list[str]) -> DataparserOutputs:
    """Skips pictures whose files are gone, says how many, and refuses when too few are left."""
    number = len(outputs.image_filenames)
    there = [index for index, path in enumerate(outputs.image_filenames) if Path(path).is_file()]
    if len(there) == number:
        return outputs
    gone = next(path for path in outputs.image_filenames if not Path(path).is_file())
    _check_number(len(there), number, split, fewest, gone, "are missing")
    notes.append(f"Skipped {number - len(there)} {split} pictures whose files are missing (the first is {gone}).")
    return _chosen(outputs, there)


def _check_number(left: int, number: int, split: str, fewest: int, first: Path, what: str) -> None:
    if left < fewest and left < number:
        raise ValueError(
            f"data: {number - left} of {number} {split} pictures {what} (the first is {first}), {left} are left; at least "
            f"{fewest} are needed: restore them or process the scene again."
        )


def _chosen(outputs: DataparserOutputs, which: list[int]) -> DataparserOutputs:
    outputs = copy(outputs)
    outputs.image_filenames = [outputs.image_filenames[index] for index in which]
    if outputs.mask_filenames is not None:
        outputs.mask_filenames = [outputs.mask_filenames[index] for index in which]
    outputs.cameras = outputs.cameras[torch.tensor(which, dtype=torch.long)]
    return outputs


def _looked_at(path: Path, mask: Path | None, camera: Size) -> Agreement | str:
    """How a picture is read, or what is wrong with it or its mask."""
    try:
        stored = look_at(path, "")
        shown = None if mask is None else look_at(mask, "") if mask.is_file() else f"lacks its mask, {mask}"
    except ValueError as error:
        return str(error).removeprefix(": ").removeprefix(f"{path} ")
    if isinstance(shown, str):
        return shown
    tag = fitting_orientation(stored, camera)
    if tag is None:
        told = f" (turned as its orientation tag {stored.orientation} says: {_x(stored.seen_size)})"
        return (
            f"has {_x(stored.size)} pixels{told if stored.orientation >= SIDEWAYS else ''}, and its camera is for "
            f"{_x(camera)}, another shape"
        )
    way = Agreement(camera, turned_size(stored.size, tag), tag, stored.orientation)
    if shown is None:
        return way
    turn = fitting_orientation(shown, way.size, (tag,))
    if turn is None:
        return f"has {_x(way.size)} pixels, and its mask {mask} {_x(shown.size)}, another shape"
    return replace(way, mask_orientation=turn)


def _same_way(ways: list[Agreement]) -> list[Agreement]:
    """Tags that change no shape are followed where the scene's other pictures were turned by theirs."""
    if not any(way.orientation >= SIDEWAYS for way in ways):
        return ways
    return [replace(way, orientation=way.tag) if way.tag < SIDEWAYS or way.size[0] == way.size[1] else way for way in ways]


def _fitted(cameras: Cameras, ways: list[Agreement]) -> Cameras:
    """Cameras of the pictures' sizes; a pixel more or less is a matter of rounding and leaves the lens as it is."""
    fitted = deepcopy(cameras)
    for side, (name, lens) in enumerate((("width", ("fx", "cx")), ("height", ("fy", "cy")))):
        after = torch.tensor([way.size[side] for way in ways], device=cameras.device)[:, None]
        before = getattr(cameras, name)
        factor = torch.where((after - before).abs() <= 1, torch.ones_like(after).double(), after.double() / before)
        setattr(fitted, name, after.to(before.dtype))
        for each in lens:
            setattr(fitted, each, (getattr(cameras, each) * factor).to(cameras.fx.dtype))
    return fitted


def _say_sizes(ways: list[Agreement], level: int, notes: list[str]) -> None:
    scaled = Counter((way.size, way.camera) for way in ways if not _near(way.size, way.camera, (1, level)))
    for (size, camera), number in scaled.most_common(3):
        notes.append(
            f"{number} pictures have {_x(size)} pixels and cameras for {_x(camera)}: the cameras were scaled to the "
            "pictures."
        )
    turned = sum(way.orientation != 1 for way in ways)
    if turned:
        notes.append(f"{turned} pictures are turned as their orientation tag says, which makes them their cameras'.")


def _near(size: Size, camera: Size, levels: tuple[int, ...]) -> bool:
    return any(abs(size[side] - camera[side] / level) <= 1 for level in levels for side in (0, 1))


def _x(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
