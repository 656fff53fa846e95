"""Reads the cameras of a COLMAP reconstruction, as text or as numbers, without looking at its pictures.

Format: https://colmap.github.io/format.html.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from ins3d.files.cameras import PosedCamera

MODELS = ("SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV")
"""By their numbers in the files; the others are fisheyes and such."""
PARAMETERS = (3, 4, 4, 5, 8)
FOLDERS = (".", "sparse/0", "sparse", "colmap/sparse/0")
Lens = tuple[int, int, int, list[float]]
"""(number of the model, width, height, parameters)."""


def read_colmap(folder: Path) -> dict[str, PosedCamera]:
    """The cameras of a folder with images.bin and cameras.bin (or .txt), or above it, by their pictures' names.

    Raises FileNotFoundError or ValueError, naming the setting `cameras`.
    """
    for place in FOLDERS:
        for ending, lenses_of, poses_of in ((".bin", _lenses, _poses), (".txt", _lenses_in_words, _poses_in_words)):
            cameras, images = folder / place / f"cameras{ending}", folder / place / f"images{ending}"
            if cameras.is_file() and images.is_file():
                try:
                    lenses = lenses_of(cameras)
                    return {Path(name).stem: _camera(lenses[number], pose) for name, number, pose in poses_of(images)}
                except (struct.error, IndexError, KeyError, UnicodeDecodeError) as error:
                    raise ValueError(
                        f"cameras: {images} is cut off, or none of COLMAP's ({error!r}); export it anew."
                    ) from error
    raise FileNotFoundError(
        f"cameras: {folder} holds no COLMAP reconstruction; give a folder with cameras.bin and images.bin, or a "
        "transforms.json."
    )


def _camera(lens: Lens, pose: np.ndarray) -> PosedCamera:
    model, width, height, numbers = lens
    if not 0 <= model < len(MODELS):
        raise ValueError(
            f"cameras: COLMAP's lens model {model} is no plain one; undistort the pictures (image_undistorter)."
        )
    simple = model in (0, 2, 3)
    across, down = (numbers[0], numbers[0]) if simple else numbers[:2]
    middle, bent = (numbers[1:3], numbers[3:]) if simple else (numbers[2:4], numbers[4:])
    lens_numbers = torch.zeros(6)
    lens_numbers[: min(len(bent), 2)] = torch.tensor(bent[:2])
    lens_numbers[4 : 4 + len(bent[2:])] = torch.tensor(bent[2:])
    shares = torch.tensor([across / width, down / height, middle[0] / width, middle[1] / height])
    return PosedCamera(torch.from_numpy(pose).float(), shares, lens_numbers, width / height)


def _pose(quaternion: tuple[float, ...], translation: tuple[float, ...]) -> np.ndarray:
    """World to camera (x right, y down, z forward) to camera to world (y up, looking along -z)."""
    w, x, y, z = quaternion
    rotation = Rotation.from_quat([x, y, z, w]).as_matrix().T
    center = -rotation @ np.array(translation)
    return np.concatenate([rotation * [1, -1, -1], center[:, None]], axis=1)


def _lenses(path: Path) -> dict[int, Lens]:
    raw, place, found = path.read_bytes(), 8, {}
    for _ in range(struct.unpack_from("<Q", raw)[0]):
        number, model, width, height = struct.unpack_from("<iiQQ", raw, place)
        count = PARAMETERS[model] if 0 <= model < len(PARAMETERS) else 0
        if not count:
            raise ValueError(
                f"cameras: COLMAP's lens model {model} is no plain one; undistort the pictures (image_undistorter)."
            )
        found[number] = model, width, height, list(struct.unpack_from(f"<{count}d", raw, place + 24))
        place += 24 + 8 * count
    return found


def _poses(path: Path) -> Iterator[tuple[str, int, np.ndarray]]:
    raw, place = path.read_bytes(), 8
    for _ in range(struct.unpack_from("<Q", raw)[0]):
        numbers = struct.unpack_from("<i7di", raw, place)
        end = raw.index(b"\0", place + 64)
        name = raw[place + 64 : end].decode()
        (points,) = struct.unpack_from("<Q", raw, end + 1)
        place = end + 9 + 24 * points
        yield name, numbers[8], _pose(numbers[1:5], numbers[5:8])


def _lenses_in_words(path: Path) -> dict[int, Lens]:
    rows = [line.split() for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    known = {name: number for number, name in enumerate(MODELS)}
    return {
        int(row[0]): (known.get(row[1], -1), int(row[2]), int(row[3]), [float(each) for each in row[4:]]) for row in rows
    }


def _poses_in_words(path: Path) -> Iterator[tuple[str, int, np.ndarray]]:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    for line in lines[::2]:  # every second one lists points
        row = line.split(maxsplit=9)
        if row:
            numbers = [float(each) for each in row[1:8]]
            yield row[9], int(row[8]), _pose(tuple(numbers[:4]), tuple(numbers[4:]))
