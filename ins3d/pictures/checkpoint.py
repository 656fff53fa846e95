"""Saves and loads the field of a picture: its weights, and the metadata from which it is built."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch

from ins3d.files.fields import read_meaning, read_numbers, write_field
from ins3d.pictures.content import PictureContent, make_picture_content
from ins3d.pictures.stylized import BlendedPicture, BlendNetwork, StylizedPicture
from ins3d.style.colors import Colors

Kind = Literal["fit", "stylize", "blend"]
PictureField = PictureContent | StylizedPicture | BlendedPicture


@dataclass(frozen=True)
class FieldSpec:
    """The metadata of a field: all that it is built from."""

    kind: Kind
    """The subcommand that made it."""
    network: str
    long_side: int
    """Of the picture it was made from, in pixels."""
    content_long_side: int
    """Of the picture that its content was fitted to."""
    aspect: float
    """Width by height of that picture."""
    styles: tuple[str, ...] = ()
    """Names, in the order of the style code."""
    colors: Colors = "none"
    written: int | None = None
    """Long side in pixels of the picture that is written by default; None: `long_side`."""
    coarse: bool = False
    """It has seen smaller pictures as well, and knows what wider pixels show (since version 0.3)."""
    content_coarse: bool = False
    """The same of its content."""

    @property
    def size(self) -> int:
        """Long side in pixels at which it is shown where nobody says how large."""
        return self.written or self.long_side

    def build(self) -> PictureField:
        """A field of this kind, untrained."""
        if self.kind == "blend":
            return BlendedPicture(cast(BlendNetwork, self.network), self.long_side, self.coarse)
        content = make_picture_content(self.network, self.content_long_side)
        content.finest = 2 / self.content_long_side if self.content_coarse else None
        if self.kind == "fit":
            return content
        return StylizedPicture(content, len(self.styles), self.long_side, self.colors, self.coarse)


def save_field(folder: Path, field: PictureField, spec: FieldSpec) -> None:
    """Writes weights and metadata; see `files.fields`."""
    write_field(folder, field, asdict(spec))


def load_field(folder: Path, setting: str, device: torch.device) -> tuple[PictureField, FieldSpec]:
    """What `save_field` wrote, ready to be asked; `setting` is the option that the folder came from."""
    spec = read_spec(folder, setting)
    return read_numbers(folder, spec.build(), setting).to(device), spec


def read_spec(folder: Path, setting: str) -> FieldSpec:
    """The metadata that `save_field` wrote, without the weights."""

    def build(meaning: dict[str, Any]) -> FieldSpec:
        meaning["styles"] = tuple(meaning["styles"])
        return FieldSpec(**meaning)

    return read_meaning(folder, setting, get_args(Kind), build)
