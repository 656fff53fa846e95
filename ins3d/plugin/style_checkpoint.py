"""A finished run's styles, so that others can be added to them without a change to a single one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from ins3d.extension.ranges import with_fact
from ins3d.plugin.content_checkpoint import FILE_NAME, explain_mismatch
from ins3d.plugin.saved_runs import upgrade, upgrade_state
from ins3d.plugin.settings import ModelSettings
from ins3d.plugin.style_field import FrequencyStyle
from ins3d.style.styles import check_styles, parse_style, style_names

SETTING = "pipeline.style-checkpoint"
BY_STYLE = ("colors.maps", "colors.trained")
"""Buffers with a row for each style."""
OWNED_BY_A_STYLE = ("stylized.style_features.columns.", "stylized.style_features.encoding.styles.")
"""Parameters of one style."""


@dataclass
class StyleCheckpoint:
    """What is needed to go on from finished styles."""

    styles: tuple[str, ...]
    settings: ModelSettings
    state: dict[str, Tensor]
    """State of `InsStylizeModel`."""
    content: Path
    """The run's content.ckpt."""
    source: str


def load_styles(path: Path) -> StyleCheckpoint:
    """Reads a run's folder or its config.yml."""
    config_file = path / "config.yml" if path.is_dir() else path
    if not config_file.is_file():
        raise FileNotFoundError(
            f"{SETTING}: {config_file} does not exist; give the folder of a finished run, or its config.yml."
        )
    config = _read_config(config_file)
    model = getattr(getattr(config, "pipeline", None), "model", None)
    if not isinstance(model, ModelSettings):
        raise ValueError(f"{SETTING}: {config_file} is no run of ins3d; give one of ns-train ins-stylize.")
    upgrade(config.pipeline)
    files = sorted((config_file.parent / config.relative_model_dir).glob("step-*.ckpt"))
    saved = _read_checkpoint(files[-1]) if files else {"step": -1, "total_steps": 1, "pipeline": {}}
    state = upgrade_state(saved["pipeline"])
    state = {key.removeprefix("_model."): value for key, value in state.items() if key.startswith("_model.")}
    if saved["step"] + 1 < saved["total_steps"] or not bool(state.get("is_stylized", False)):
        raise ValueError(f"{SETTING}: {config_file} has no finished style; let that run end, or resume it with --load-dir.")
    if isinstance(model.style_field, FrequencyStyle):
        raise ValueError(
            f"{SETTING}: the styles of {config_file} share one encoding, and another would change them all; only runs "
            "with --pipeline.model.style-field hash or planes can be added to."
        )
    return StyleCheckpoint(tuple(model.styles), model, state, config_file.parent / FILE_NAME, str(config_file))


def _read_config(path: Path) -> Any:
    if path.suffix not in (".yml", ".yaml"):
        raise ValueError(f"{SETTING}: {path} is no config.yml; give the folder of a finished run, or its config.yml.")
    try:
        return yaml.load(path.read_text(), Loader=yaml.Loader)
    except Exception as error:  # foreign files raise many kinds
        raise ValueError(f"{SETTING}: {path} is not the config.yml of a run ({error!r}).") from error


def _read_checkpoint(path: Path) -> dict[str, Any]:
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        return {name: saved[name] for name in ("step", "total_steps", "pipeline")}
    except Exception as error:  # truncated and foreign files raise many kinds
        raise ValueError(f"{SETTING}: {path} is not a whole checkpoint of ins3d ({error!r}).") from error


def take_over_settings(model: ModelSettings, kept: StyleCheckpoint) -> None:
    """The kept styles first, then those that are new; and what they are rendered with."""
    new = tuple(style for style in model.styles if style not in kept.styles)
    if not new:
        raise ValueError(
            f"pipeline.model.styles: all of them are in {kept.source} already ({', '.join(style_names(kept.styles))}); "
            "name a picture that is new."
        )
    model.styles = (*kept.styles, *new)
    check_styles([parse_style(style, "pipeline.model.styles") for style in model.styles], "pipeline.model.styles")
    for name in with_fact(model, "rendered"):
        setattr(model, name, getattr(kept.settings, name))


def load_kept_styles(model: nn.Module, kept: StyleCheckpoint) -> None:
    """Parameters of the kept styles; the new ones stay as they were drawn."""
    own = model.state_dict()
    # Losses and encoder may be others than those of the finished run: what they are divided by is measured anew.
    anew = ("is_stylized", "loss_normalisers")
    state = {key: value for key, value in kept.state.items() if key not in anew}
    for name in BY_STYLE:
        rows = own[name].clone()
        rows[: len(state[name])] = state[name]
        state[name] = rows
    new = {key: value for key, value in own.items() if key not in state and key.startswith(OWNED_BY_A_STYLE)}
    new |= {name: own[name] for name in anew}
    explain_mismatch(own, {**new, **state}, f"{SETTING}: {kept.source}")
    model.load_state_dict({**new, **state})
