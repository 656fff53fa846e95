"""Files of earlier versions, read as if they had been written by this one: every old name is mapped here, once."""

from dataclasses import fields
from typing import Any

import torch

from ins3d.plugin.content import CONTENTS
from ins3d.plugin.hash_content import HashSettings
from ins3d.plugin.ray_content import ContentSettings, FrequencySettings, PlanesSettings

SETTING = "pipeline.content-checkpoint"


def upgrade(pipeline: Any) -> None:
    """Brings the pipeline settings of an old config.yml up to date, in place."""
    content = pipeline.model.content
    if isinstance(content, ContentSettings):
        old = dict(vars(content))
        pipeline.model.content = _content_settings({**old, "hash": vars(old["hash"])})


def upgrade_state(state: dict[str, Any]) -> dict[str, Any]:
    """State of a pipeline, by today's keys: the background was the model's, and is the content's."""
    return {"_model.ray_content.background" if key == "_model.background" else key: value for key, value in state.items()}


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
