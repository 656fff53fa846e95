"""Reads a transforms.json, whoever wrote it, into one that says all that the host asks for, of every frame."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from json import loads
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from nerfstudio.cameras.cameras import CAMERA_MODEL_TO_TYPE
from nerfstudio.data.dataparsers.nerfstudio_dataparser import MAX_AUTO_RESOLUTION

from ins3d.files.foreign import find_file, read_text
from ins3d.files.pictures import SUFFIXES, look_at
from ins3d.plugin.data.faults import spared

FEWEST_PICTURES = 3
FAR = 20.0
"""A camera this many times as far from the others' middle as they usually are is in the wrong place."""
LENS = ("fl_x", "fl_y", "cx", "cy", "w", "h")
DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")
SPLITS = ("train", "val", "test")
KEPT = ("orientation_override", "applied_transform", "applied_scale", "fisheye_crop_radius")
"""What the host is told as the file says it."""
OLD_APPLIED = [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, -1, 0]]
"""What the host takes for granted of scenes that an early ns-process-data made."""


@dataclass
class Shot:
    """A picture as the file has it."""

    told: str
    path: Path
    """Where it is, or where it would be."""
    frame: dict[str, Any]
    pose: Float[np.ndarray, "4 4"] | None
    """None: not one."""


@dataclass
class SceneFile:
    """A transforms.json and what lies beside it. Raises ValueError or FileNotFoundError, naming `data`."""

    data: Path
    """The file, or its folder."""
    downscale_factor: int | None
    """Of the pictures that are looked for; None: the host's rule (no side above 1600, if there are such pictures)."""
    notes: list[str] = field(default_factory=list)
    """What a user should know."""

    @property
    def path(self) -> Path:
        """The file."""
        return self.data if self.data.suffix.lower() == ".json" else self.data / "transforms.json"

    @property
    def folder(self) -> Path:
        """Where its paths begin."""
        return self.path.parent

    @cached_property
    def contents(self) -> dict[str, Any]:
        """As the file has them."""
        if not self.path.is_file():
            raise FileNotFoundError(
                f"data: {self.path} does not exist; give a folder that ns-process-data made, or name the kind of data after "
                "all other options (blender-data, ...)."
            )
        try:
            contents = loads(read_text(self.path))
            number = len([frame["file_path"] for frame in contents["frames"]])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"data: {self.path} is not a nerfstudio transforms file ({error!r}); run ns-process-data again."
            ) from error
        if number < FEWEST_PICTURES:
            raise ValueError(f"data: {self.path} lists {number} pictures; at least {FEWEST_PICTURES} are needed.")
        return contents

    @cached_property
    def shots(self) -> list[Shot]:
        """All pictures that have a place, whether their files are there or not."""
        shots = [self._shot(frame) for frame in self.contents["frames"]]
        whole = [shot for shot in shots if shot.pose is not None]
        places = np.array([shot.pose[:3, 3] for shot in whole if shot.pose is not None]).reshape(-1, 3)
        faults = {shot.told: "has no transform_matrix of 4x4 finite numbers" for shot in shots if shot.pose is None}
        if len(whole):
            away = np.linalg.norm(places - np.median(places, axis=0), axis=1)
            if away.max() <= 1e-9 * max(np.abs(places).max(), 1e-9):
                raise ValueError(
                    f"data: all cameras of {self.path} stand in one place, so nothing shows how far away the scene is; "
                    "walk around while taking pictures, or check transform_matrix."
                )
            far = away > FAR * np.median(away)
            faults |= {
                whole[index].told: f"has a camera {away[index] / np.median(away):.0f} times as far away as the others"
                for index in np.flatnonzero(far) if np.median(away) > 0
            }  # fmt: skip
        spared(faults, len(shots), f"data: of {self.path}", self.notes)
        return [shot for shot in shots if shot.told not in faults]

    @cached_property
    def level(self) -> int:
        """By how much the pictures that are there are smaller than those that the file names."""
        if self.downscale_factor is not None:
            return self.downscale_factor if self._has_level(self.downscale_factor) else 1
        size = next((look_at(shot.path, "data").size for shot in self.shots if shot.path.is_file()), (0, 0))
        level = 1
        while max(size) / level > MAX_AUTO_RESOLUTION and self._has_level(2 * level):
            level *= 2
        return level

    @property
    def shrink(self) -> int:
        """By how much pictures are still to be reduced, because those of the wanted size are not there."""
        return 1 if self.downscale_factor is None or self._has_level(self.downscale_factor) else self.downscale_factor

    def _has_level(self, level: int) -> bool:
        return level == 1 or any(self._at_level(shot, level).is_file() for shot in self.shots)

    def _at_level(self, shot: Shot, level: int) -> Path:
        """A smaller picture: by its own name, as the host has it, or in folders like its own, where names are not enough."""
        if level == 1:
            return shot.path
        smaller = self.folder / f"images_{level}"
        inside = shot.path.relative_to(self.folder).parts[1:] if shot.path.is_relative_to(self.folder) else ()
        nested = smaller.joinpath(*inside) if inside else smaller / shot.path.name
        return nested if nested.is_file() or not self._names_are_enough else smaller / shot.path.name

    @cached_property
    def _names_are_enough(self) -> bool:
        return len({shot.path.name for shot in self.shots}) == len(self.shots)

    def meta(self) -> tuple[dict[str, Any], dict[Path, Path]]:
        """(what the host is told; the masks of those pictures that have one)."""
        contents, masks = self.contents, {}
        frames, names = [], {}
        for shot in self.shots:
            path = self._at_level(shot, self.level)
            names[shot.path] = str(path)
            assert shot.pose is not None
            frames.append({"file_path": str(path), "transform_matrix": shot.pose.tolist(), **self._lens(shot)})
            if told := self._told(shot.frame, "mask_path"):
                masks[path] = self._mask(str(told))
        meta = {name: contents[name] for name in KEPT if name in contents}
        if "applied_transform" not in meta and (self.data / "colmap/sparse/0").exists():
            meta["applied_transform"] = OLD_APPLIED
        if points := contents.get("ply_file_path"):
            meta["ply_file_path"] = str(find_file(self.folder, points) or self.folder / points)
        return meta | self._camera_model() | self._splits(names) | {"frames": frames}, masks

    def _told(self, frame: dict[str, Any], name: str) -> Any:
        return frame.get(name, self.contents.get(name))

    def _shot(self, frame: dict[str, Any]) -> Shot:
        told = str(frame["file_path"])
        path = find_file(self.folder, told, SUFFIXES) or self.folder / told
        return Shot(told, path, frame, _pose(frame.get("transform_matrix")))

    def _mask(self, told: str) -> Path:
        found = find_file(self.folder, told, SUFFIXES) or self.folder / told
        smaller = self.folder / f"masks_{self.level}" / found.name
        return smaller if self.level > 1 and smaller.is_file() else found

    def _camera_model(self) -> dict[str, str]:
        frame = self.shots[0].frame
        told = self._told(frame, "camera_model") or ("OPENCV_FISHEYE" if self._told(frame, "is_fisheye") else "OPENCV")
        model = str(told).upper()
        if model not in CAMERA_MODEL_TO_TYPE:
            raise ValueError(
                f"data: {self.path} has camera_model {told}; use one of {', '.join(CAMERA_MODEL_TO_TYPE)}, or undistort the "
                "pictures."
            )
        return {"camera_model": model}

    def _lens(self, shot: Shot) -> dict[str, Any]:
        """Focal lengths, principal point and size in pixels; what is not told follows from the rest, or from the picture."""
        told = {name: self._number(shot, name) for name in LENS}
        if told["w"] is None or told["h"] is None:
            there = next((each.path for each in (shot, *self.shots) if each.path.is_file()), None)
            if there is None:
                raise FileNotFoundError(f"data: none of the pictures of {self.path} is there (the first is {shot.path}).")
            told["w"], told["h"] = look_at(there, "data").seen_size
        width, height = round(told["w"]), round(told["h"])
        across = _focal(told["fl_x"], self._number(shot, "camera_angle_x", "fov_x"), width)
        down = _focal(told["fl_y"], self._number(shot, "camera_angle_y", "fov_y"), height)
        across, down = across or down, down or across
        if across is None or down is None:
            raise ValueError(
                f"data: {self.path} does not say the focal length (fl_x in pixels, or camera_angle_x); add it, or run "
                "ns-process-data again."
            )
        middle = [half if told[name] is None else told[name] for name, half in (("cx", width / 2), ("cy", height / 2))]
        lens = dict(zip(LENS, (across, down, *middle, width, height), strict=True))
        if (given := self._told(shot.frame, "distortion_params")) is not None:
            return lens | {"distortion_params": given}
        return lens | {name: self._number(shot, name) or 0.0 for name in DISTORTION}

    def _number(self, shot: Shot, name: str, degrees: str = "") -> float | None:
        """A number above all frames or of one, in whatever form; under another name it is in degrees."""
        value, unit = self._told(shot.frame, name), 1.0
        if value is None and degrees:
            value, unit = self._told(shot.frame, degrees), math.pi / 180
        if value is None:
            return None
        try:
            number = unit * float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise ValueError(f"data: {self.path} says that {name} is {value!r}, which is no number; correct it.")
        return number

    def _splits(self, names: dict[Path, str]) -> dict[str, list[str]]:
        """Which pictures are learned from, validated and tested with; nothing where the file says nothing."""
        given = {split: self.contents[f"{split}_filenames"] for split in SPLITS if f"{split}_filenames" in self.contents}
        if not given:
            return {}
        found = {split: [name for name in self._listed(told, names)] for split, told in given.items()}
        empty = next((split for split, told in given.items() if told and not found[split]), None)
        if empty is not None:
            raise ValueError(
                f"data: none of {empty}_filenames in {self.path} is among its frames (the first is {given[empty][0]}); give "
                "them as in file_path, or take the list out."
            )
        held = [name for split in ("val", "test") for name in found.get(split, [])]
        train = found.get("train", [name for name in names.values() if name not in set(held)])
        rest = [name for name in names.values() if name not in set(train)]
        val = found.get("val", found.get("test", rest))
        splits = {"train": train, "val": val, "test": found.get("test", val)}
        if len(given) < len(SPLITS):
            numbers = ", ".join(f"{len(splits[split])} {split}" for split in SPLITS)
            self.notes.append(f"{self.path.name} lists {' and '.join(given)} pictures; taken: {numbers}.")
        return {f"{split}_filenames": chosen for split, chosen in splits.items()}

    def _listed(self, told: list[Any], names: dict[Path, str]) -> Iterator[str]:
        for each in map(str, told):
            found = find_file(self.folder, each, SUFFIXES) or self.folder / each
            if found in names:
                yield names[found]


def _pose(told: Any) -> Float[np.ndarray, "4 4"] | None:
    try:
        matrix = np.asarray(told, float)
    except (TypeError, ValueError):
        return None
    if matrix.shape not in ((3, 4), (4, 4)) or not np.isfinite(matrix).all():
        return None
    return None if abs(np.linalg.det(matrix[:3, :3])) < 1e-9 else np.concatenate([matrix[:3], [[0.0, 0.0, 0.0, 1.0]]])


def _focal(told: float | None, angle: float | None, side: int) -> float | None:
    if told is not None or angle is None:
        return told
    return side / 2 / math.tan(angle / 2)
