"""Reads frames in their order: a folder of pictures, or a video."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import imageio.v2 as imageio
import torch
from imageio.v3 import imread
from jaxtyping import Float
from torch import Tensor

from ins3d.files.pictures import look_at, picture_files, read_rgb

VIDEOS = (".mp4", ".mov", ".m4v", ".mkv", ".avi", ".webm", ".gif")


@dataclass(frozen=True)
class FrameSequence:
    """Frames of one size, none of which has been read."""

    path: Path
    names: tuple[str, ...]
    """Of the pictures, without ending; of a video's frames their numbers."""
    named: bool
    """Whether the names say which frame it is, as those of files do."""
    size: tuple[int, int]
    """(width, height)."""
    read: Callable[[int], Float[Tensor, "3 height width"]]
    """A frame, RGB in [0, 1]; what is transparent shows white."""
    fps: float | None = None
    """Frames a second, of a video that says so."""

    def __len__(self) -> int:
        return len(self.names)


def open_sequence(path: Path, setting: str) -> FrameSequence:
    """The pictures in a folder, frame_2 before frame_10, or the frames of a video.

    Raises FileNotFoundError or ValueError, naming `setting`, for what is not there, cannot be read, or has several sizes.
    """
    if path.is_dir():
        return _open_folder(path, setting)
    if not path.exists():
        raise FileNotFoundError(f"{setting}: {path} does not exist; give a folder of pictures (png, jpg), or a video.")
    if path.suffix.lower() not in VIDEOS:
        raise ValueError(f"{setting}: {path} is no folder and no video; give a folder of pictures (png, jpg), or an .mp4.")
    return _open_video(path, setting)


def natural(name: str) -> list[tuple[int, str]]:
    """What names are ordered by so that their numbers count.

    >>> sorted(["frame_10", "frame_2", "a"], key=natural)
    ['a', 'frame_2', 'frame_10']
    """
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name.lower()) if part]


def _open_folder(path: Path, setting: str) -> FrameSequence:
    files = sorted(picture_files(path), key=lambda file: natural(file.name))
    if not files:
        inner = next((each.name for each in sorted(path.iterdir()) if each.is_dir() and picture_files(each)), None)
        remedy = f"give its folder {inner}" if inner else "give a folder of png or jpg"
        raise FileNotFoundError(f"{setting}: {path} holds no pictures itself; {remedy}.")
    names = tuple(file.stem for file in files)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{setting}: {path} holds two pictures named {twice}; keep one of them.")
    sizes = [look_at(file, setting).seen_size for file in files]
    other = next((number for number, size in enumerate(sizes) if size != sizes[0]), None)
    if other is not None:
        told = [f"{files[number].name} {sizes[number][0]}x{sizes[number][1]}" for number in (0, other)]
        raise ValueError(f"{setting}: frames have several sizes ({', '.join(told)}); give frames of one size.")
    return FrameSequence(path, names, True, sizes[0], lambda number: read_rgb(files[number], setting))


def _open_video(path: Path, setting: str) -> FrameSequence:
    try:
        reader = imageio.get_reader(path)
        number = reader.count_frames() if path.suffix.lower() != ".gif" else len(reader)
        height, width = reader.get_data(0).shape[:2]
        told = reader.get_meta_data()
        fps = told.get("fps")
        if path.suffix.lower() == ".gif" and told.get("duration"):  # in milliseconds; of a film it is seconds in all
            fps = 1000 / told["duration"]
    except (OSError, ValueError, IndexError, RuntimeError) as error:
        raise ValueError(f"{setting}: {path} is not a video that can be read; give its frames as pictures.") from error

    def read(frame: int) -> Tensor:
        if path.suffix.lower() != ".gif":
            return torch.from_numpy(reader.get_data(frame).copy()).permute(2, 0, 1).float()[:3] / 255
        # That reader drops what is transparent in a first frame.
        pixels = torch.from_numpy(imread(path, index=frame, plugin="pillow", mode="RGBA"))
        values = pixels.permute(2, 0, 1).float() / 255
        return values[:3] * values[3:] + 1 - values[3:]

    return FrameSequence(path, tuple(map(str, range(number))), False, (width, height), read, fps)
