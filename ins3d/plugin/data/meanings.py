"""What is meant by what stands in for a matrix, or for the folder of a scene."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

RIGHT_ANGLED = 0.9
"""Determinant of unit axes below which they are none of a camera; 1 at right angles."""


def read_matrix(told: Any) -> Float[np.ndarray, "3 4"] | None:
    """Of 4x4 or 3x4 numbers, in rows or in one list; None where it is no such."""
    try:
        matrix = np.asarray(told, float)
    except (TypeError, ValueError):
        return None
    if matrix.shape in ((12,), (16,)):
        matrix = matrix.reshape(-1, 4)
    return matrix[:3] if matrix.shape in ((3, 4), (4, 4)) and np.isfinite(matrix).all() else None


def read_pose(told: Any) -> Float[np.ndarray, "4 4"] | str:
    """A camera's place and axes, without a scale; or what is wrong with it, as a predicate.

    >>> read_pose([[2, 0, 0, 5], [0, 2, 0, 6], [0, 0, 2, 7]])[0].tolist()
    [1.0, 0.0, 0.0, 5.0]
    """
    matrix = read_matrix(told)
    if matrix is None:
        return "has no transform_matrix of 4x4 finite numbers"
    axes = matrix[:, :3] / np.maximum(np.linalg.norm(matrix[:, :3], axis=0), 1e-30)  # an object's scale is no camera's
    turn = np.linalg.det(axes)
    if turn < -RIGHT_ANGLED:
        return "has a transform_matrix that mirrors (its determinant is negative; turn the sign of its first column)"
    if turn < RIGHT_ANGLED:
        return "has a transform_matrix whose axes do not stand at right angles"
    return np.block([[axes, matrix[:, 3:]], [np.zeros((1, 3)), np.ones((1, 1))]])


def instead_of(folder: Path) -> str:
    """What to give in place of a folder without transforms.json, by what lies there."""
    if folder.is_dir():
        below = next((path.parent for path in sorted(folder.glob("*/transforms.json"))), None)
        if below is not None or (folder.parent / "transforms.json").is_file():
            return f"give {below or folder.parent}, where there is one."
        if (folder / "transforms_train.json").is_file():
            return "name the kind of data after all other options: blender-data."
        if any((folder / place).is_dir() for place in ("sparse", "colmap/sparse")):
            return "name the kind of data after all other options: colmap."
    elif folder.suffix.lower() == ".zip":
        return "unpack it, and give the folder."
    return "give a folder that ns-process-data made, or name the kind of data after all other options (blender-data, ...)."
