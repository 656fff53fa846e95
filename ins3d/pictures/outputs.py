"""Where a command writes: refused before anything is painted, not after."""

from collections.abc import Iterable
from pathlib import Path

from ins3d.files.sequences import VIDEOS

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
FILMS = (".mp4", ".gif")


def check_picture_output(path: Path, sources: Iterable[Path] = (), setting: str = "output") -> None:
    """Refuses what is no picture's name, a folder, a place in a file, and the files that are read."""
    if path.suffix.lower() not in PICTURES:
        raise ValueError(f"{setting}: {path} is not the name of a picture; write a .png, .jpg or .webp.")
    _check_place(path, setting)
    _check_sources(path, sources, setting)


def check_frames_output(path: Path, sources: Iterable[Path] = (), setting: str = "output") -> bool:
    """Whether frames become a film; else they become pictures in a folder."""
    suffix = path.suffix.lower()
    if suffix in PICTURES or (suffix in VIDEOS and suffix not in FILMS):
        raise ValueError(f"{setting}: {path} is no place for frames; write a film (.mp4, .gif) or a folder.")
    if suffix in FILMS:
        _check_place(path, setting)
    elif path.is_file():
        raise ValueError(f"{setting}: {path} is a file; name a folder, or a film (.mp4, .gif).")
    _check_sources(path, sources, setting)
    return suffix in FILMS


def _check_place(path: Path, setting: str) -> None:
    if path.is_dir():
        raise ValueError(f"{setting}: {path} is a folder; name a file in it.")
    file = next((parent for parent in path.parents if parent.is_file()), None)
    if file is not None:
        raise ValueError(f"{setting}: {file} is a file, and {path} would lie in it; name another place.")


def _check_sources(path: Path, sources: Iterable[Path], setting: str) -> None:
    if any(path.resolve() == source.resolve() for source in sources):
        raise ValueError(f"{setting}: {path} is what is read; name another file or folder.")
