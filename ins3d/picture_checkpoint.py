"""A picture's field becomes two small files, numbers and what they mean, and comes back from them."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, cast, get_args
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ins3d.picture_content import PictureContent, PictureNetwork, make_picture_content
from ins3d.style_colors import Colors
from ins3d.stylized_picture import BlendedPicture, BlendNetwork, StylizedPicture

NUMBERS, MEANING = "field.safetensors", "field.json"
MAY_CHANGE = ("output", "device", "resume", "steps", "mix", "strength")
"""Settings that a resumed run may have others of."""
Kind = Literal["fit", "stylize", "blend"]
PictureField = PictureContent | StylizedPicture | BlendedPicture


@dataclass(frozen=True)
class FieldSpec:
    """What a field is, apart from its numbers."""

    kind: Kind
    """The subcommand that made it."""
    network: PictureNetwork | BlendNetwork
    long_side: int
    """Of the picture it was made from, in pixels."""
    content_long_side: int
    """Of the picture that its content was fitted to."""
    aspect: float
    """Width by height of that picture."""
    styles: tuple[str, ...] = ()
    """Names, in the order of the style code."""
    colors: Colors = "none"

    def build(self) -> PictureField:
        """A field of this kind, untrained."""
        if self.kind == "blend":
            return BlendedPicture(cast(BlendNetwork, self.network), self.long_side)
        content = make_picture_content(cast(PictureNetwork, self.network), self.content_long_side)
        if self.kind == "fit":
            return content
        return StylizedPicture(content, len(self.styles), self.long_side, self.colors)


def save_field(folder: Path, field: PictureField, spec: FieldSpec) -> None:
    """Writes field.safetensors and field.json, each whole or not at all."""
    state = {name: value.detach().cpu().contiguous() for name, value in field.state_dict().items()}
    _replace(folder / NUMBERS, lambda path: save_file(state, path))
    _replace(folder / MEANING, lambda path: path.write_text(json.dumps(asdict(spec), indent=1)))


def load_field(folder: Path, setting: str, device: torch.device) -> tuple[PictureField, FieldSpec]:
    """What `save_field` wrote, ready to be asked; `setting` is the option that the folder came from."""
    spec = read_spec(folder, setting)
    field = spec.build()
    try:
        field.load_state_dict(load_file(folder / NUMBERS))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ValueError(
            f"{setting}: {folder / NUMBERS} does not hold what {MEANING} beside it says; run it again."
        ) from error
    return field.requires_grad_(False).eval().to(device), spec


def read_spec(folder: Path, setting: str) -> FieldSpec:
    """What is in a folder."""
    if not (folder / MEANING).is_file():
        raise FileNotFoundError(
            f"{setting}: there is no {MEANING} in {folder}; give the output folder of fit, stylize or blend."
        )
    try:
        contents = json.loads((folder / MEANING).read_text())
        spec = FieldSpec(**contents | {"styles": tuple(contents["styles"])})
        if spec.kind not in get_args(Kind):
            raise ValueError(spec.kind)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{setting}: {folder / MEANING} is not what fit, stylize or blend write; run it again.") from error
    return spec


def save_training(path: Path, state: dict[str, object], settings: Mapping[str, object]) -> None:
    """What `--resume` goes on from, whole or not at all."""
    _replace(path, lambda aside: torch.save({"state": state, "settings": _words(settings)}, aside))


def load_training(path: Path, settings: Mapping[str, object]) -> dict[str, object]:
    """The state that `save_training` wrote; a run can be longer than it was, or show another mix, and nothing else."""
    if not path.is_file():
        raise FileNotFoundError(f"resume: there is no {path.name} in {path.parent}; leave out --resume, or name its output.")
    if not is_zipfile(path):  # the container that torch writes
        raise ValueError(f"resume: {path} cannot be read; leave out --resume.")
    saved = torch.load(path, map_location="cpu", weights_only=True)
    before, state = saved["settings"], saved["state"]
    for name, value in _words(settings).items():
        if name not in MAY_CHANGE and before.get(name) != value:
            raise ValueError(
                f"resume: {name.replace('_', '-')} was {before.get(name)} and is now {value}; resume with all that the run "
                "was begun with, or leave out --resume."
            )
    return state


def _words(settings: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in settings.items()}


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.writing")
    write(aside)
    os.replace(aside, path)
