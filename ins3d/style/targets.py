"""Style pictures become what the losses compare with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ins3d.files.pictures import read_rgb, resize_long_side
from ins3d.perception.color_transfer import ColorStatistics, color_statistics, matching_map, recolor_pictures
from ins3d.perception.features import PerceptualFeatures
from ins3d.perception.losses import Grams, grams_of
from ins3d.style.losses import GRAM_LAYERS, LOSSES, layers_of, pyramid_features, select


@dataclass(frozen=True)
class StyleView:
    """How style pictures are looked at."""

    losses: tuple[str, ...] = ("gram",)
    """Names in `LOSSES`."""
    layers: tuple[str, ...] = ()
    """The same for all losses; empty: each its own."""
    scales: tuple[int, ...] = (1,)
    """How much pictures are shrunk before they are compared."""
    long_side: int = 256
    """Size in pixels at which the picture is looked at."""
    square: bool = False
    """Squashed to 224x224 by nearest neighbour, as the INS release does."""

    def __post_init__(self) -> None:
        if 1 not in self.scales or min(self.scales) < 1:
            raise ValueError(f"style-scales: {self.scales} must hold 1, the pictures as they are, or more; use 1 2 4.")

    @property
    def all_layers(self) -> tuple[str, ...]:
        """Every layer that some loss, or the reported Gram distance, looks at."""
        own = [layer for name in self.losses for layer in layers_of(name, self.layers)]
        return tuple(dict.fromkeys([*own, *self.gram_layers]))

    @property
    def gram_layers(self) -> tuple[str, ...]:
        """Where the reported Gram distance is taken."""
        return self.layers or GRAM_LAYERS


@dataclass
class StyleTarget:
    """One style: its name and what the encoder sees in it."""

    name: str
    colors: ColorStatistics
    """Of the picture as it is in its file. Its mean stands behind an object while its patches are judged."""
    kept: dict[str, Any]
    """By loss: what that loss compares with."""
    grams: Grams
    """For the Gram distance that results are reported in, whatever the losses."""
    picture: Float[Tensor, "3 height width"]
    """As it is looked at."""


def style_target(
    path: Path,
    features: PerceptualFeatures,
    view: StyleView,
    device: torch.device,
    recolored_to: ColorStatistics | None = None,
    setting: str = "pipeline.model.styles",
    size_setting: str = "pipeline.model.style-picture-size",
) -> StyleTarget:
    """Reads a style picture and keeps what never changes: it is looked at once.

    With `recolored_to` the picture is first given these colours (CORAL), so that its strokes come without its palette.
    Errors name the options that the picture and the size come from.
    """
    rgb = read_rgb(path, setting)
    seen = (
        F.interpolate(rgb[None], size=(224, 224), mode="nearest")[0]
        if view.square
        else resize_long_side(rgb, view.long_side)
    )
    _refuse_thin(path, seen, features, view, setting, size_setting)
    colors = color_statistics(seen.flatten(1).T)
    if recolored_to is not None:
        wanted = ColorStatistics(recolored_to.mean.cpu(), recolored_to.covariance.cpu())
        seen = recolor_pictures(matching_map(colors, wanted), seen).clamp(0, 1)
    with torch.no_grad():
        picture = seen[None].to(device)
        maps = pyramid_features(features, picture, tuple(dict.fromkeys(view.all_layers)), view.scales)
        grams = grams_of({layer: maps[layer] for layer in view.gram_layers})
        kept = {name: LOSSES[name].prepare(select(maps, layers_of(name, view.layers), view.scales)) for name in view.losses}
    colors = ColorStatistics(colors.mean.to(device), colors.covariance.to(device))
    return StyleTarget(path.stem, colors, kept, grams, picture[0])


def _refuse_thin(
    path: Path, seen: Tensor, features: PerceptualFeatures, view: StyleView, setting: str, size_setting: str
) -> None:
    height, width = seen.shape[1:]
    least = features.smallest_side * max(view.scales)
    if min(height, width) < least:
        raise ValueError(
            f"{setting}: {path} is looked at in {width}x{height} pixels, and {features.walk[-1]} needs {least} "
            f"a side; crop it to a less narrow picture, or raise {size_setting}."
        )
