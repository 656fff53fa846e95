"""Files and folders that a user names become the list of style pictures, each with a name of its own."""

from collections.abc import Sequence
from pathlib import Path

SETTING = "pipeline.model.styles"
DEFAULT_STYLE = Path(__file__).resolve().parents[1] / "default_style.png"
"""A painting that ships with the project."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
MOST_STYLES = 16
"""Each style has feature planes of its own: 18 MB, and twice that while it is trained."""


def find_style_pictures(given: Sequence[Path], setting: str = SETTING) -> tuple[Path, ...]:
    """Absolute paths in the order given; a folder stands for its pictures in the order of their names.

    `setting` is the option that they come from. Raises FileNotFoundError or ValueError for pictures that are missing, given
    twice, of one name, or too many.
    """
    if not given:
        raise ValueError(f"{setting}: no picture is given; name at least one.")
    paths = [picture for path in given for picture in _pictures_at(Path(path).absolute(), setting)]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        count = f"{len(missing)} of {len(paths)} pictures are missing, the first is" if len(paths) > 1 else ""
        what = f"{count} {missing[0]}" if count else f"{missing[0]} does not exist"
        raise FileNotFoundError(f"{setting}: {what}; give paths of pictures (png, jpg, webp, tiff), or a folder of them.")
    check_styles(paths, setting)
    return tuple(paths)


def check_styles(paths: Sequence[Path], setting: str = SETTING) -> None:
    """Refuses more pictures than one network holds, and two of one name."""
    if len(paths) > MOST_STYLES:
        raise ValueError(
            f"{setting}: {len(paths)} pictures are more than the {MOST_STYLES} that one network holds; give fewer, and "
            "train the others in another run, from the same content."
        )
    style_names(paths, setting)


def style_names(paths: Sequence[Path], setting: str = SETTING) -> tuple[str, ...]:
    """The files' names without their endings; they name the sliders, and what is saved.

    >>> style_names([Path("art/wave.jpg"), Path("starry_night.png")])
    ('wave', 'starry_night')
    """
    first: dict[str, Path] = {}
    for path in paths:
        other = first.setdefault(path.stem, path)
        if other is not path and other.resolve() == path.resolve():
            raise ValueError(f"{setting}: {path} is given twice; give every picture once.")
        if other is not path:
            raise ValueError(f"{setting}: {other} and {path} would both be called {path.stem!r}; rename one of them.")
    return tuple(first)


def _pictures_at(path: Path, setting: str) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    if not found:
        raise FileNotFoundError(f"{setting}: the folder {path} holds no pictures ({', '.join(SUFFIXES)}).")
    return found
