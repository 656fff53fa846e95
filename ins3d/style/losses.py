"""The losses by name: what each keeps of its reference, and how it compares pictures with that.

Others are added by registration: `LOSSES.register(name, loss)`, or an entry point in the group `ins3d.losses`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ins3d.extension.registry import Registry
from ins3d.perception.features import FeatureMaps, PerceptualFeatures
from ins3d.perception.losses import (
    Mask,
    content_loss,
    gram_loss,
    grams_of,
    hypercolumns,
    nearest_neighbour_loss,
    position_weights,
    random_places,
    relative_gram_loss,
    relaxed_earth_movers_loss,
    self_similarity_loss,
    sliced_wasserstein_loss,
    statistics_loss,
    statistics_of,
    total_variation_loss,
    unit_vectors,
)
from ins3d.perception.stroke_direction import Coherences, coherence_loss, coherence_of

GRAM_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_1")
GATYS_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
BOLD_SHARES = {"relu1": 1.0, "relu2": 2.0, "relu3": 8.0, "relu4": 16.0, "relu5": 16.0}
"""How much the layers of a block count in `gram_bold`, fine to coarse: fine ones are what few steps leave as a net of small
curls."""
NUM_COLUMNS = 1000
"""Places at which hypercolumns are compared."""
Compare = Callable[[FeatureMaps, Any, Mask | None, torch.Generator], Float[Tensor, ""]]
PullsTo = Literal["style", "content", "neither"]
MeasuredAt = Literal["start", "elsewhere", "nowhere"]


@dataclass(frozen=True)
class Seen:
    """What is known of the pictures that a step judges: looked at once, however many losses and styles there are."""

    pictures: Float[Tensor, "pictures 3 height width"]
    maps: FeatureMaps
    """Of the pictures, at the layers that the loss looks at; `relu1_2/4` is that layer of pictures shrunk by 4."""
    content: FeatureMaps
    """Of the photographs, at the layers of all losses that pull to the content."""
    mask: Mask | None
    """How much pixels count, in [0, 1]."""
    generator: torch.Generator


@runtime_checkable
class Loss(Protocol):
    """One term of what a style stage minimises; its value is divided by one that is measured before the first step."""

    @property
    def pulls_to(self) -> PullsTo:
        """`style`: has one value for each style of a mix, and less weight where the style is weak. `content`: more weight
        there. `neither`: the same whatever the style, less weight where it is weak."""
        ...

    @property
    def layers(self) -> tuple[str, ...]:
        """Where it looks unless a setting says otherwise; of the content's losses, empty: where `content-layers` says."""
        ...

    @property
    def measured_at(self) -> MeasuredAt:
        """What its value is divided by: that at the unstylised pictures; or, for losses that are 0 or accidental there, that
        of photographs compared with those of other places; or, `nowhere`, nothing: it is a share already."""
        ...

    def prepare(self, reference: FeatureMaps) -> Any:
        """What is computed once of the style picture; its maps are those of `layers`. None where there is nothing."""
        ...

    def value(self, seen: Seen, reference: Any) -> Float[Tensor, ""]:
        """The unweighted loss, against what was prepared; 0 where nothing is to be changed."""
        ...


StylePictures = Sequence[tuple[FeatureMaps, Mask | None]]
"""Of a style: the maps of each of its pictures, and which of their pixels count."""


@runtime_checkable
class LooksAtPlaces(Protocol):
    """A loss to which it matters which features lie beside each other, or are of one place. Others are shown the features
    of several pictures, or of what a mask leaves, as those of one picture of one row."""

    def prepare_pictures(self, pictures: StylePictures) -> Any:
        """What `prepare` is of one whole picture."""
        ...


@dataclass(frozen=True)
class StyleLoss:
    """One way to say how far a picture is from a style."""

    layers: tuple[str, ...]
    """Where it looks unless told otherwise."""
    keep: Callable[[FeatureMaps], Any]
    """The style picture's side of the comparison, computed once."""
    compare: Compare
    """(maps of pictures, the style's side, mask, randomness) -> unweighted loss."""
    pulls_to: PullsTo = "style"
    measured_at: MeasuredAt = "start"

    def prepare(self, reference: FeatureMaps) -> Any:
        """The style picture's side of the comparison."""
        return self.keep(reference)

    def value(self, seen: Seen, reference: Any) -> Float[Tensor, ""]:
        """The distance to it."""
        return self.compare(seen.maps, reference, seen.mask, seen.generator)


class ContentLoss:
    """Feature distance to the photographs (INS, spec A.7)."""

    layers: tuple[str, ...] = ()
    pulls_to: PullsTo = "content"
    measured_at: MeasuredAt = "elsewhere"

    def prepare(self, reference: FeatureMaps) -> None:
        """The photographs are others in every step."""

    def value(self, seen: Seen, reference: None) -> Float[Tensor, ""]:
        """At the layers that the photographs were looked at and that are its own."""
        return content_loss(seen.maps, {layer: seen.content[layer] for layer in seen.maps}, seen.mask)


