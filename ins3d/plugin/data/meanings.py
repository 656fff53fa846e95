"""What is meant by what stands in for a matrix, or for the folder of a scene."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float


def read_pose(told: Any) -> Float[np.ndarray, "4 4"] | None:
    """A camera's place and axes, from 4x4 or 3x4 numbers in rows or in one list, without a scale; None where it is no such.

    >>> read_pose([[2, 0, 0, 5], [0, 2, 0, 6], [0, 0, 2, 7]])[0].tolist()
    [1.0, 0.0, 0.0, 5.0]
    """
    try:
        matrix = np.asarray(told, float)
    except (TypeError, ValueError):
        return None
    if matrix.shape in ((12,), (16,)):
        matrix = matrix.reshape(-1, 4)
    if matrix.shape not in ((3, 4), (4, 4)) or not np.isfinite(matrix).all():
        return None
    axes = matrix[:3, :3] / np.maximum(np.linalg.norm(matrix[:3, :3], axis=0), 1e-30)  # an object's scale is no camera's
    return (
        None if abs(np.linalg.det(axes)) < 1e-3 else np.block([[axes, matrix[:3, 3:]], [np.zeros((1, 3)), np.ones((1, 1))]])
    )


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
