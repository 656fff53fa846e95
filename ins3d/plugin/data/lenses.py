"""What a transforms.json says of its lenses; what it leaves out follows from the rest, or from the pictures."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from nerfstudio.cameras.cameras import CAMERA_MODEL_TO_TYPE

from ins3d.files.pictures import look_at
from ins3d.plugin.data.shots import Shot

LENS = ("fl_x", "fl_y", "cx", "cy", "w", "h")
DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")


@dataclass
class SceneLenses:
    """Those of a file's pictures. Raises ValueError or FileNotFoundError, naming `data`, for what no lens can be."""

    file: Path
    shots: Sequence[Shot]

    @cached_property
    def camera_model(self) -> str:
        """One for all pictures."""
        models = sorted({_model_of(shot) for shot in self.shots})
        unknown = next((model for model in models if model not in CAMERA_MODEL_TO_TYPE), None)
        if unknown is not None:
            raise ValueError(
                f"data: {self.file} has camera_model {unknown}; use one of {', '.join(CAMERA_MODEL_TO_TYPE)}, or undistort "
                "the pictures."
            )
        if len({CAMERA_MODEL_TO_TYPE[model] for model in models}) > 1:
            raise ValueError(
                f"data: {self.file} has pictures of camera_model {' and '.join(models)}, which are not learned from "
                "together; make a scene of each, or undistort the pictures."
            )
        return models[0]

    def of(self, shot: Shot) -> dict[str, Any]:
        """Focal lengths, principal point and size in pixels, and the distortion."""
        told = {name: self._number(shot, name) for name in LENS}
        width, height = self._size(shot, told["w"], told["h"])
        if self.camera_model == "EQUIRECTANGULAR":  # all around: what the host takes for focal lengths
            across, down = told["fl_x"] or width / 2, told["fl_y"] or float(height)
        else:
            across, down = self._focal(shot, told["fl_x"], "x", width), self._focal(shot, told["fl_y"], "y", height)
        across, down = across or down, down or across
        if across is None or down is None:
            raise ValueError(
                f"data: {self.file} does not say the focal length (fl_x in pixels, or camera_angle_x); add it, or run "
                "ns-process-data again."
            )
        if all(0 < (told[name] or 0) <= 1 for name in ("cx", "cy")) and min(width, height) > 16:
            raise ValueError(
                f"data: {self.file} says that cx, cy are {told['cx']:g}, {told['cy']:g} of {width}x{height} pixels; they "
                "are told in pixels: multiply fl_x and cx by the width, fl_y and cy by the height."
            )
        middle = [half if told[name] is None else told[name] for name, half in (("cx", width / 2), ("cy", height / 2))]
        return dict(zip(LENS, (across, down, *middle, width, height), strict=True)) | self._distortion(shot)

    def _size(self, shot: Shot, width: float | None, height: float | None) -> tuple[int, int]:
        if width is None or height is None:
            there = next((each.path for each in (shot, *self.shots) if each.path.is_file()), None)
            if there is None:
                raise FileNotFoundError(f"data: none of the pictures of {self.file} is there (the first is {shot.path}).")
            width, height = look_at(there, "data").seen_size
        size = round(width), round(height)
        if min(size) < 1:
            raise ValueError(
                f"data: {self.file} says that pictures have {size[0]}x{size[1]} pixels; correct w and h, or take them out."
            )
        return size

    def _distortion(self, shot: Shot) -> dict[str, Any]:
        given = shot.says.get("distortion_params")
        if given is None:
            return {name: self._number(shot, name) or 0.0 for name in DISTORTION}
        if np.shape(given) != (len(DISTORTION),):
            raise ValueError(
                f"data: {self.file} has distortion_params {given}, and {len(DISTORTION)} numbers are read "
                f"({', '.join(DISTORTION)}); give each by its name, k1 = ..., instead."
            )
        return {"distortion_params": given}

    def _focal(self, shot: Shot, told: float | None, axis: str, side: int) -> float | None:
        """In pixels, as told or by the angle of view; None where neither is told."""
        angle = self._number(shot, f"camera_angle_{axis}", f"fov_{axis}") if told is None else None
        if told is not None and told <= 0:
            raise ValueError(f"data: {self.file} says that fl_{axis} is {told:g}; a focal length is above 0 (pixels).")
        if angle is not None and not 0 < angle < math.pi:
            raise ValueError(
                f"data: {self.file} says that camera_angle_{axis} is {angle:.4g}; it is told in radians, between 0 and "
                f"{math.pi:.3f} (a number of degrees is fov_{axis})."
            )
        return told if angle is None else side / 2 / math.tan(angle / 2)

    def _number(self, shot: Shot, name: str, degrees: str = "") -> float | None:
        """A number above all frames or of one, in whatever form; under another name it is in degrees."""
        value, unit = shot.says.get(name), 1.0
        if value is None and degrees:
            value, unit = shot.says.get(degrees), math.pi / 180
        if value is None:
            return None
        try:
            number = unit * float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise ValueError(f"data: {self.file} says that {name} is {value!r}, which is no number; correct it.")
        return number


def _model_of(shot: Shot) -> str:
    return str(shot.says.get("camera_model") or ("OPENCV_FISHEYE" if shot.says.get("is_fisheye") else "OPENCV")).upper()