class RelaxedEarthMovers:
    """STROTSS's style loss at random places: layers in units of the style's root mean square."""

    layers: tuple[str, ...] = ("relu2_1", "relu3_1", "relu4_1")
    pulls_to: PullsTo = "style"
    measured_at: MeasuredAt = "start"

    def prepare(self, reference: FeatureMaps) -> tuple[dict[str, Tensor], Tensor]:
        """(what layers are divided by, hypercolumns of the style picture)."""
        return self.prepare_pictures([(reference, None)])

    def prepare_pictures(self, pictures: StylePictures) -> tuple[dict[str, Tensor], Tensor]:
        """The same of all pictures together, equally many hypercolumns of each."""
        scales = {layer: _root_mean_square([(maps[layer], mask) for maps, mask in pictures]) for layer in pictures[0][0]}
        generator, columns = torch.Generator().manual_seed(0), []
        for maps, mask in pictures:
            device = next(iter(maps.values())).device
            places = random_places(mask, math.ceil(NUM_COLUMNS / len(pictures)), generator, device)
            columns.append(hypercolumns(_scaled(maps, scales), places))
        return scales, torch.cat(columns)

    def value(self, seen: Seen, reference: tuple[dict[str, Tensor], Tensor]) -> Float[Tensor, ""]:
        """Of the pictures, one by one."""
        scales, columns = reference
        found = []
        for number in range(len(seen.pictures)):
            mask = None if seen.mask is None else seen.mask[number : number + 1]
            places = random_places(mask, NUM_COLUMNS, seen.generator, columns.device)
            maps = {layer: values[number : number + 1] for layer, values in seen.maps.items()}
            found.append(relaxed_earth_movers_loss(hypercolumns(_scaled(maps, scales), places), columns))
        return torch.stack(found).mean()


class StrokeCoherence:
    """Strokes have at least as much direction as the style's.

    Not of INS: few steps leave short curls that lie across the strokes, which no Gram matrix sees.
    """

    layers: tuple[str, ...] = ("relu1_2",)
    pulls_to: PullsTo = "style"
    measured_at: MeasuredAt = "nowhere"

    def prepare(self, reference: FeatureMaps) -> Coherences:
        """The style's own."""
        return coherence_of(reference)

    def prepare_pictures(self, pictures: StylePictures) -> Coherences:
        """The mean of its pictures."""
        found = [coherence_of(maps, mask) for maps, mask in pictures]
        return {layer: torch.stack([each[layer] for each in found]).mean(0) for layer in found[0]}

    def value(self, seen: Seen, reference: Coherences) -> Float[Tensor, ""]:
        """The share of it that is missing."""
        return coherence_loss(coherence_of(seen.maps, seen.mask), reference)


class SelfSimilarity:
    """STROTSS's content loss: which places resemble each other, and not what they look like."""

    layers: tuple[str, ...] = ("relu2_1", "relu3_1", "relu4_1")
    pulls_to: PullsTo = "content"
    measured_at: MeasuredAt = "elsewhere"

    def prepare(self, reference: FeatureMaps) -> None:
        """The photographs are others in every step."""

    def value(self, seen: Seen, reference: None) -> Float[Tensor, ""]:
        """Of the pictures, one by one."""
        found = []
        for number in range(len(seen.pictures)):
            mask = None if seen.mask is None else seen.mask[number : number + 1]
            places = random_places(mask, NUM_COLUMNS, seen.generator, seen.pictures.device)
            painted = {layer: values[number : number + 1] for layer, values in seen.maps.items()}
            photograph = {layer: seen.content[layer][number : number + 1] for layer in seen.maps}
            found.append(self_similarity_loss(hypercolumns(painted, places), hypercolumns(photograph, places)))
        return torch.stack(found).mean()


def _root_mean_square(parts: list[tuple[Tensor, Mask | None]]) -> Tensor:
    weighed = [(values.float(), position_weights(mask, values).float()) for values, mask in parts]
    total = sum((values.square() * weights).sum() for values, weights in weighed)
    number = sum(weights.sum() * values.shape[1] for values, weights in weighed)
    return (total / number).sqrt().clamp(min=1e-6)  # type: ignore[union-attr]


def _scaled(maps: FeatureMaps, scales: dict[str, Tensor]) -> FeatureMaps:
    return {layer: values / scales[layer] for layer, values in maps.items()}


class TotalVariation:
    """Against noise; 1 is that of the photographs."""

    layers: tuple[str, ...] = ()
    pulls_to: PullsTo = "neither"
    measured_at: MeasuredAt = "elsewhere"

    def prepare(self, reference: FeatureMaps) -> None:
        """There is no reference."""

    def value(self, seen: Seen, reference: None) -> Float[Tensor, ""]:
        """Of the pictures themselves."""
        return total_variation_loss(seen.pictures, seen.mask)


