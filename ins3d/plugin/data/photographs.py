"""Which file is meant by the name of a photograph; a mask that lies beside it is none."""

from collections.abc import Collection
from pathlib import Path

from ins3d.files.foreign import find_file
from ins3d.files.masks import looks_like_a_mask
from ins3d.files.pictures import SUFFIXES

MASK_FOLDERS = ("masks", "mask")


def find_photograph(folder: Path, told: str, masks: Collection[Path] = ()) -> Path | None:
    """As `find_file`; of files with another ending than was told, or with several, one that is not a mask.

    `masks` are known to be some.
    """
    exact = find_file(folder, told)
    if exact is not None:
        return exact
    stem, changed = without_ending(told), without_ending(told) != told
    named = (find_file(folder, stem + ending) for ending in SUFFIXES)
    found = [path for path in dict.fromkeys(named) if path is not None and path not in masks]
    if changed or len(found) > 1:
        found = [path for path in found if not _is_mask(path)]
    return next(iter(found), None)


def _is_mask(path: Path) -> bool:
    try:
        return looks_like_a_mask(path, "data")
    except ValueError:
        return False  # what is wrong with it is said where it is read


def without_ending(told: str) -> str:
    """A path without the ending of a picture.

    >>> without_ending("a/1.JPG"), without_ending("a/v1.2")
    ('a/1', 'a/v1.2')
    """
    ending = next((ending for ending in SUFFIXES if told.lower().endswith(ending)), "")
    return told[: len(told) - len(ending)]


def of_other_endings(found: dict[str, Path]) -> str | None:
    """A line on photographs that were found under another ending; `found` by what was told."""
    other = {
        told: path for told, path in found.items()
        if without_ending(told) != told and not told.lower().endswith(path.suffix.lower())
    }  # fmt: skip
    if not other:
        return None
    told, path = next(iter(other.items()))
    return f"{len(other)} of {len(found)} pictures have another ending than was told: for {told}, {path.name} is taken."


def unused_masks(folder: Path, file: Path, photographs: dict[str, Path]) -> str | None:
    """A line on masks that lie beside photographs while nothing says that they are to be used."""
    for name in MASK_FOLDERS:
        masks = {told: mask for told, path in photographs.items() if (mask := _mask_of(folder / name, path)) is not None}
        if 2 * len(masks) > len(photographs):
            told, mask = next(iter(masks.items()))
            return (
                f"{folder / name} holds masks of {len(masks)} of {len(photographs)} pictures, and {file.name} does not name "
                f"them: they are not used. To learn only from what is white in them, write "
                f'"mask_path": "{name}/{mask.name}" into the frame of {told}, and so on.'
            )
    return None


def _mask_of(folder: Path, photograph: Path) -> Path | None:
    """By the same name, or with another ending behind it (as COLMAP wants them)."""
    return find_file(folder, photograph.name, SUFFIXES) or find_file(folder, f"{photograph.name}.png")
