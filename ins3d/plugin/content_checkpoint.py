"""A trained content field in a file of its own, so that a second style costs the style stage only."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from torch import Tensor

from ins3d.files.whole import replace_file
from ins3d.plugin.contents.content import CONTENTS, Content, ContentSettings
from ins3d.plugin.contents.splat_files import SplatCheckpoint, read_splatfacto, read_splats
from ins3d.plugin.hash_content import HashSettings
from ins3d.plugin.saved_runs import SETTING, upgrade_content

FILE_NAME = "content.ckpt"
SPLATS = (".ply", ".splat", ".spz", ".sog", ".ksplat")
"""Endings of files of splats; but the first they are named with a converter."""


@dataclass
class ContentCheckpoint:
    """What is needed to go on from a content run."""

    settings: ContentSettings
    state: dict[str, Tensor]
    """State of the `Content`, its place in the scene included."""
    scale: float
    transform: Tensor
    """The dataparser's scale and transform: two runs with the same ones share coordinates."""
    poses: Tensor | None
    """Camera to world of the training pictures, 3x4 each; unknown for nerfacto's runs."""
    source: str
    is_placed = True
    """Its state says where the scene lies."""

    def give_to(self, content: Content, outputs: DataparserOutputs) -> None:
        """All that was learned. Raises ValueError for content of another scene, or built otherwise."""
        check_same_scene(self, outputs)
        load_strictly(content, self)


def save_content(path: Path, settings: ContentSettings, content: Content, outputs: DataparserOutputs) -> None:
    """Writes `content.ckpt`."""
    contents = {
        "content": CONTENTS.name_of(type(settings)),
        "settings": asdict(settings),  # type: ignore[call-overload]
        "state": content.state_dict(),
        "scale": float(outputs.dataparser_scale),
        "transform": outputs.dataparser_transform,
        "poses": outputs.cameras.camera_to_worlds.cpu(),
    }
    replace_file(path, lambda aside: torch.save(contents, aside))


def load_finished(path: Path) -> ContentCheckpoint | SplatCheckpoint:
    """As `load_content`; or a .ply of splats, or config.yml of a plain nerfacto or splatfacto run."""
    if path.suffix.lower() in SPLATS and path.is_file():
        return read_splats(path)
    if path.suffix in (".yml", ".yaml") and path.is_file() and not (path.parent / FILE_NAME).is_file():
        return _read_hosts_run(path)
    return load_content(path)


def load_content(path: Path) -> ContentCheckpoint:
    """Reads `content.ckpt`, the folder of a run of ours, or its config.yml."""
    if path.is_dir() or path.suffix in (".yml", ".yaml"):
        path = (path if path.is_dir() else path.parent) / FILE_NAME
    if not path.is_file():
        raise FileNotFoundError(
            f"{SETTING}: {path} does not exist; give content.ckpt, the folder of a run, a run's config.yml, or a .ply of "
            "splats."
        )
    return _read_ours(path)


def check_same_scene(checkpoint: ContentCheckpoint, outputs: DataparserOutputs) -> None:
    """Refuses content that was trained in other coordinates."""
    same_scale = abs(checkpoint.scale / float(outputs.dataparser_scale) - 1) < 1e-4
    same_place = torch.allclose(checkpoint.transform, outputs.dataparser_transform, atol=1e-4)
    if same_scale and same_place and checkpoint.poses is not None:
        # Object scenes all have the same scale and transform; most cameras must be old acquaintances.
        here = outputs.cameras.camera_to_worlds.cpu().flatten(1)
        nearest = (here[:, None] - checkpoint.poses.flatten(1)).abs().amax(-1).amin(-1)
        same_place = bool((nearest < 1e-3).float().mean() > 0.5)
    if not (same_scale and same_place):
        raise ValueError(
            f"{SETTING}: {checkpoint.source} was trained on another scene or with other dataparser settings (scale "
            f"{checkpoint.scale:.4g}, here {float(outputs.dataparser_scale):.4g}); use the same data and its options."
        )


def load_strictly(content: Content, checkpoint: ContentCheckpoint) -> None:
    """Every parameter or none; the host would load nothing, silently, when a name differs."""
    explain_mismatch(content.state_dict(), checkpoint.state, f"{SETTING}: {checkpoint.source}")
    content.load_state_dict(checkpoint.state)


def explain_mismatch(own: dict[str, Tensor], loaded: dict[str, Tensor], what: str) -> None:
    """Raises ValueError naming the first key that is missing, unknown or of another shape."""
    missing, unknown = [key for key in own if key not in loaded], [key for key in loaded if key not in own]
    shapes = [key for key in own if key in loaded and own[key].shape != loaded[key].shape]
    if not (missing or unknown or shapes):
        return
    tcnn = any("params" in key.rsplit(".", 1)[-1] for key in [*missing, *unknown])
    remedy = (
        "one was made with tinycudann and the other without: open it where tinycudann is as it was in training"
        if tcnn
        else "it was made with other settings of content or style: use the same ones"
    )
    raise ValueError(f"{what} does not fit: {len(missing)} parameters missing, {len(unknown)} unknown, {len(shapes)} of "
                     f"another shape (the first: {(missing + unknown + shapes)[0]}); {remedy}.")  # fmt: skip


