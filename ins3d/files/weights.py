"""Finds and reads published weights: a path, an environment variable, torch's cache, the official download."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file
from torch import Tensor

Kind = Literal["file", "folder"]
OFFICIAL = "https://download.pytorch.org/models/"


@dataclass(frozen=True)
class WeightsFile:
    """Where a network's weights are read from."""

    path: Path
    found_in: str
    """Which rule found them; printed and recorded with the run, because numbers compare only within one network."""


def find_weights_file(
    given: Path | None, setting: str, variable: str, official: str | None, kind: Kind = "file"
) -> WeightsFile:
    """The file, or folder, that `given` or the environment's `variable` names; else torchvision's `official` file.

    Raises FileNotFoundError, which names the `setting`, for what is not there and cannot be downloaded.
    """
    at_hand = weights_at_hand(given, setting, variable, official, kind)
    if at_hand is not None:
        return at_hand
    if official is None:
        raise FileNotFoundError(f"{setting}: there is no official download; give its path, or set {variable}.")
    return download(official, setting, f"give its path, or set {variable}")


def weights_at_hand(
    given: Path | None, setting: str, variable: str, official: str | None, kind: Kind = "file"
) -> WeightsFile | None:
    """What `find_weights_file` takes without a download, else None."""
    named = os.environ.get(variable)
    path, name = (given, setting) if given else (Path(named) if named else None, variable)
    if path is not None:
        if not (path.is_file() if kind == "file" else path.is_dir()):
            wrong = f"is no {kind}" if path.exists() else "does not exist"
            raise FileNotFoundError(f"{name}: {path} {wrong}; give the {kind} of the network's weights.")
        return WeightsFile(path, f"the setting {setting}" if given else variable)
    cached = cached_file(official) if official else None
    return WeightsFile(cached, "torch's cache") if cached and cached.is_file() else None


def read_weights(file: WeightsFile, setting: str, remedy: str) -> dict[str, Any]:
    """What a .pth or .safetensors file holds by name; it is read safely, tensors only. ValueError for what is neither."""
    try:
        if file.path.suffix == ".safetensors":
            return load_file(file.path)
        content = torch.load(file.path, map_location="cpu", weights_only=True)
    except Exception as error:  # truncated and foreign files raise a different exception each
        raise ValueError(
            f"{setting}: {file.path} (from {file.found_in}) cannot be read as weights ({type(error).__name__}); {remedy}"
        ) from error
    return {str(key): value for key, value in content.items()} if isinstance(content, dict) else {}


def mismatch(state: Mapping[str, Any], expected: Mapping[str, Tensor]) -> str | None:
    """The first parameter in which a file differs from the network it is for; None where they agree.

    >>> mismatch({"bias": torch.ones(3)}, {"bias": torch.ones(4)})
    'bias has shape (3,) where (4,) was expected'
    """
    for key, value in expected.items():
        if not isinstance(state.get(key), Tensor):
            return f"{key} is missing"
        if state[key].shape != value.shape:
            return f"{key} has shape {tuple(state[key].shape)} where {tuple(value.shape)} was expected"
    more = sorted(state.keys() - expected.keys())
    return f"{more[0]} is no part of it" if more else None


def cached_file(official: str) -> Path:
    """Where torch caches a download."""
    return Path(torch.hub.get_dir()) / "checkpoints" / official


def download(official: str, setting: str, remedy: str) -> WeightsFile:
    """Fetches a file of torchvision's; FileNotFoundError without a network, or if it does not match its checksum."""
    try:
        torch.hub.load_state_dict_from_url(OFFICIAL + official, map_location="cpu", check_hash=True, progress=True)
    except (OSError, RuntimeError) as error:
        raise FileNotFoundError(
            f"{setting}: {official} is not here and could not be downloaded ({error}); fetch it elsewhere and {remedy}."
        ) from error
    return WeightsFile(cached_file(official), "torchvision's download")
