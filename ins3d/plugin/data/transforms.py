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
from ins3d.plugin.data.meanings import instead_of, read_pose

FEWEST_PICTURES = 3
FAR = 20.0
"""A camera this many times as far from the others' middle as they usually are is in the wrong place."""
LENS = ("fl_x", "fl_y", "cx", "cy", "w", "h")
DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")
ORIENTATIONS = ("pca", "up", "vertical", "none")
"""What the host can do with a scene's axes."""
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
            raise FileNotFoundError(f"data: {self.path} does not exist; {instead_of(self.folder)}")
        try:
            contents = loads(read_text(self.path))
            number = len([frame["file_path"] for frame in contents["frames"]])
        except (ValueError, KeyError, TypeError) as error:
            what = f"{type(error).__name__}: {error}"
            raise ValueError(
                f"data: {self.path} is not a nerfstudio transforms file ({what}); run ns-process-data again."
            ) from (error)
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
        meta = {name: contents[name] for name in KEPT if contents.get(name) is not None}
        if "applied_transform" in meta:
            if read_pose(meta["applied_transform"]) is None:
                raise ValueError(
                    f"data: applied_transform of {self.path} is no matrix of 3x4 numbers; correct it, or take it out."
                )
            meta["applied_transform"] = np.asarray(meta["applied_transform"], float).reshape(-1, 4)[:3].tolist()
        if (override := meta.get("orientation_override", "none")) not in ORIENTATIONS:
            raise ValueError(
                f"data: orientation_override of {self.path} is {override}; use one of {', '.join(ORIENTATIONS)}."
            )
        if "applied_transform" not in meta and (self.data / "colmap/sparse/0").exists():
            meta["applied_transform"] = OLD_APPLIED
        if points := contents.get("ply_file_path"):
            meta["ply_file_path"] = str(find_file(self.folder, str(points)) or self.folder / str(points))
        return meta | {"camera_model": self._camera_model} | self._splits(names) | {"frames": frames}, masks

    def _told(self, frame: dict[str, Any], name: str) -> Any:
        return self.contents.get(name) if frame.get(name) is None else frame[name]

    def _shot(self, frame: dict[str, Any]) -> Shot:
        told = str(frame["file_path"])
        path = find_file(self.folder, told, SUFFIXES) or self.folder / told
        return Shot(told, path, frame, read_pose(frame.get("transform_matrix")))

    def _mask(self, told: str) -> Path:
        found = find_file(self.folder, told, SUFFIXES) or self.folder / told
        smaller = self.folder / f"masks_{self.level}" / found.name
        return smaller if self.level > 1 and smaller.is_file() else found

    @cached_property
    def _camera_model(self) -> str:
        models = sorted({self._model_of(shot) for shot in self.shots})
        unknown = next((model for model in models if model not in CAMERA_MODEL_TO_TYPE), None)
        if unknown is not None:
            raise ValueError(
                f"data: {self.path} has camera_model {unknown}; use one of {', '.join(CAMERA_MODEL_TO_TYPE)}, or undistort "
                "the pictures."
            )
        if len({CAMERA_MODEL_TO_TYPE[model] for model in models}) > 1:
            raise ValueError(
                f"data: {self.path} has pictures of camera_model {' and '.join(models)}, which are not learned from "
                "together; make a scene of each, or undistort the pictures."
            )
        return models[0]

    def _model_of(self, shot: Shot) -> str:
        fisheye = self._told(shot.frame, "is_fisheye")
        return str(self._told(shot.frame, "camera_model") or ("OPENCV_FISHEYE" if fisheye else "OPENCV")).upper()

    def _lens(self, shot: Shot) -> dict[str, Any]:
        """Focal lengths, principal point and size in pixels; what is not told follows from the rest, or from the picture."""
        told = {name: self._number(shot, name) for name in LENS}
        if told["w"] is None or told["h"] is None:
            there = next((each.path for each in (shot, *self.shots) if each.path.is_file()), None)
            if there is None:
                raise FileNotFoundError(f"data: none of the pictures of {self.path} is there (the first is {shot.path}).")
            told["w"], told["h"] = look_at(there, "data").seen_size
        width, height = round(told["w"]), round(told["h"])
        if min(width, height) < 1:
            raise ValueError(
                f"data: {self.path} says that pictures have {width}x{height} pixels; correct w and h, or take them out."
            )
        if self._camera_model == "EQUIRECTANGULAR":  # all around: what the host takes for focal lengths
            across, down = told["fl_x"] or width / 2, told["fl_y"] or float(height)
        else:
            across, down = self._focal(shot, told["fl_x"], "x", width), self._focal(shot, told["fl_y"], "y", height)
        across, down = across or down, down or across
        if across is None or down is None:
            raise ValueError(
                f"data: {self.path} does not say the focal length (fl_x in pixels, or camera_angle_x); add it, or run "
                "ns-process-data again."
            )
        if all(0 < (told[name] or 0) <= 1 for name in ("cx", "cy")) and min(width, height) > 16:
            raise ValueError(
                f"data: {self.path} says that cx, cy are {told['cx']:g}, {told['cy']:g} of {width}x{height} pixels; they "
                "are told in pixels: multiply fl_x and cx by the width, fl_y and cy by the height."
            )
        middle = [half if told[name] is None else told[name] for name, half in (("cx", width / 2), ("cy", height / 2))]
        lens = dict(zip(LENS, (across, down, *middle, width, height), strict=True))
        if (given := self._told(shot.frame, "distortion_params")) is not None:
            if np.shape(given) != (len(DISTORTION),):
                raise ValueError(
                    f"data: {self.path} has distortion_params {given}, and {len(DISTORTION)} numbers are read "
                    f"({', '.join(DISTORTION)}); give each by its name, k1 = ..., instead."
                )
            return lens | {"distortion_params": given}
        return lens | {name: self._number(shot, name) or 0.0 for name in DISTORTION}

    def _focal(self, shot: Shot, told: float | None, axis: str, side: int) -> float | None:
        """In pixels, as told or by the angle of view; None where neither is told."""
        angle = self._number(shot, f"camera_angle_{axis}", f"fov_{axis}") if told is None else None
        if told is not None and told <= 0:
            raise ValueError(f"data: {self.path} says that fl_{axis} is {told:g}; a focal length is above 0 (pixels).")
        if angle is not None and not 0 < angle < math.pi:
            raise ValueError(
                f"data: {self.path} says that camera_angle_{axis} is {angle:.4g}; it is told in radians, between 0 and "
                f"{math.pi:.3f} (a number of degrees is fov_{axis})."
            )
        return told if angle is None else side / 2 / math.tan(angle / 2)

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
        told = {split: self.contents.get(f"{split}_filenames") for split in SPLITS}
        given = {split: names for split, names in told.items() if names or (names is not None and split != "train")}
        if not given:
            return {}
        found = {split: list(dict.fromkeys(self._listed(told, names))) for split, told in given.items()}
        empty = next((split for split, told in given.items() if told and not found[split]), None)
        if empty is not None:
            raise ValueError(
                f"data: none of {empty}_filenames in {self.path} is among its frames (the first is {given[empty][0]}); give "
                "them as in file_path, or take the list out."
            )
        held = [name for split in ("val", "test") for name in found.get(split, [])]
        train = found.get("train", [name for name in names.values() if name not in set(held)])
        if not train:
            lists = " and ".join(f"{split}_filenames" for split in given)
            raise ValueError(f"data: {lists} of {self.path} leave nothing to learn from; take some pictures out of them.")
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
