"""What the losses compare with: the style pictures, looked at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ins3d.files.pictures import resize_long_side
from ins3d.perception.color_transfer import ColorStatistics, color_statistics, matching_map, recolor_pictures
from ins3d.perception.features import FeatureMaps, PerceptualFeatures
from ins3d.perception.losses import Grams, grams_of
from ins3d.style.losses import GRAM_LAYERS, LOSSES, LooksAtPlaces, layers_of, pyramid_features, select
from ins3d.style.styles import Picture, Style


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
    """Of its pictures as they are in their files. The mean stands behind an object while its patches are judged."""
    references: dict[str, Any]
    """By loss: what it prepared."""
    grams: Grams
    """For the Gram distance that results are reported in, whatever the losses."""
    pictures: Sequence[tuple[Float[Tensor, "3 _ _"], Tensor | None]]
    """With their masks, as they are looked at."""


def style_target(
    style: Style,
    features: PerceptualFeatures,
    view: StyleView,
    device: torch.device,
    recolored_to: ColorStatistics | None = None,
    prefix: str = "",
) -> StyleTarget:
    """Reads a style's pictures and keeps what never changes: they are looked at once.

    With `recolored_to` they are first given these colours (CORAL), so that strokes come without their palette. Raises
    ValueError for pictures that are too small, naming the options `styles` and `style-size` behind `prefix`.
    """
    pictures = [
        _looked_at(picture, view, source.stroke_size)
        for picture, source in zip(style.read(f"{prefix}styles"), style.sources, strict=True)
    ]
    for rgb, _ in pictures:
        _refuse_thin(style, rgb, features, view, prefix)
    colors = color_statistics(*_pixels(pictures))
    if recolored_to is not None:
        color_map = matching_map(colors, recolored_to.to("cpu"))
        pictures = [(recolor_pictures(color_map, rgb).clamp(0, 1), mask) for rgb, mask in pictures]
    on_device = [(rgb.to(device), mask) for rgb, mask in pictures]
    return target_of(style.name, on_device, colors.to(device), features, view, prefix)


@torch.no_grad()
def target_of(
    name: str, pictures: list[Picture], colors: ColorStatistics, features: PerceptualFeatures, view: StyleView,
    prefix: str = "",
) -> StyleTarget:  # fmt: skip
    """Of pictures that are at hand, at the size at which they are looked at."""
    looked_at = [(pyramid_features(features, rgb[None], view.all_layers, view.scales), mask) for rgb, mask in pictures]
    maps = _pooled(looked_at, name, f"{prefix}styles")
    grams = grams_of({layer: maps[layer] for layer in view.gram_layers})
    references = {loss: _reference(loss, looked_at, maps, view) for loss in view.losses}
    return StyleTarget(name, colors, references, grams, pictures)


def _reference(name: str, looked_at: list[tuple[FeatureMaps, Tensor | None]], pooled: FeatureMaps, view: StyleView) -> Any:
    """What a loss keeps of a style: of its pictures one by one where places matter, else of their pooled features."""
    loss, layers = LOSSES[name], layers_of(name, view.layers)
    if not isinstance(loss, LooksAtPlaces):
        return loss.prepare(select(pooled, layers, view.scales))
    return loss.prepare_pictures(
        [(select(maps, layers, view.scales), None if mask is None else mask[None]) for maps, mask in looked_at]
    )


def _looked_at(picture: tuple[Tensor, Tensor | None], view: StyleView, stroke_size: float) -> Picture:
    rgb, mask = picture
    seen = (
        F.interpolate(rgb[None], size=(224, 224), mode="nearest")[0]
        if view.square
        else resize_long_side(rgb, max(round(view.long_side * stroke_size), 16))
    )
    return seen, None if mask is None else F.interpolate(mask[None], size=seen.shape[1:], mode="area")[0]


def _pixels(pictures: list[Picture]) -> tuple[Tensor, Tensor | None]:
    """(colours, weights) of all pictures' pixels."""
    rgb = torch.cat([rgb.flatten(1).T for rgb, _ in pictures])
    if all(mask is None for _, mask in pictures):
        return rgb, None
    masks = [torch.ones_like(rgb[:1]) if mask is None else mask for rgb, mask in pictures]
    return rgb, torch.cat([mask.flatten() for mask in masks])[:, None]


def _pooled(looked_at: list[tuple[FeatureMaps, Tensor | None]], name: str, setting: str) -> FeatureMaps:
    """The features of several pictures, or of parts that a mask leaves, as if they were those of one picture of one row."""
    first, mask = looked_at[0]
    if len(looked_at) == 1 and mask is None:
        return first
    pooled = {}
    for layer in first:
        parts = [_counted(maps[layer], mask) for maps, mask in looked_at]
        pooled[layer] = torch.cat(parts, dim=2)[:, :, None]
        if not pooled[layer].numel():
            raise ValueError(f"{setting}: the mask of {name} leaves nothing at {layer}; use a larger one.")
    return pooled


def _counted(maps: Float[Tensor, "1 channels height width"], mask: Tensor | None) -> Float[Tensor, "1 channels places"]:
    if mask is None:
        return maps.flatten(2)
    counts = F.interpolate(mask[None], size=maps.shape[2:], mode="area").flatten() >= 0.5
    return maps.flatten(2)[:, :, counts.to(maps.device)]


def refuse_small(what: str, side: int, features: PerceptualFeatures, scales: tuple[int, ...], remedy: str) -> int:
    """The least side, in pixels, at which the encoder's deepest layer sees something of pictures shrunk by `scales`.

    Raises ValueError where `side` is less; `what` and `remedy` are the ends of the sentence.
    """
    least = features.smallest_side * max(scales)
    if side < least:
        raise ValueError(
            f"{what} too few for the encoder's deepest layer, which needs {least} a side; {remedy}, or style and content "
            "layers less deep."
        )
    return least


def _refuse_thin(style: Style, seen: Tensor, features: PerceptualFeatures, view: StyleView, prefix: str) -> None:
    height, width = seen.shape[1:]
    least = features.smallest_side * max(view.scales)
    if min(height, width) < least:
        raise ValueError(
            f"{prefix}styles: {style} is looked at in {width}x{height} pixels, and {features.walk[-1]} needs {least} "
            f"a side; crop it to a less narrow picture, or raise {prefix}style-size."
        )
