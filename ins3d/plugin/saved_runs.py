"""Files of earlier versions, read as if this one had written them, and its options: every old name is mapped here."""

import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from ins3d.extension.old_options import refuse_old_options
from ins3d.plugin.contents.content import CONTENTS
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
    vars(model).pop("num_render_samples", None)
    if hasattr(model, "style_loss_mult"):
        _upgrade_model(model)
        pipeline.patches.max_rays = getattr(vars(pipeline).pop("pool", None), "max_rays", 400_000)
        vars(pipeline).pop("more_styles_mult", None)
        vars(pipeline.patches).pop("halve_stride_every", None)
    if "stroke_size" not in vars(model):
        model.style_size = model.style_size or 256
        pipeline.datamanager.size, pipeline.patches.rule = 0, "squares"
        model.style_field.mixes = "features"
    content = model.content
    if isinstance(content, ContentSettings):
        old = dict(vars(content))
        pipeline.model.content = _content_settings({**old, "hash": vars(old["hash"])})


def _upgrade_model(model: Any) -> None:
    """Defaults are those of 0.2, which a config from before a setting existed was read with."""
    old = vars(model)
    for before in RENAMED.keys() & old.keys():
        setattr(model, RENAMED[before], old.pop(before))
    model.styles = tuple(map(str, model.styles))
    weights = {name.replace("gram_raw", "gram_hw"): (0.25 if name == "gram_raw" else 1.0) * weight
               for name, weight in _old_losses(model.style_loss)}  # fmt: skip
    factor = old.pop("style_loss_mult")
    old.pop("rgb_loss_mult", None)
    model.style_loss = tuple(f"{name}:{factor * weight:g}" for name, weight in weights.items())
    model.num_points = (old.pop("num_training_points", 2), old.pop("num_surface_points", 4))
    release = old.pop("loss_scale", "measured") == "release"
    model.normalise_losses, model.squash_patches, model.over_style_mean = not release, release, not release
    gates = dict(zip(("density_gate", "color_gate"), old.pop("gate_init", (1.0, 0.9)), strict=True))
    resolutions, channels = old.pop("style_plane_resolutions", (96, 192, 384)), old.pop("style_plane_channels", 8)
    told = {**gates, "width": old.pop("style_width", 64), "view_direction": not old.pop("zero_view_direction", True)}
    if old.pop("style_encoding", "planes") == "planes":
        model.style_field = PlanesStyle(resolutions=tuple(resolutions), channels=channels, **told)
    else:
        model.style_field = FrequencyStyle(**told)


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


# ---- options of ns-train

MODEL, CONTENT, STYLE = "--pipeline.model", "--pipeline.model.content", "--pipeline.model.style-field"
OF_HASH = (
    "appearance-embed-dim", "average-init-density", "base-res", "features-per-level", "hidden-dim", "hidden-dim-color",
    "implementation", "log2-hashmap-size", "max-res", "num-images", "num-layers", "num-levels", "proposal-hidden-dim",
    "proposal-levels", "proposal-linear", "proposal-log2-hashmap-size", "proposal-max-res",
)  # fmt: skip
GROUPS = ("content-tables", "content", "proposals", "style-planes", "style", "gates")
OLD_OPTIONS = {
    f"{MODEL}.content-loss-mult": f"{MODEL}.content-weight",
    f"{MODEL}.geometry-loss-mult": f"{MODEL}.geometry-weight",
    f"{MODEL}.tv-loss-mult": f"{MODEL}.tv-weight",
    f"{MODEL}.style-loss-mult": f"{MODEL}.style-loss gram:WEIGHT (each loss has its own)",
    f"{MODEL}.style-mix": f"{MODEL}.mix",
    f"{MODEL}.style-strength": f"{MODEL}.strength",
    f"{MODEL}.style-picture-size": f"{MODEL}.style-size",
    f"{MODEL}.strength-share": "a fifth of the steps train a random strength",
    f"{MODEL}.mix-share": "a fifth of the steps train a random blend of two styles",
    f"{MODEL}.num-training-points": f"{MODEL}.num-points TRAINING PICTURES",
    f"{MODEL}.num-surface-points": f"{MODEL}.num-points TRAINING PICTURES",
    f"{MODEL}.num-render-samples": "pictures are sampled where the scene is, whatever the view, and as calm as 48 were",
    f"{MODEL}.style-encoding": f"{STYLE} NAME",
    f"{MODEL}.style-plane-resolutions": f"{STYLE} planes:resolutions=96/192/384",
    f"{MODEL}.style-plane-channels": f"{STYLE} planes:channels=NUMBER",
    f"{MODEL}.style-width": f"{STYLE} planes:width=NUMBER",
    f"{MODEL}.gate-init": f"{STYLE} planes:density_gate=NUMBER,color_gate=NUMBER",
    f"{MODEL}.zero-view-direction": f"{STYLE} planes:view_direction=true (or false, which is the default)",
    f"{MODEL}.loss-scale": "losses as in the INS release are those of the method ins-stylize-paper",
    f"{MODEL}.spread-mult": "how far merged points are spread in depth is no setting; --pipeline.model.footprint-mult is",
    f"{MODEL}.view-dropout": "a tenth of the content stage's rays are shown no view direction",
    f"{MODEL}.rgb-loss-mult": "the content stage's other losses are weighed against it",
    f"{CONTENT}.kind": f"{CONTENT} NAME",
    f"{CONTENT}.plane-resolutions": f"{CONTENT} planes:resolutions=64/128/256",
    f"{CONTENT}.plane-channels": f"{CONTENT} planes:channels=NUMBER",
    f"{CONTENT}.num-samples": f"{CONTENT} NAME:num_samples=NUMBER",
    f"{CONTENT}.num-proposal-samples": f"{CONTENT} NAME:num_proposal_samples=NUMBER (of frequency: num_coarse_samples)",
    **{f"{CONTENT}.hash.{name}": f"{CONTENT} hash:{name.replace('-', '_')}=VALUE" for name in OF_HASH},
    "--pipeline.pool.max-rays": "--pipeline.patches.max-rays",
    "--pipeline.pool.share-of-memory": "samples go to a file where they need a quarter of the free memory",
    "--pipeline.patches.halve-stride-every": "strides stay what they are; give those that should be drawn",
    "--pipeline.more-styles-mult": "every further style adds 45 % of --pipeline.style-steps",
    **{f"--optimizers.{group}.scheduler.stage": "every group learns in its own stage" for group in GROUPS},
    **{f"--optimizers.{group}.optimizer.fused": "Adam is always torch's fused one" for group in GROUPS},
}


def check_words(words: Sequence[str], methods: Sequence[str]) -> None:
    """Leaves with a sentence when the words of the process are an `ns-train` of one of our methods with an old option."""
    if words and Path(words[0]).stem in ("ns-train", "train") and words[1:2] and words[1] in methods:
        refuse_old_options(words[2:], OLD_OPTIONS)


def check_process(methods: Sequence[str]) -> None:
    """The same of this process, before tyro says no more than that an option is unknown."""
    check_words(sys.argv, methods)
