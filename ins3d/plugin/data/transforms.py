"""Reads a transforms.json, whoever wrote it, into one that says all that the host asks for, of every frame."""

from dataclasses import dataclass, field
from functools import cached_property
from json import loads
from pathlib import Path
from typing import Any

from nerfstudio.data.dataparsers.nerfstudio_dataparser import MAX_AUTO_RESOLUTION

from ins3d.files.foreign import find_file, read_text
from ins3d.files.pictures import look_at
from ins3d.plugin.data.lenses import SceneLenses
from ins3d.plugin.data.meanings import instead_of, read_matrix
from ins3d.plugin.data.photographs import find_photograph
from ins3d.plugin.data.shots import Shot, frames_of, read_shots
from ins3d.plugin.data.splits import read_splits

FEWEST_PICTURES = 3
ORIENTATIONS = ("pca", "up", "vertical", "none")
"""What the host can do with a scene's axes."""
KEPT = ("orientation_override", "applied_transform", "applied_scale", "fisheye_crop_radius")
"""What the host is told as the file says it."""
OLD_APPLIED = [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, -1, 0]]
"""What the host takes for granted of scenes that an early ns-process-data made."""


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
            number = len([frame["file_path"] for frame in frames_of(contents)])
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
        return read_shots(self.path, self.contents, self.notes)

    def meta(self) -> tuple[dict[str, Any], dict[Path, Path]]:
        """(what the host is told; the masks of those pictures that have one)."""
        lenses = SceneLenses(self.path, self.shots)
        places = {shot.path: self._at_level(shot, self.level) for shot in self.shots}
        frames = [
            {"file_path": str(places[shot.path]), "transform_matrix": shot.pose.tolist(), **lenses.of(shot)}
            for shot in self.shots
        ]
        masks = {places[shot.path]: self._mask_at_level(shot.mask) for shot in self.shots if shot.mask is not None}

        def named(told: str) -> str | None:
            place = places.get(find_photograph(self.folder, told) or self.folder / told)
            return None if place is None else str(place)

        splits = read_splits(self.path, self.contents, list(map(str, places.values())), named, self.notes)
        return self._of_all() | {"camera_model": lenses.camera_model} | splits | {"frames": frames}, masks

    def _of_all(self) -> dict[str, Any]:
        meta = {name: self.contents[name] for name in KEPT if self.contents.get(name) is not None}
        if "applied_transform" in meta:
            matrix = read_matrix(meta["applied_transform"])
            if matrix is None:
                raise ValueError(
                    f"data: applied_transform of {self.path} is no matrix of 3x4 numbers; correct it, or take it out."
                )
            meta["applied_transform"] = matrix.tolist()
        elif (self.data / "colmap/sparse/0").exists():
            meta["applied_transform"] = OLD_APPLIED
        if (override := meta.get("orientation_override", "none")) not in ORIENTATIONS:
            raise ValueError(
                f"data: orientation_override of {self.path} is {override}; use one of {', '.join(ORIENTATIONS)}."
            )
        if points := self.contents.get("ply_file_path"):
            meta["ply_file_path"] = str(find_file(self.folder, str(points)) or self.folder / str(points))
        return meta

    # ---- pictures of other sizes

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

    def _mask_at_level(self, mask: Path) -> Path:
        smaller = self.folder / f"masks_{self.level}" / mask.name
        return smaller if self.level > 1 and smaller.is_file() else mask
