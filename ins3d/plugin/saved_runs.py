"""Files of earlier versions, read as if they had been written by this one: every old name is mapped here, once."""

from dataclasses import fields
from typing import Any

import torch

from ins3d.plugin.content import CONTENTS
from ins3d.plugin.hash_content import HashSettings
from ins3d.plugin.ray_content import ContentSettings, FrequencySettings, PlanesSettings
from ins3d.plugin.style_field import FrequencyStyle, PlanesStyle

SETTING = "pipeline.content-checkpoint"


RENAMED = {
    "style_mix": "mix",
    "style_strength": "strength",
    "style_picture_size": "style_size",
    "content_loss_mult": "content_weight",
    "tv_loss_mult": "tv_weight",
    "geometry_loss_mult": "geometry_weight",
    "strength_share": "partial_share",
    "mix_share": "blend_share",
}
"""Settings of the model that have another name since 0.3."""


def upgrade(pipeline: Any) -> None:
    """Brings the pipeline settings of an old config.yml up to date, in place."""
    model = pipeline.model
    if hasattr(model, "style_loss_mult"):
        _upgrade_model(model)
        pipeline.patches.max_rays = getattr(pipeline.pool, "max_rays", 400_000)
    content = model.content
    if isinstance(content, ContentSettings):
        old = dict(vars(content))
        pipeline.model.content = _content_settings({**old, "hash": vars(old["hash"])})


def _upgrade_model(model: Any) -> None:
    old = vars(model)
    for before, now in RENAMED.items():
        setattr(model, now, old.pop(before))
    model.styles = tuple(map(str, model.styles))
    weights = {name.replace("gram_raw", "gram_hw"): (0.25 if name == "gram_raw" else 1.0) * weight
               for name, weight in _old_losses(model.style_loss)}  # fmt: skip
    factor = old.pop("style_loss_mult")
    model.style_loss = tuple(f"{name}:{factor * weight:g}" for name, weight in weights.items())
    model.num_points = (old.pop("num_training_points"), old.pop("num_surface_points"))
    release = old.pop("loss_scale") == "release"
    model.normalise_losses, model.squash_patches, model.over_style_mean = not release, release, not release
    gates = dict(zip(("density_gate", "color_gate"), old.pop("gate_init"), strict=True))
    sizes = {"resolutions": tuple(old.pop("style_plane_resolutions")), "channels": old.pop("style_plane_channels")}
    told = {**gates, "width": old.pop("style_width"), "view_direction": not old.pop("zero_view_direction")}
    model.style_field = PlanesStyle(**sizes, **told) if old.pop("style_encoding") == "planes" else FrequencyStyle(**told)


def _old_losses(words: Any) -> list[tuple[str, float]]:
    return [(name, float(weight or 1)) for name, _, weight in (word.partition(":") for word in words)]


def upgrade_state(state: dict[str, Any]) -> dict[str, Any]:
    """State of a pipeline, by today's keys."""
    names = {"_model.background": "_model.ray_content.background", "_model.loss_units": "_model.loss_normalisers"}
    state = {names.get(key, key): value for key, value in state.items() if key != "_model.loss_key"}
    if "_model.colors.maps" in state:  # the maps that strokes were learned under were not kept
        state.setdefault("_model.colors.trained", state["_model.colors.maps"])
    return state


def upgrade_content(contents: dict[str, Any]) -> dict[str, Any]:
    """What a content.ckpt holds, its `settings` as an object. The background of an old one is not known: it is white."""
    if "content" in contents:
        kind = CONTENTS.find(contents["content"], SETTING)
        return {**contents, "settings": kind(**contents["settings"])}
    state = {"background": torch.ones(3), **contents["state"]}
    return {**contents, "settings": _content_settings(contents["settings"]), "state": state}


def _content_settings(old: dict[str, Any]) -> Any:
    """One object with the settings of all kinds became one class for each kind."""
    old = {key: tuple(value) if isinstance(value, list) else value for key, value in old.items()}
    sampling = {name: old[name] for name in ("num_proposal_samples", "num_samples")}
    if old["kind"] == "planes":
        return PlanesSettings(old["plane_resolutions"], old["plane_channels"], **sampling)
    if old["kind"] == "frequency":
        return FrequencySettings(old["num_proposal_samples"][0], old["num_samples"])
    known = {each.name for each in fields(HashSettings)}
    of_hash = {key: tuple(value) if isinstance(value, list) else value for key, value in old["hash"].items() if key in known}
    return HashSettings(**{**of_hash, **sampling})
