"""Parses styles as users write them: pictures, crops, masks, and several pictures that are one style."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ins3d.extension.registry import Registry
from ins3d.files.pictures import SUFFIXES, picture_files, read_rgb

DEFAULT_STYLE = str(Path(__file__).resolve().parents[1] / "default_style.png")
"""A painting that ships with the project."""
MAX_STYLES = 16
"""Each style has feature planes of its own: 18 MB, and twice that while it is trained."""
SMALLEST_STROKES = 0.2
SIGNS = "+=@"
"""They part a style's name, pictures, crops and masks; in the names of files that are there they are letters."""
Crop = tuple[float, float, float, float]
Picture = tuple[Float[Tensor, "3 _ _"], Float[Tensor, "1 _ _"] | None]
"""(RGB in [0, 1], which pixels count: 1 or 0; None: all)."""


@dataclass(frozen=True)
class StyleSource:
    """A picture, or a part of one."""

    path: Path
    crop: Crop | None = None
    """Left, top, right, bottom, in shares of the picture."""
    mask: Path | None = None
    """A picture: what is lighter than middle grey counts. It is stretched over the (uncropped) picture."""
    stroke_size: float = 1.0
    """How large its strokes are, beside what the settings say of all."""

    def __str__(self) -> str:
        crop = "" if self.crop is None else f"@{','.join(map(_number, self.crop))}"
        size = "" if self.stroke_size == 1 else f"@x{_number(self.stroke_size)}"
        return f"{self.path}{crop}{'' if self.mask is None else f'@{self.mask}'}{size}"

    def resolved(self) -> "StyleSource":
        """The same by the files' true places, whatever links lead there."""
        return replace(self, path=self.path.resolve(), mask=None if self.mask is None else self.mask.resolve())

    def read(self, setting: str) -> Picture:
        """The part that counts. Raises FileNotFoundError or ValueError naming `setting`."""
        rgb, mask = read_rgb(self.path, setting), None
        if self.mask is not None:
            grey = read_rgb(self.mask, setting, behind=0.0).mean(0, keepdim=True)
            mask = (F.interpolate(grey[None], size=rgb.shape[1:], mode="nearest")[0] >= 0.5).float()
        if self.crop is not None:
            left, top, right, bottom = self.crop
            height, width = rgb.shape[1:]
            rows = slice(round(top * height), round(bottom * height))
            columns = slice(round(left * width), round(right * width))
            rgb, mask = rgb[:, rows, columns], None if mask is None else mask[:, rows, columns]
        if not rgb.numel() or (mask is not None and not mask.any()):
            raise ValueError(f"{setting}: nothing is left of {self}; choose a larger part, or a lighter mask.")
        return rgb, mask


@dataclass(frozen=True)
class Style:
    """A name, and the pictures that show it: their features are pooled as if they were one picture's."""

    name: str
    sources: tuple[StyleSource, ...]

    def __str__(self) -> str:
        """As a user writes it; `parse_style` reads it again."""
        first = self.sources[0]
        plain = len(self.sources) == 1 and first == StyleSource(first.path) and first.path.stem == self.name
        return str(first) if plain and not set(SIGNS) & set(str(first.path)) else f"{self.name}={self.place}"

    @property
    def place(self) -> str:
        """Its pictures as a user writes them, without its name."""
        return "+".join(map(str, self.sources))

    def read(self, setting: str) -> list[Picture]:
        """All its pictures."""
        return [source.read(setting) for source in self.sources]


@runtime_checkable
class StyleParser(Protocol):
    """A way to write a style: `NAME:TEXT` on the command line is given to the parser registered as NAME."""

    def parse(self, text: str) -> Style:
        """The style that is meant. Raises ValueError saying what is wrong with the text."""
        ...


STYLES: Registry[StyleParser] = Registry("style", "ins3d.styles", StyleParser)


def find_styles(words: Sequence[str | Path], setting: str = "styles") -> tuple[Style, ...]:
    """The styles that were written, in their order; a folder stands for its pictures in the order of their names.

    Each is `PICTURE`, or `[NAME=]PICTURE[@LEFT,TOP,RIGHT,BOTTOM][@MASK][@xSTROKESIZE][+PICTURE...]`, or what a registered
    parser reads.
    `setting` is the option that they come from. Raises FileNotFoundError or ValueError for pictures that are missing, given
    twice, of one name, or too many.
    """
    if not words:
        raise ValueError(f"{setting}: no picture is given; name at least one.")
    found = [style for word in words for style in _styles_at(str(word), setting)]
    paths = [path for style in found for source in style.sources for path in (source.path, source.mask) if path is not None]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        count = f"{len(missing)} of {len(paths)} pictures are missing, the first is" if len(paths) > 1 else ""
        what = f"{count} {missing[0]}" if count else f"{missing[0]} does not exist"
        raise FileNotFoundError(f"{setting}: {what}; give paths of pictures (png, jpg, webp, tiff), or a folder of them.")
    check_styles(found, setting)
    return tuple(found)


