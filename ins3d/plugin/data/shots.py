"""The pictures that a transforms.json lists: where they are, what it says of each, and where they were taken from."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ins3d.files.foreign import find_file
from ins3d.files.pictures import SUFFIXES
from ins3d.plugin.data.faults import spared
from ins3d.plugin.data.meanings import read_pose
from ins3d.plugin.data.photographs import find_photograph, of_other_endings, unused_masks

FAR = 20.0
"""A camera this many times as far from the others' middle as they usually are is in the wrong place."""


@dataclass
class Shot:
    """A picture as the file has it."""

    told: str
    path: Path
    """Where it is, or where it would be."""
    says: dict[str, Any]
    """Of the picture, else of all."""
    pose: Float[np.ndarray, "4 4"]
    mask: Path | None
    """As `path`."""


def read_shots(file: Path, contents: dict[str, Any], notes: list[str]) -> list[Shot]:
    """All that have a place, whether their files are there or not; adds what a user should know to `notes`.

    Raises ValueError, naming `data`, where too many have none.
    """
    folder, frames = file.parent, frames_of(contents)
    says = [contents | {name: value for name, value in frame.items() if value is not None} for frame in frames]
    masks = [_mask(folder, each.get("mask_path")) for each in says]
    known = {mask for mask in masks if mask is not None}
    names = [str(frame["file_path"]) for frame in frames]
    found = {told: find_photograph(folder, told, known) for told in dict.fromkeys(names)}
    poses = [read_pose(frame.get("transform_matrix")) for frame in frames]
    faults = {told: pose for told, pose in zip(names, poses, strict=True) if isinstance(pose, str)}
    shots = [
        Shot(told, found[told] or folder / told, each, pose, mask)
        for told, each, pose, mask in zip(names, says, poses, masks, strict=True) if not isinstance(pose, str)
    ]  # fmt: skip
    faults |= _far_ones(file, shots)
    spared(faults, len(frames), f"data: of {file}", notes)
    there = {told: path for told, path in found.items() if path is not None}
    lines = [of_other_endings(there), None if known else unused_masks(folder, file, there)]
    notes += [line for line in lines if line is not None]
    return [shot for shot in shots if shot.told not in faults]


def frames_of(contents: Any) -> Any:
    """A list, of a file that is none of another kind; frames by names, which stand in for those they do not tell."""
    frames = contents["frames"]
    return [{"file_path": name, **frame} for name, frame in frames.items()] if isinstance(frames, dict) else frames


def _mask(folder: Path, told: Any) -> Path | None:
    return (find_file(folder, str(told), SUFFIXES) or folder / str(told)) if told else None


def _far_ones(file: Path, shots: Iterable[Shot]) -> dict[str, str]:
    """What is wrong with cameras that stand far from all others, by name. Raises ValueError where all stand in one place."""
    places = {shot.told: shot.pose[:3, 3] for shot in shots}
    if not places:
        return {}
    values = np.stack(list(places.values()))
    away = np.linalg.norm(values - np.median(values, axis=0), axis=1)
    if away.max() <= 1e-9 * max(np.abs(values).max(), 1e-9):
        raise ValueError(
            f"data: all cameras of {file} stand in one place, so nothing shows how far away the scene is; walk around while "
            "taking pictures, or check transform_matrix."
        )
    usual = np.median(away)
    return {
        told: f"has a camera {far / usual:.0f} times as far away as the others"
        for told, far in zip(places, away, strict=True) if usual > 0 and far > FAR * usual
    }  # fmt: skip
