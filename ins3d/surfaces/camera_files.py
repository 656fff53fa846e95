"""Reads one picture's pose, intrinsics and mask from files of cameras: IDR's and nerfstudio's."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float
from torch import Tensor

from ins3d.files.foreign import find_file
from ins3d.files.pictures import SUFFIXES
from ins3d.files.sequences import natural

FLIP = np.diag([1.0, -1.0, -1.0])
"""From cameras that look along +z with y down (IDR) to those that look along -z with y up."""


@dataclass(frozen=True)
class Frame:
    """A picture that has not been read yet."""

    picture: Path
    mask: Path | None
    pose: np.ndarray
    intrinsics: np.ndarray | Callable[[int, int], np.ndarray]
    size: tuple[int, int] | None = None
    """(width, height) for which its camera was made, where that is told."""


def decompose(projection: np.ndarray, picture: Path) -> tuple[np.ndarray, np.ndarray]:
    """(fx, fy, cx, cy; camera to world) of a picture's 3x4 projection."""
    if not np.isfinite(projection).all() or abs(np.linalg.det(projection[:, :3])) < 1e-12:
        raise ValueError(f"images: {picture} has a camera that is none (not finite, or flat); give IDR's own file.")
    matrix, rotation, center = cv2.decomposeProjectionMatrix(projection)[:3]
    matrix = matrix / matrix[2, 2]
    pose = np.concatenate([rotation.T @ FLIP, center[:3] / center[3]], axis=1)
    return np.array([matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]]), pose


def nerfstudio_frame(folder: Path, contents: dict[str, Any], frame: dict[str, Any]) -> Frame:
    """One of the frames of a transforms.json, the `contents`, in a folder.

    Raises KeyError for a missing entry, TypeError for what is no number, ValueError for lenses other than a pinhole.
    """

    def told(name: str) -> Any:
        return frame.get(name, contents.get(name))

    model = str(told("camera_model") or "").upper()
    if any(word in model for word in ("FISHEYE", "EQUIRECTANGULAR", "ORTHO", "OMNI")):
        raise ValueError(f"images: the lens is not a plain one (camera_model is {model}); undistort the pictures first.")
    wrong = [name for name in ("k1", "k2", "k3", "k4", "p1", "p2") if told(name)]
    if wrong:
        raise ValueError(f"images: the lens is distorted ({wrong[0]} is {told(wrong[0])}); undistort the pictures first.")
    path = _file(folder, frame["file_path"])
    mask = _file(folder, frame["mask_path"]) if "mask_path" in frame else None
    pose = _numbers(frame["transform_matrix"])[:3]
    if pose.shape != (3, 4) or not np.isfinite(pose).all() or abs(np.linalg.det(pose[:, :3])) < 1e-12:
        raise TypeError("transform_matrix")
    if told("fl_x") is None:
        slope = np.tan(float(_numbers(contents["camera_angle_x"])) / 2)
        return Frame(path, mask, pose, lambda height, width: np.array([width / 2 / slope] * 2 + [width / 2, height / 2]))
    across, down = (
        _numbers([told(name) or math.nan for name in names]) for names in (("fl_x", "cx", "w"), ("fl_y", "cy", "h"))
    )
    size = None if np.isnan([across[2], down[2]]).any() else (round(across[2]), round(down[2]))
    return Frame(path, mask, pose, lambda height, width: _from_numbers(path, across, down, height, width), size)


def _file(folder: Path, told: str) -> Path:
    return find_file(folder, told, SUFFIXES) or folder / (told if Path(told).suffix else f"{told}.png")


def _numbers(values: Any) -> np.ndarray:
    try:
        return np.asarray(values, float)
    except ValueError as error:  # words, or rows of several lengths
        raise TypeError(values) from error


def paired(files: list[Path], numbers: list[int]) -> dict[int, Path]:
    """Files by the numbers of their cameras, or of whatever they belong to: by the number that their names end with; by
    order where they are as many, without numbers or with consecutive ones that begin elsewhere; empty where neither tells.

    >>> paired([Path("img_8.png"), Path("img_9.png")], [0, 1])
    {0: PosixPath('img_8.png'), 1: PosixPath('img_9.png')}
    """
    ends = [re.search(r"(\d+)$", file.stem) for file in files]
    named = {int(end[1]): file for end, file in zip(ends, files, strict=True) if end}
    if len(named) == len(files) and named.keys() <= set(numbers):
        return named
    in_order = sorted(files, key=lambda file: natural(file.stem))
    consecutive = not named or (len(named) == len(files) and max(named) - min(named) == len(files) - 1)
    return dict(zip(sorted(numbers), in_order, strict=True)) if len(files) == len(numbers) and consecutive else {}


def shrunk_by(intrinsics: Float[Tensor, "cameras 4"], width: int) -> int:
    """How many times smaller pictures are than their cameras say, whose axis goes through their middle, or about so.

    >>> import torch
    >>> shrunk_by(torch.tensor([[2892.0, 2883.0, 823.0, 619.0]]), 400)
    4
    """
    return max(round(float(2 * intrinsics[:, 2].median() / width)), 1)


def _from_numbers(path: Path, across: np.ndarray, down: np.ndarray, height: int, width: int) -> np.ndarray:
    """fx, fy, cx, cy in pixels of a picture as it is. `across` and `down` are (focal length, principal point, size) as the
    file has them, nan where it has none."""
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
