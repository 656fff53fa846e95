"""Saves and loads a trained field: weights (field.safetensors), metadata (field.json), training state (training.pt)."""

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from ins3d.files.whole import replace_file

NUMBERS, MEANING, TRAINING = "field.safetensors", "field.json", "training.pt"
FORMAT = 2
"""Of training.pt; since 2 the settings have one vocabulary."""
Spec = TypeVar("Spec")
Field = TypeVar("Field", bound=nn.Module)


def write_field(folder: Path, field: nn.Module, meaning: Mapping[str, Any]) -> None:
    """Writes field.safetensors and field.json, each whole or not at all."""
    state = {name: value.detach().cpu().contiguous() for name, value in field.state_dict().items()}
    replace_file(folder / NUMBERS, lambda path: save_file(state, path))
    replace_file(folder / MEANING, lambda path: path.write_text(json.dumps(meaning, indent=1)))


def read_numbers(folder: Path, field: Field, setting: str) -> Field:
    """The field, which was built from the metadata, with the weights of `write_field`, frozen and in eval mode.

    Raises ValueError naming `setting`, the folder's option, for weights of another field.
    """
    try:
        field.load_state_dict(load_file(folder / NUMBERS))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ValueError(
            f"{setting}: {folder / NUMBERS} does not hold what {MEANING} beside it says; run it again."
        ) from error
    return field.requires_grad_(False).eval()


def read_meaning(folder: Path, setting: str, commands: tuple[str, ...], build: Callable[[dict[str, Any]], Spec]) -> Spec:
    """What `build` makes of the metadata that `write_field` wrote.

    Raises FileNotFoundError where there is none, and ValueError for what none of the `commands` made or `build` does
    not take.
    """
    makers = " or ".join(filter(None, [", ".join(commands[:-1]), commands[-1]]))
    if not (folder / MEANING).is_file():
        raise FileNotFoundError(f"{setting}: there is no {MEANING} in {folder}; give the output folder of {makers}.")
    try:
        meaning = json.loads((folder / MEANING).read_text())
        if meaning["kind"] not in commands:
            raise ValueError(meaning["kind"])
        return build(meaning)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{setting}: {folder / MEANING} is not what {makers} write; name their output, or run it again."
        ) from error


def save_training(path: Path, state: dict[str, object], settings: Mapping[str, object]) -> None:
    """What `--resume` goes on from, whole or not at all."""
    replace_file(path, lambda aside: torch.save({"format": FORMAT, "state": state, "settings": _words(settings)}, aside))


def load_training(path: Path, settings: Mapping[str, object], may_change: Collection[str]) -> dict[str, Any]:
    """The state that `save_training` wrote. Raises ValueError naming a setting that is another, unless it `may_change`."""
    if not path.is_file():
        raise FileNotFoundError(f"resume: there is no {path.name} in {path.parent}; leave out --resume, or name its output.")
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        before, state = dict(saved)["settings"], saved["state"]
    except Exception as error:  # readers of junk raise anything
        raise ValueError(f"resume: {path} cannot be read; leave out --resume.") from error
    if saved.get("format") != FORMAT:
        raise ValueError(f"resume: {path} was begun by another version of ins3d; leave out --resume.")
    for name, value in _words(settings).items():
        if name not in may_change and before.get(name) != value:
            raise ValueError(
                f"resume: {name.replace('_', '-')} was {before.get(name)} and is now {value}; resume with all that the run "
                "was begun with, or leave out --resume."
            )
    return state


def _words(settings: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in settings.items()}
