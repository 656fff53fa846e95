"""Distances of a picture to style pictures and to its content, in the features of an encoder.

Every distance is 0 for the style itself. None has a unit that holds between networks, or between pictures of other sizes:
look at styles and pictures through one judge, and at strokes of one size.
"""

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from ins3d.perception.color_transfer import weighted_moments
from ins3d.perception.features import FeatureMaps, PerceptualFeatures
from ins3d.perception.losses import (
    Mask,
    content_loss,
    relative_statistics_distance,
    self_distances,
    statistics_of,
)
from ins3d.style.losses import STYLE_LOSSES, StyleLoss

JUDGED_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
"""What a judge must have been built with: the style layers of AdaIN (Huang and Belongie 2017, section 6.2)."""
FRECHET_LAYER = "relu2_1"
CONTENT_LAYER = "relu4_1"
SELF_LAYERS = ("relu2_1", "relu3_1", "relu4_1")
NUM_PLACES = 1024
"""Places of a picture whose likeness to each other is compared."""
SEED = 0
"""Of the directions that the sliced Wasserstein distance looks along, and of the places that self-similarity compares: the
same for all pictures and styles."""

Painted = tuple[Float[Tensor, "3 _ _"], Float[Tensor, "1 _ _"] | None]
"""A picture and where it counts."""
Moments = tuple[Float[Tensor, " channels"], Float[Tensor, "channels channels"]]
"""Mean and covariance of the vectors at a map's positions, in float64."""


def frechet_distance(
    mean: Float[Tensor, " channels"],
    covariance: Float[Tensor, "channels channels"],
    other_mean: Float[Tensor, " channels"],
    other_covariance: Float[Tensor, "channels channels"],
) -> Float[Tensor, ""]:
    """|m - n|^2 + tr(C + D - 2 (C D)^1/2) of two Gaussians: their squared Wasserstein distance (Heusel et al. 2017, eq. 6).

    The root's trace is taken from the eigenvalues of C^1/2 D C^1/2, which are those of C D and which stay real.

    >>> one, two = torch.tensor([1.0]).double(), torch.tensor([4.0]).double()
    >>> frechet_distance(one, torch.diag(one), two, torch.diag(two)).item()  # (4 - 1)^2 + (2 - 1)^2
    10.0
    """
    values, vectors = torch.linalg.eigh(covariance)
    root = vectors @ torch.diag(values.clamp(min=0).sqrt()) @ vectors.T
    shared = torch.linalg.eigvalsh(root @ other_covariance @ root).clamp(min=0).sqrt().sum()
    spread = covariance.trace() + other_covariance.trace() - 2 * shared
    return (mean - other_mean).square().sum() + spread.clamp(min=0)


def moments_of(features: Float[Tensor, "1 channels height width"], mask: Mask | None = None) -> Moments:
    """The Gaussian that fits the vectors at all positions best; with a mask, positions count by their weight."""
    weights = None if mask is None else F.interpolate(mask.double(), size=features.shape[2:], mode="area")
    return weighted_moments(features[0].flatten(1).T, None if weights is None else weights[0].flatten(1).T)


def _frechet_of_maps(maps: FeatureMaps, kept: Moments, mask: Mask | None, _: torch.Generator) -> Float[Tensor, ""]:
    return frechet_distance(*moments_of(maps[FRECHET_LAYER], mask), *kept)


STYLE_DISTANCES: dict[str, StyleLoss] = {
    "gram": replace(STYLE_LOSSES["gram"], layers=JUDGED_LAYERS),
    "statistics": StyleLoss(
        JUDGED_LAYERS,
        statistics_of,
        lambda maps, kept, mask, _: relative_statistics_distance(statistics_of(maps, mask), kept),
    ),
    # Differs from SIFID (Shaham et al. 2019, section 4.2): a layer of VGG instead of one of Inception.
    "sifid": StyleLoss((FRECHET_LAYER,), lambda maps: moments_of(maps[FRECHET_LAYER]), _frechet_of_maps),
    "swd": replace(STYLE_LOSSES["swd"], layers=JUDGED_LAYERS),
}
"""By name: the layers it reads, what it caches of a style picture, and how it compares with that. Never differentiated."""


def keep_style(maps: FeatureMaps) -> dict[str, Any]:
    """{name in `STYLE_DISTANCES`: its cached reference} for the maps of one style picture."""
    return {name: each.keep({layer: maps[layer] for layer in each.layers}) for name, each in STYLE_DISTANCES.items()}


def distances_of_maps(maps: FeatureMaps, kept: dict[str, Any], mask: Mask | None = None) -> dict[str, float]:
    """{name in `STYLE_DISTANCES`: distance} of one picture's maps to the style that `keep_style` cached."""
    found = {}
    for name, distance in STYLE_DISTANCES.items():
        seen = {layer: maps[layer] for layer in distance.layers}
        found[name] = float(distance.compare(seen, kept[name], mask, torch.Generator().manual_seed(SEED)))
    return found


def recognised(painted: str, distances: dict[str, dict[str, float]]) -> dict[str, bool]:
    """By name of the distance: is every style but the one that was `painted` farther away? Always so where none is known.

    `distances` are {name in `STYLE_DISTANCES`: {style: distance}}.

    >>> recognised("wave", {"gram": {"wave": 0.4, "mosaic": 0.3}})
    {'gram': False}
    """
    return {
        name: all(row[painted] < value for style, value in row.items() if style != painted)
        for name, row in distances.items()
    }


