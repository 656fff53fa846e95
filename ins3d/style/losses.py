"""The style losses by name: what each keeps of a style picture, and how it compares another picture with that."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ins3d.perception.features import FeatureMaps, PerceptualFeatures
from ins3d.perception.losses import (
    Mask,
    content_loss,
    gram_loss,
    grams_of,
    nearest_neighbour_loss,
    relative_gram_loss,
    sliced_wasserstein_loss,
    statistics_loss,
    statistics_of,
    total_variation_loss,
    unit_vectors,
)

StyleLossName = Literal["gram", "gram_chw", "gram_hw", "gram_raw", "statistics", "nnfm", "swd"]
GRAM_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_1")
GATYS_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
Compare = Callable[[FeatureMaps, Any, Mask | None, torch.Generator], Float[Tensor, ""]]


@dataclass(frozen=True)
class StyleLoss:
    """One way to say how far a picture is from a style."""

    layers: tuple[str, ...]
    """Where it looks unless told otherwise."""
    keep: Callable[[FeatureMaps], Any]
    """What is computed of the style picture once."""
    compare: Compare
    """(maps of pictures, what was kept, mask, randomness) -> unweighted loss."""


STYLE_LOSSES: dict[str, StyleLoss] = {
    # Differs from INS: relative to the style's Gram matrix and not squared, so that every layer pulls alike.
    "gram": StyleLoss(GRAM_LAYERS, grams_of, lambda maps, kept, mask, _: relative_gram_loss(grams_of(maps, mask), kept)),
    # INS and Johnson et al. (spec 0.4); with `hw` Gatys's notebook, and a quarter of it the CVPR paper.
    "gram_chw": StyleLoss(GRAM_LAYERS, grams_of, lambda maps, kept, mask, _: gram_loss(grams_of(maps, mask), kept)),
    "gram_hw": StyleLoss(
        GRAM_LAYERS,
        lambda maps: grams_of(maps, norm="hw"),
        lambda maps, kept, mask, _: gram_loss(grams_of(maps, mask, "hw"), kept),
    ),
    "gram_raw": StyleLoss(
        GRAM_LAYERS,
        lambda maps: grams_of(maps, norm="hw"),
        lambda maps, kept, mask, _: gram_loss(grams_of(maps, mask, "hw"), kept) / 4,
    ),
    # AdaIN (spec D).
    "statistics": StyleLoss(
        GRAM_LAYERS, statistics_of, lambda maps, kept, mask, _: statistics_loss(statistics_of(maps, mask), kept)
    ),
    # ARF: the third block, joined.
    "nnfm": StyleLoss(
        ("relu3_1", "relu3_2", "relu3_3"),
        unit_vectors,
        lambda maps, kept, mask, _: nearest_neighbour_loss(unit_vectors(maps), kept, mask),
    ),
    # Heitz et al., CVPR 2021.
    "swd": StyleLoss(
        GRAM_LAYERS, dict, lambda maps, kept, mask, generator: sliced_wasserstein_loss(maps, kept, generator, mask)
    ),
}


def parse_style_losses(words: tuple[str, ...]) -> dict[str, float]:
    """Names, each with a weight behind a colon when it is not 1.

    >>> parse_style_losses(("gram", "nnfm:0.3"))
    {'gram': 1.0, 'nnfm': 0.3}
    """
    weights: dict[str, float] = {}
    for word in words:
        name, _, weight = word.partition(":")
        if name not in STYLE_LOSSES:
            raise ValueError(f"style-loss: there is no {name!r}; choose among {', '.join(get_args(StyleLossName))}.")
        if name in weights:
            raise ValueError(f"style-loss: {name} is named twice; name it once, with the sum of its weights.")
        try:
            weights[name] = float(weight or 1)
        except ValueError as error:
            raise ValueError(f"style-loss: {weight!r} in {word!r} is not a number; write {name}:0.5.") from error
        if not 0 <= weights[name] < float("inf"):
            raise ValueError(f"style-loss: the weight of {name} is {weights[name]}; use 0 or more.")
    if not weights:
        raise ValueError(f"style-loss: none is given; choose among {', '.join(get_args(StyleLossName))}.")
    return weights


def layers_of(name: str, chosen: tuple[str, ...]) -> tuple[str, ...]:
    """The layers a loss looks at: those chosen for all, or its own."""
    return chosen or STYLE_LOSSES[name].layers


def pyramid_features(
    features: PerceptualFeatures,
    pictures: Float[Tensor, "batch 3 height width"],
    layers: tuple[str, ...],
    scales: tuple[int, ...],
) -> FeatureMaps:
    """Feature maps of pictures shrunk by each of `scales`: `relu1_2` at scale 1, `relu1_2/4` at scale 4.

    With several scales every style loss is a multi-scale one; `gram statistics` at 1, 2, 4 is the loss of SGSST (SOS).
    """
    maps: FeatureMaps = {}
    for scale in scales:
        size = tuple(max(side // scale, 1) for side in pictures.shape[2:])
        shrunk = pictures if scale == 1 else F.interpolate(pictures, size=size, mode="area")
        found = features(shrunk, layers)
        maps |= dict(zip(scaled_names(tuple(found), (scale,)), found.values(), strict=True))
    return maps


def scaled_names(layers: tuple[str, ...], scales: tuple[int, ...]) -> tuple[str, ...]:
    """What `pyramid_features` calls these layers at every scale.

    >>> scaled_names(("relu1_2",), (1, 4))
    ('relu1_2', 'relu1_2/4')
    """
    return tuple(layer if scale == 1 else f"{layer}/{scale}" for scale in scales for layer in layers)


def select(maps: dict[str, Tensor], layers: tuple[str, ...], scales: tuple[int, ...]) -> dict[str, Tensor]:
    """The maps of some layers at every scale."""
    return {name: maps[name] for name in scaled_names(layers, scales)}


def loss_weights(words: tuple[str, ...], style: float, content: float, tv: float) -> dict[str, float]:
    """{content_loss, NAME_loss of every style loss, tv_loss: weight}, in the order in which losses are computed.

    >>> loss_weights(("gram", "nnfm:0.5"), style=2.0, content=0.1, tv=0.0)
    {'content_loss': 0.1, 'gram_loss': 2.0, 'nnfm_loss': 1.0, 'tv_loss': 0.0}
    """
    styles = {f"{name}_loss": style * share for name, share in parse_style_losses(words).items()}
    return {"content_loss": content, **styles, "tv_loss": tv}


def named_losses(
    terms: list[str],
    pictures: Float[Tensor, "batch 3 height width"],
    maps: FeatureMaps,
    content: FeatureMaps,
    kept: dict[str, Any],
    layers: Callable[[str], tuple[str, ...]],
    generator: torch.Generator,
    mask: Mask | None = None,
) -> dict[str, Float[Tensor, ""]]:
    """The losses called `terms`, unweighted: of `pictures` and their `maps` against a content and what styles `kept`.

    `layers` gives the names, scales included, of the maps that a style loss looks at.
    """
    found = {}
    for term in terms:
        if term == "content_loss":
            found[term] = content_loss(maps, content, mask)
        elif term == "tv_loss":
            found[term] = total_variation_loss(pictures, mask)
        else:
            name = term.removesuffix("_loss")
            seen = {layer: maps[layer] for layer in layers(name)}
            found[term] = STYLE_LOSSES[name].compare(seen, kept[name], mask, generator)
    return found