def check_styles(styles: Sequence[Style], setting: str = "styles") -> None:
    """Refuses more styles than one network holds, and two of one name."""
    if len(styles) > MAX_STYLES:
        raise ValueError(
            f"{setting}: {len(styles)} pictures are more than the {MAX_STYLES} that one network holds; give fewer, and "
            "train the others in another run, from the same content."
        )
    first: dict[str, Style] = {}
    for style in styles:
        other = first.setdefault(style.name, style)
        if other is style:
            continue
        if [source.resolved() for source in other.sources] == [source.resolved() for source in style.sources]:
            raise ValueError(f"{setting}: {style} is given twice; give every picture once.")
        raise ValueError(
            f"{setting}: {other} and {style} would both be called {style.name!r}; rename one of them, as in "
            f"NAME={style.place}."
        )


def style_names(words: Sequence[str | Path]) -> tuple[str, ...]:
    """Of styles that are written as `find_styles` reads them; their files need not be there.

    >>> style_names(["art/wave.jpg", "night=a.jpg+b.jpg@0,0,.5,1"])
    ('wave', 'night')
    """
    return tuple(parse_style(str(word), "styles").name for word in words)


def parse_style(text: str, setting: str) -> Style:
    """One style; paths become absolute. What is a file is taken by its path, whatever signs are in it.

    >>> [source.crop for source in parse_style("sky=a.jpg@0,0,1,.5+b.jpg", "styles").sources]
    [(0.0, 0.0, 1.0, 0.5), None]
    """
    kind, colon, rest = text.partition(":")
    if colon and kind in STYLES and not Path(text).exists():
        try:
            return STYLES[kind].parse(rest)
        except ValueError as error:
            raise ValueError(f"{setting}: {text}: {error}") from error
    name, words = _named_words(text)
    sources = tuple(_source(word, setting) for word in words)
    return Style(name or "+".join(source.path.stem for source in sources), sources)


def _named_words(text: str) -> tuple[str, list[str]]:
    """(name, or nothing; a word for each picture). A name holds no `/`; where files are there, they say where it ends."""
    ends = [place for place, sign in enumerate(text) if sign == "=" and "/" not in text[:place]]
    named = [("", text), *((text[:end], text[end + 1 :]) for end in ends)]
    ways = [(name, _joined(rest, "+", _is_there)) for name, rest in named]
    return next((way for way in ways if all(map(_is_there, way[1]))), ways[-1])


def _is_there(word: str) -> bool:
    """Whether a word is a picture that is there, with crops and masks that are."""
    path, *parts = _joined(word, "@", _is_file)
    return _is_file(path) and all(_is_file(part) or _numbers(part.removeprefix("x")) is not None for part in parts)


def _is_file(path: str) -> bool:
    return Path(path).is_file()


def _joined(text: str, sign: str, is_there: Callable[[str], bool]) -> list[str]:
    """Parted at the sign, except where it belongs to the name of something that is there: the longest such name counts."""
    parts, joined = text.split(sign), []
    while parts:
        size = next((size for size in range(len(parts), 1, -1) if is_there(sign.join(parts[:size]))), 1)
        joined.append(sign.join(parts[:size]))
        parts = parts[size:]
    return joined


def _source(word: str, setting: str) -> StyleSource:
    path, *parts = _joined(word, "@", _is_file)
    source = StyleSource(Path(path).absolute())
    for part in parts:
        if not _is_file(part) and part[:1] == "x" and _numbers(part[1:]) is not None:
            source = replace(source, stroke_size=stroke_size_of(part[1:], f"{setting}: {word}"))
            continue
        shares = None if _is_file(part) else _numbers(part)
        if (source.mask if shares is None else source.crop) is not None:
            raise ValueError(f"{setting}: {word} has two {'masks' if shares is None else 'crops'}; give one.")
        if shares is None:
            source = replace(source, mask=Path(part).absolute())
        elif len(shares) == 4 and 0 <= shares[0] < shares[2] <= 1 and 0 <= shares[1] < shares[3] <= 1:
            source = replace(source, crop=(shares[0], shares[1], shares[2], shares[3]))
        else:
            raise ValueError(
                f"{setting}: {part} in {word} is no part; give LEFT,TOP,RIGHT,BOTTOM in shares, such as 0,0,.5,1."
            )
    return source


def stroke_size_of(word: str, setting: str) -> float:
    """A stroke size that can be painted. Raises ValueError naming what it was written for."""
    size = float(word)
    if not SMALLEST_STROKES <= size <= 1 / SMALLEST_STROKES:
        raise ValueError(
            f"{setting}: strokes of {size:g} times the usual size cannot be painted; use {SMALLEST_STROKES:g} to "
            f"{1 / SMALLEST_STROKES:g}."
        )
    return size


def _numbers(text: str) -> list[float] | None:
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        return None


def _number(share: float) -> str:
    """As short as it can be without becoming another number."""
    short = f"{share:g}"
    return short if float(short) == share else repr(share)


def _styles_at(word: str, setting: str) -> list[Style]:
    folder = Path(word).absolute()
    if not folder.is_dir():
        return [parse_style(word, setting)]
    found = picture_files(folder)
    if not found:
        raise FileNotFoundError(f"{setting}: the folder {folder} holds no pictures ({', '.join(SUFFIXES)}).")
    return [Style(file.stem, (StyleSource(file),)) for file in found]