class StyleDistances:
    """Distances to style pictures, whose features are computed once and kept. `features` must have `JUDGED_LAYERS`."""

    def __init__(self, features: PerceptualFeatures, styles: dict[str, Float[Tensor, "3 _ _"]]) -> None:
        self.features = features
        self.kept = {name: keep_style(_see(features, picture, JUDGED_LAYERS)) for name, picture in styles.items()}

    @torch.no_grad()
    def measure(
        self, picture: Float[Tensor, "3 height width"], mask: Float[Tensor, "1 height width"] | None = None
    ) -> dict[str, dict[str, float]]:
        """{name in `STYLE_DISTANCES`: {style: distance}}; positions count by the mask's weights, in [0, 1].

        What the mask leaves out is still seen from next to it: the network looks at surroundings.
        """
        _refuse_empty(mask)
        maps = _see(self.features, picture, JUDGED_LAYERS)
        found = {style: distances_of_maps(maps, kept, _batched(mask)) for style, kept in self.kept.items()}
        return {name: {style: each[name] for style, each in found.items()} for name in STYLE_DISTANCES}

    def measure_all(self, pictures: list[Painted]) -> dict[str, dict[str, float]]:
        """As `measure`, means over pictures and their masks."""
        if not pictures:
            raise ValueError("pictures: none is given; give one or more.")
        found = [self.measure(*each) for each in pictures]
        return {
            name: {style: sum(each[name][style] for each in found) / len(found) for style in self.kept}
            for name in STYLE_DISTANCES
        }


@torch.no_grad()
def content_distance(
    features: PerceptualFeatures,
    picture: Float[Tensor, "3 height width"],
    reference: Float[Tensor, "3 height width"],
    mask: Float[Tensor, "1 height width"] | None = None,
) -> float:
    """|F - G| / |G| of the maps at relu4_1 of a picture and of what it should show; positions count by their weight.

    0 for the same picture; as much as the reference itself, 1, for maps of zeros. It is not symmetric.
    """
    _refuse_empty(mask)
    maps, targets = (_see(features, each, (CONTENT_LAYER,)) for each in (picture, reference))
    nothing = {layer: torch.zeros_like(target) for layer, target in targets.items()}
    away, length = (content_loss(each, targets, _batched(mask)) for each in (maps, nothing))
    return float((away / length.clamp(min=1e-12)).sqrt())


@torch.no_grad()
def self_similarity(
    features: PerceptualFeatures,
    picture: Float[Tensor, "3 height width"],
    reference: Float[Tensor, "3 height width"],
    mask: Float[Tensor, "1 height width"] | None = None,
) -> float:
    """How much is left of what is alike and what is not within a picture, whatever its colours: 1 is all of it.

    STROTSS's content distance (Kolkin et al. 2019, section 3.3): the cosine distances of hypercolumns between places of one
    picture, as shares of each place's sum. Differs in its scale, which is 0 where the picture tells as much about the
    reference as it does with its places shuffled; STROTSS's own hardly leaves .1 between a picture and any other. Only
    places count where the mask is above one half, if any is.
    """
    _refuse_empty(mask)
    seen = torch.ones_like(picture[0]) if mask is None else mask[0]
    places = _places(seen > min(0.5, float(seen.max()) / 2))
    ours, theirs = (_likeness(features, each, places) for each in (picture, reference))
    order = torch.randperm(len(places), generator=torch.Generator().manual_seed(SEED + 1)).to(places.device)
    moved, most = ((each - theirs).abs().sum() for each in (ours, ours[order][:, order]))
    return 1 - float(moved / most.clamp(min=1e-6))


def _likeness(features: PerceptualFeatures, picture: Tensor, places: Tensor) -> Float[Tensor, "places places"]:
    """Cosine distances of hypercolumns, all layers counting alike; each column sums to 1."""
    maps = _see(features, picture, SELF_LAYERS)
    columns = torch.cat([F.normalize(_at(maps[layer], places), dim=1) for layer in SELF_LAYERS], dim=1)
    return self_distances(columns)


def _places(seen: Bool[Tensor, "height width"]) -> Float[Tensor, "places 2"]:
    """Centres of at most NUM_PLACES of the pixels that are seen, (x, y) in [-1, 1] as torch's grids; the same every time."""
    rows, columns = seen.nonzero(as_tuple=True)
    chosen = torch.randperm(len(rows), generator=torch.Generator().manual_seed(SEED))[:NUM_PLACES].to(rows.device)
    height, width = seen.shape
    return torch.stack([(2 * columns[chosen] + 1) / width - 1, (2 * rows[chosen] + 1) / height - 1], dim=1)


def _at(features: Float[Tensor, "1 channels height width"], places: Tensor) -> Float[Tensor, "places channels"]:
    grid = places[None, None].to(features)
    return F.grid_sample(features, grid, align_corners=False, padding_mode="border")[0, :, 0].T


@torch.no_grad()
def _see(features: PerceptualFeatures, picture: Tensor, layers: tuple[str, ...]) -> FeatureMaps:
    height, width = picture.shape[1:]
    if min(height, width) < features.smallest_side:
        raise ValueError(
            f"picture: {width}x{height} pixels are too few, {features.walk[-1]} needs {features.smallest_side} a side; "
            "give a larger one."
        )
    return features(picture[None], layers)


def _batched(mask: Tensor | None) -> Mask | None:
    return None if mask is None else mask[None]


def _refuse_empty(mask: Tensor | None) -> None:
    if mask is not None and not mask.any():
        raise ValueError("mask: no pixel of the picture counts; leave out pictures that do not show the object.")
