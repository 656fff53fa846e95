"""What other computers write: text with byte order marks, and names of files by their own paths, letters and endings."""

import codecs
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path, PureWindowsPath
from urllib.parse import unquote

MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def read_text(path: Path) -> str:
    """UTF-8, or what a byte order mark says, as Notepad and PowerShell leave one; else the letters of Western Windows."""
    raw = path.read_bytes()
    try:
        return raw.decode(next((encoding for mark, encoding in MARKS.items() if raw.startswith(mark)), "utf-8"))
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def find_file(folder: Path, told: str, endings: Sequence[str] = ()) -> Path | None:
    """The file in or below a folder that somebody means by a path; None where there is none.

    It may be a path of Windows, or of a computer whose folders are not here (its last parts then count), be written in other
    capitals or accents, be an address (%20), and lack one of the `endings` or have another of them.
    """
    if (plain := folder / told).is_file():
        return plain
    if (meant := unquote(told)) != told and (found := find_file(folder, meant, endings)) is not None:
        return found  # as in the address of a web page
    parts = [part for part in PureWindowsPath(told).parts if part[-1:] not in ("\\", ":")]
    tails = (parts[start:] for start in range(len(parts)))
    return next((found for tail in tails if (found := _below(folder, tail, endings)) is not None), None)


def _below(folder: Path, parts: list[str], endings: Sequence[str]) -> Path | None:
    for part in parts[:-1]:
        inner = folder if part == "." else folder / part if (folder / part).is_dir() else _alike(folder, part)
        if inner is None or not inner.is_dir():
            return None
        folder = inner
    stem, dot, ending = parts[-1].rpartition(".")
    converted = [stem + other for other in endings] if f"{dot}{ending}".lower() in endings else []
    for name in (parts[-1], *(parts[-1] + ending for ending in endings), *converted):
        found = folder / name if (folder / name).is_file() else _alike(folder, name)
        if found is not None and found.is_file():
            return found
    return None


def _alike(folder: Path, name: str) -> Path | None:
    """What has the same name but for capitals and the way in which accents are written."""
    return _listed(folder, folder.stat().st_mtime_ns).get(_letters(name)) if folder.is_dir() else None


@lru_cache(maxsize=64)
def _listed(folder: Path, changed: int) -> dict[str, Path]:
    """By their letters; `changed` makes it be read anew."""
    return {_letters(path.name): path for path in sorted(folder.iterdir())}


def _letters(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