def _read_ours(path: Path) -> ContentCheckpoint:
    try:
        contents = upgrade_content(torch.load(path, map_location="cpu", weights_only=True))
        names = ("settings", "state", "scale", "transform", "poses")
        return ContentCheckpoint(**{name: contents[name] for name in names}, source=str(path))
    except Exception as error:  # truncated and foreign files raise many kinds
        raise ValueError(f"{SETTING}: {path} is not a content checkpoint of ins3d ({error!r}).") from error


def _read_hosts_run(config_file: Path) -> ContentCheckpoint | SplatCheckpoint:
    """What `ns-train nerfacto` or `ns-train splatfacto` has learned, whatever its sizes."""
    config = yaml.load(config_file.read_text(), Loader=yaml.Loader)
    model = getattr(getattr(config, "pipeline", None), "model", None)
    kind = type(model).__name__
    if kind == "InsStylizeModelConfig":
        raise ValueError(f"{SETTING}: the content stage of {config_file} did not finish; resume it with --load-dir first.")
    if model is None or kind not in ("NerfactoModelConfig", "SplatfactoModelConfig"):
        name = getattr(config, "method_name", "something else")
        raise ValueError(f"{SETTING}: {config_file} is a run of {name}; give a run of ins3d, of nerfacto or of splatfacto.")
    if kind == "SplatfactoModelConfig":
        return read_splatfacto(config_file, config, _state_of(config_file, config))
    if model.disable_scene_contraction:
        raise ValueError(f"{SETTING}: {config_file} was trained without scene contraction, which is not supported.")
    state = _state_of(config_file, config)
    transforms = yaml.safe_load((config_file.parent / "dataparser_transforms.json").read_text())
    return ContentCheckpoint(
        _hash_settings(model, state),
        _renamed(state, model),
        float(transforms["scale"]),
        torch.tensor(transforms["transform"]),
        None,
        str(config_file),
    )


def _state_of(config_file: Path, config: Any) -> dict[str, Tensor]:
    """The pipeline's, of the last checkpoint of a run of the host's."""
    files = sorted((config_file.parent / config.relative_model_dir).glob("step-*.ckpt"))
    if not files:
        raise FileNotFoundError(f"{SETTING}: there is no checkpoint beside {config_file}; let the run finish.")
    try:
        return torch.load(files[-1], map_location="cpu", weights_only=True)["pipeline"]
    except Exception as error:  # truncated and foreign files raise many kinds
        raise ValueError(f"{SETTING}: {files[-1]} is not a whole checkpoint ({error!r}).") from error


def _hash_settings(model: Any, state: dict[str, Tensor]) -> HashSettings:
    proposals = model.proposal_net_args_list
    appearance = state.get("_model.field.embedding_appearance.embedding.weight")
    count = model.num_proposal_iterations
    return HashSettings(
        implementation=model.implementation if any(k.endswith("tcnn_encoding.params") for k in state) else "torch",
        num_levels=model.num_levels, base_res=model.base_res, max_res=model.max_res,
        log2_hashmap_size=model.log2_hashmap_size, features_per_level=model.features_per_level,
        hidden_dim=model.hidden_dim, hidden_dim_color=model.hidden_dim_color,
        average_init_density=model.average_init_density,
        num_images=1 if appearance is None else len(appearance),
        appearance_embed_dim=0 if appearance is None else appearance.shape[1],
        proposal_levels=tuple(proposals[min(i, len(proposals) - 1)]["num_levels"] for i in range(count)),
        proposal_max_res=tuple(proposals[min(i, len(proposals) - 1)]["max_res"] for i in range(count)),
        proposal_log2_hashmap_size=tuple(proposals[min(i, len(proposals) - 1)]["log2_hashmap_size"] for i in range(count)),
        proposal_hidden_dim=tuple(proposals[min(i, len(proposals) - 1)]["hidden_dim"] for i in range(count)),
        proposal_linear=tuple(bool(proposals[min(i, len(proposals) - 1)]["use_linear"]) for i in range(count)),
        num_proposal_samples=tuple(model.num_proposal_samples_per_ray)[:count],
        num_samples=model.num_nerf_samples_per_ray,
    )  # fmt: skip


def _renamed(state: dict[str, Tensor], model: Any) -> dict[str, Tensor]:
    """nerfacto's names to ours; its contraction (by the largest coordinate) is one of the kinds of placement."""
    result = {
        "background": torch.ones(3), "placement.center": torch.zeros(3), "placement.radius": torch.tensor(1.0),
        "placement.near": torch.tensor(float(model.near_plane)), "placement.far": torch.tensor(float(model.far_plane)),
        "placement.bounded": torch.tensor(False), "placement.cubic": torch.tensor(True),
    }  # fmt: skip
    for key, value in state.items():
        if "pred_normals" in key:
            continue  # heads that colour and density do not use
        if key.startswith("_model.field."):
            result["content.field." + key.removeprefix("_model.field.")] = value
        if key.startswith("_model.proposal_networks."):
            level, rest = key.removeprefix("_model.proposal_networks.").split(".", 1)
            result[f"proposals.{level}.field.{rest}"] = value
    return result