STYLE_LOSSES: dict[str, StyleLoss] = {
    # Differs from INS: relative to the style's Gram matrix and not squared, so that every layer pulls alike.
    "gram": StyleLoss(GRAM_LAYERS, grams_of, lambda maps, style, mask, _: relative_gram_loss(grams_of(maps, mask), style)),
    # Coarse layers count more, for bold strokes (docs/results.md).
    "gram_bold": StyleLoss(
        GRAM_LAYERS,
        grams_of,
        lambda maps, style, mask, _: relative_gram_loss(grams_of(maps, mask), style, BOLD_SHARES),
    ),
    # INS and Johnson et al. (spec 0.4); with `hw` Gatys's notebook, and with `gram_hw:0.25` the CVPR paper.
    "gram_chw": StyleLoss(GRAM_LAYERS, grams_of, lambda maps, style, mask, _: gram_loss(grams_of(maps, mask), style)),
    "gram_hw": StyleLoss(
        GRAM_LAYERS,
        lambda maps: grams_of(maps, norm="hw"),
        lambda maps, style, mask, _: gram_loss(grams_of(maps, mask, "hw"), style),
    ),
    # AdaIN (spec D).
    "statistics": StyleLoss(
        GRAM_LAYERS, statistics_of, lambda maps, style, mask, _: statistics_loss(statistics_of(maps, mask), style)
    ),
    # ARF: the third block, joined.
    "nnfm": StyleLoss(
        ("relu3_1", "relu3_2", "relu3_3"),
        unit_vectors,
        lambda maps, style, mask, _: nearest_neighbour_loss(unit_vectors(maps), style, mask),
    ),
    # Heitz et al., CVPR 2021.
    "swd": StyleLoss(
        GRAM_LAYERS, dict, lambda maps, style, mask, generator: sliced_wasserstein_loss(maps, style, generator, mask)
    ),
}

LOSSES: Registry[Loss] = Registry("loss", "ins3d.losses", Loss)
LOSSES.register("content", ContentLoss())
for _name, _loss in STYLE_LOSSES.items():
    LOSSES.register(_name, _loss)
LOSSES.register("remd", RelaxedEarthMovers())
LOSSES.register("coherence", StrokeCoherence())
LOSSES.register("self_similarity", SelfSimilarity())
LOSSES.register("tv", TotalVariation())

WEIGHTED_APART = {"content": "content-weight", "tv": "tv-weight"}
"""Losses that no list names: each has a setting for its weight."""


def loss_of(term: str) -> Loss:
    """The loss whose values are reported under a name such as `gram_loss`."""
    return LOSSES[term.removesuffix("_loss")]


def parse_style_losses(words: tuple[str, ...]) -> dict[str, float]:
    """Names in `LOSSES`, each with a weight behind a colon when it is not 1.

    >>> parse_style_losses(("gram", "nnfm:0.3"))
    {'gram': 1.0, 'nnfm': 0.3}
    """
    weights: dict[str, float] = {}
    for word in words:
        name, _, weight = word.partition(":")
        LOSSES.find(name, "style-loss")
        if name in WEIGHTED_APART:
            raise ValueError(f"style-loss: {name} has a weight of its own; set {WEIGHTED_APART[name]}.")
        if name in weights:
            raise ValueError(f"style-loss: {name} is named twice; name it once, with the sum of its weights.")
        try:
            weights[name] = float(weight or 1)
        except ValueError as error:
            raise ValueError(f"style-loss: {weight!r} in {word!r} is not a number; write {name}:0.5.") from error
        if not 0 <= weights[name] < float("inf"):
            raise ValueError(f"style-loss: the weight of {name} is {weights[name]}; use 0 or more.")
    if not weights:
        raise ValueError(f"style-loss: none is given; choose among {', '.join(LOSSES)}.")
    return weights


def layers_of(name: str, chosen: tuple[str, ...], content_layers: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The layers a loss looks at: of those that pull to the style, the ones chosen for all, or its own."""
    loss = LOSSES[name]
    if loss.pulls_to == "style":
        return chosen or loss.layers
    return loss.layers or (content_layers if loss.pulls_to == "content" else ())


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


def loss_weights(words: tuple[str, ...], content: float, tv: float) -> dict[str, float]:
    """{content_loss, NAME_loss of every loss that is named, tv_loss: weight}, in the order in which losses are computed.

    >>> loss_weights(("gram", "nnfm:0.5"), content=0.1, tv=0.0)
    {'content_loss': 0.1, 'gram_loss': 1.0, 'nnfm_loss': 0.5, 'tv_loss': 0.0}
    """
    styles = {f"{name}_loss": weight for name, weight in parse_style_losses(words).items()}
    if not any(styles.values()):
        raise ValueError("style-loss: every weight is 0; give one of them a weight above 0.")
    return {"content_loss": content, **styles, "tv_loss": tv}
