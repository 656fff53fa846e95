"""Reads depth maps: .npy, .npy.gz as ns-render writes it, 16-bit .png, .exr, .tif of floats."""

import gzip
import os
import re
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

ENDINGS = re.compile(r"\.(npy|npy\.gz|png|exr|tiff?)$", re.IGNORECASE)
MILLIMETRE = 1e-3
"""What a step of a 16-bit picture is, in scene units, where nothing else is said (as in nerfstudio)."""


def depth_files(folder: Path, setting: str) -> dict[str, Path]:
    """The depth maps of a folder, by name without ending. FileNotFoundError, naming `setting`, where there are none."""
    found = folder.iterdir() if folder.is_dir() else ()
    files = {ENDINGS.sub("", file.name): file for file in found if ENDINGS.search(file.name)}
    if not files:
        raise FileNotFoundError(
            f"{setting}: {folder} is no folder with depth maps; give one of .npy, .npy.gz, .png or .exr."
        )
    return files


def read_depth(file: Path, setting: str, scale: float | None = None) -> Float[Tensor, "1 height width"]:
    """A depth map in scene units: the file's numbers times `scale`, by default 1, and a thousandth of 16-bit pictures.

    0 where the file says nothing: no number, infinity, 0 or less. ValueError for files that hold no depth.
    """
    try:
        values = _read(file)
    except (OSError, EOFError, ValueError) as error:
        raise ValueError(f"{setting}: {file} cannot be read as a depth map; write it again as .npy.") from error
    if values.ndim != 2 or values.dtype == np.uint8:
        raise ValueError(
            f"{setting}: {file} is no depth map of one number a pixel, 16 bits or a float (but maybe a picture of one, with "
            "colours); ns-render's raw-depth writes them (.npy.gz)."
        )
    depth = values.astype(np.float32) * (scale or (MILLIMETRE if values.dtype == np.uint16 else 1.0))
    return torch.from_numpy(np.where(np.isfinite(depth) & (depth > 0), depth, 0).astype(np.float32))[None]


def _read(file: Path) -> np.ndarray:
    if file.name.lower().endswith(".npy.gz"):
        with gzip.open(file) as packed:
            return np.squeeze(np.load(packed))
    if file.suffix.lower() == ".npy":
        return np.squeeze(np.load(file))
    os.environ.setdefault("OPENCV_IO_ENABLE_OPENEXR", "1")  # OpenCV looks when it opens its first .exr
    values = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise ValueError(file)
    return values
