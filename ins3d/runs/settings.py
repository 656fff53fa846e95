"""What the subcommands of all scripts are told alike: where to, on what, and how styles are looked at."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ins3d.perception.features import Pooling
from ins3d.perception.weights import Encoder
from ins3d.style.pictures import DEFAULT_STYLE

LEAST = {
    "seed": 0,
    "size": 16,
    "points": 1,
    "steps": 1,
    "fit_steps": 0,
    "patch": 0,
    "content_weight": 0,
    "tv_weight": 0,
    "fit_weight": 0,
    "rays": 1,
    "views": 1,
    "view_size": 16,
    "texture": 16,
    "hold_out": 0,
    "bound": 1e-6,
    "mask_weight": 0,
    "eikonal_weight": 0,
    "resolution": 8,
    "most_faces": 100,
    "frames": 1,
    "fps": 1,
    "finer": 1,
    "distance_weight": 0,
}
"""What the options of all subcommands can be at the least."""


@dataclass
class Output:
    """Where to, and on what."""

    output: Path
    """Folder to write into; what an earlier run left there is replaced."""
    seed: int = 0
    """Of all that is random."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto is a GPU where there is one."""


@dataclass
class Judged(Output):
    """How styles are looked at."""

    styles: tuple[Path, ...] = (DEFAULT_STYLE,)
    """The style picture."""
    size: int = 256
    """Long side in pixels at which the pictures are looked at."""
    perceptual_encoder: Encoder = "auto"
    """Who judges; auto is VGG-19 when its weights are at hand or there is a GPU, else compact."""
    perceptual_weights: Path | None = None
    """A file of VGG weights, .pth or .safetensors; it says itself which encoder it is."""
    perceptual_pooling: Pooling | None = None
    """average makes smoother pictures (Gatys et al.), max is what VGG and compact were trained with; average for VGG and max
    for compact when not given."""
    style_loss: tuple[str, ...] = ("gram",)
    """One or more of gram, gram_chw, gram_hw, gram_raw, statistics, nnfm, swd, each with `:weight` when it is not 1."""
    style_layers: tuple[str, ...] = ()
    """Such as relu1_1 relu3_1; empty: relu1_1 relu2_1 relu3_1 relu4_1, and for nnfm the third block."""
    tv_weight: float = 0.0
    """Weight of total variation, against noise."""


@dataclass
class Painted(Judged):
    """What training a painted field is told."""

    strides: tuple[int, ...] = (1, 2)
    """Pixels between two places of a patch, drawn anew in every step."""
    content_weight: float = 0.3
    """More keeps more of the content; 1 is the difference between two places of it."""
    content_layers: tuple[str, ...] = ("relu4_1",)
    """Where the content is compared."""
    scales: tuple[int, ...] = (1,)
    """How much pictures are shrunk before style is compared."""
    strength: float = 1.0
    """Of the picture that is written: 0 is the content, 1 the full style."""
    resume: bool = False
    """Goes on where the run in the output folder was stopped."""


def check_settings(settings: Any) -> None:
    """Refuses numbers that mean nothing, by their options' names, before anything is read or written."""
    for name, value in LEAST.items():
        given = getattr(settings, name, None)
        if given is not None and not given >= value:
            raise ValueError(f"{name.replace('_', '-')}: {given} is too little; use {value:g} or more.")
    for name in ("strength_share", "mix_share", "coarse_share"):
        if not 0 <= getattr(settings, name, 0.0) < 1:
            raise ValueError(
                f"{name.replace('_', '-')}: {getattr(settings, name)} is no share of the steps; use 0 or more, below 1."
            )
    for name in ("strides", "scales"):
        given = getattr(settings, name, (1,))
        if min(given, default=0) < 1:
            raise ValueError(f"{name}: {' '.join(map(str, given)) or 'none'}; give whole numbers of 1 or more.")
    if 1 not in getattr(settings, "scales", (1,)):
        raise ValueError(f"scales: {' '.join(map(str, settings.scales))} must hold 1, the pictures as they are; use 1 2 4.")
