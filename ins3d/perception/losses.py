"""Perceptual losses: from feature maps, how far a picture is from a content or from a style.

All losses are unweighted. Masks are weights in [0, 1] of picture positions; they are shrunk to each layer's size.
"""

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ins3d.perception.features import FeatureMaps

Grams = dict[str, Float[Tensor, "_ _ _"]]
"""By layer name: batch, channels, channels."""
Mask = Float[Tensor, "_ 1 _ _"]
"""Batch, 1, height and width of the picture."""
Statistics = dict[str, tuple[Float[Tensor, "_ _"], Float[Tensor, "_ _"]]]
"""By layer name: mean and standard deviation, each batch, channels."""
GramNorm = Literal["chw", "hw"]
"""What F F^T is divided by: channels and positions (INS), or positions (Gatys's notebook)."""


def gram_matrix(
    features: Float[Tensor, "batch channels height width"], mask: Mask | None = None, norm: GramNorm = "chw"
) -> Float[Tensor, "batch channels channels"]:
    """F F^T, divided as `norm` says (spec 0.4). With a mask, positions count by their weight.

    Computed in float32: sums over thousands of positions lose their digits in bfloat16.

    >>> gram_matrix(torch.tensor([[[[1.0, 2.0]], [[0.0, 1.0]]]])).tolist()
    [[[1.25, 0.5], [0.5, 0.25]]]
    """
    flat = features.float().flatten(2)
    if mask is None:
        gram, positions = flat @ flat.transpose(1, 2), flat.new_tensor(flat.shape[2])
    else:
        weights = _shrunk(mask, features).float().flatten(2)
        gram, positions = (flat * weights) @ flat.transpose(1, 2), weights.sum(2, keepdim=True).clamp(min=1e-6)
    return gram / (positions * features.shape[1] if norm == "chw" else positions)


def grams_of(maps: FeatureMaps, mask: Mask | None = None, norm: GramNorm = "chw") -> Grams:
    """The Gram matrix of every layer."""
    return {layer: gram_matrix(features, mask, norm) for layer, features in maps.items()}


def gram_loss(grams: Grams, targets: Grams) -> Float[Tensor, ""]:
    """The mean squared difference of each layer's Gram matrices, summed over layers: INS's style loss with `chw` (A.7).

    With `hw` it is that of Gatys's notebook, C^2 times as large in each layer; a quarter of that is the CVPR paper's.
    """
    return torch.stack([F.mse_loss(grams[layer], targets[layer].expand_as(grams[layer])) for layer in targets]).sum()


def relative_gram_loss(grams: Grams, targets: Grams, shares: Mapping[str, float] | None = None) -> Float[Tensor, ""]:
    """|G - G_style| / |G_style| (Frobenius), mean over layers and pictures: 0 at the style, near 1 for anything else.

    `shares`: how much a layer counts in the mean, by its block (`relu1`); all alike where there are none.

    Differs from INS: free of the encoder's scale, so a weight near 1 fits every network and every style.

    >>> twice = {"relu1_1": 2 * torch.eye(2)[None]}
    >>> relative_gram_loss(twice, {"relu1_1": torch.eye(2)[None]}).item()
    1.0
    """
    counts = [1.0 if shares is None else shares[layer.partition("_")[0]] for layer in targets]
    distances = [_relative_distance(grams[layer], targets[layer]) for layer in targets]
    return torch.stack([count * distance for count, distance in zip(counts, distances, strict=True)]).sum() / sum(counts)


def content_loss(maps: FeatureMaps, targets: FeatureMaps, mask: Mask | None = None) -> Float[Tensor, ""]:
    """The mean squared difference of feature maps, summed over the layers of `targets` (spec A.7)."""
    losses = []
    for layer, target in targets.items():
        squared = (maps[layer] - target) ** 2
        weights = position_weights(mask, squared)
        losses.append((squared * weights).sum() / (weights.sum() * squared.shape[1]).clamp(min=1e-6))
    return torch.stack(losses).sum()


def statistics_of(maps: FeatureMaps, mask: Mask | None = None) -> Statistics:
    """Mean and standard deviation of every channel, as AdaIN takes them: unbiased, 1e-5 inside the root (spec 0.4)."""
    return {layer: _mean_and_std(features, mask) for layer, features in maps.items()}


def statistics_loss(statistics: Statistics, targets: Statistics) -> Float[Tensor, ""]:
    """AdaIN's style loss: squared differences of means and of deviations, averaged over channels, summed over layers."""
    terms = []
    for layer, target in targets.items():
        for value, wanted in zip(statistics[layer], target, strict=True):
            terms.append(F.mse_loss(value, wanted.expand_as(value)))
    return torch.stack(terms).sum()


def relative_statistics_distance(statistics: Statistics, targets: Statistics) -> Float[Tensor, ""]:
    """|a - b| / |b| of the vector of all channels' means and standard deviations, mean over layers and pictures.

    Differs from AdaIN's loss (Huang and Belongie 2017, eq. 13): free of the encoder's scale, so that all layers count alike.
    """
    distances = []
    for layer, target in targets.items():
        found, wanted = torch.cat(statistics[layer], dim=1), torch.cat(target, dim=1)
        distances.append(((found - wanted).norm(dim=1) / wanted.norm(dim=1)).mean())
    return torch.stack(distances).mean()


def unit_vectors(maps: FeatureMaps) -> dict[str, Float[Tensor, "_ _ _ _"]]:
    """Feature maps whose vector at each position has length 1; layers of one block are joined, as in ARF.

    Keyed by the names of the joined layers. A vector of zeros stays one, and is at distance 1 from everything.
    """
    blocks: dict[tuple[str, str], list[str]] = {}
    for layer in maps:
        name, _, scale = layer.partition("/")
        blocks.setdefault((name.partition("_")[0], scale), []).append(layer)
    joined = {" ".join(layers): torch.cat([maps[layer] for layer in layers], dim=1) for layers in blocks.values()}
    return {layers: F.normalize(features.float(), dim=1, eps=1e-6) for layers, features in joined.items()}


MOST_NEIGHBOURS = 2**12
"""Positions of a style, evenly spread over it. Searched among all of a style of 800 pixels, they took 70 % of a step."""


def nearest_neighbour_loss(
    vectors: dict[str, Tensor], targets: dict[str, Tensor], mask: Mask | None = None, chunk: int = 1024
) -> Float[Tensor, ""]:
    """ARF's NNFM (eq. 1): the cosine distance of each position to the most similar position of the style, averaged.

    Takes `unit_vectors`. The search runs in chunks and without gradients, so that memory does not grow with the pictures'
    product; the gradient goes through the distance to the neighbours found, as in ARF. Summed over layers. Differs from ARF
    for large styles: `MOST_NEIGHBOURS` of their positions are searched.
    """
    losses = []
    for layers, values in vectors.items():
        style = targets[layers][0].flatten(1)
        if style.shape[1] > MOST_NEIGHBOURS:
            style = style[:, torch.linspace(0, style.shape[1] - 1, MOST_NEIGHBOURS, device=style.device).long()]
        flat = values.permute(0, 2, 3, 1).flatten(0, 2)
        nearest = [(part @ style).argmax(1) for part in flat.detach().split(chunk)]
        distances = 1 - (flat * style.T[torch.cat(nearest)]).sum(1)
        weights = position_weights(mask, values).flatten()
        losses.append((distances * weights).sum() / weights.sum().clamp(min=1e-6))
    return torch.stack(losses).sum()


def sliced_wasserstein_loss(
    maps: FeatureMaps, targets: FeatureMaps, generator: torch.Generator, mask: Mask | None = None
) -> Float[Tensor, ""]:
    """Mean squared distance of sorted projections on as many random directions as channels (Heitz et al., CVPR 2021).

    Pictures of other sizes than the style's are compared quantile by quantile; with a mask, a position's share of them is
    its weight. Summed over layers; the directions are drawn anew at each call.
    """
    losses = []
    for layer, target in targets.items():
        features = maps[layer]
        channels = features.shape[1]
        directions = F.normalize(torch.randn(channels, channels, generator=generator), dim=1).to(features)
        style = (directions @ target[0].flatten(1)).sort(dim=1).values
        weights = position_weights(mask, features)
        for picture, weight in zip(features.flatten(2), weights.flatten(1), strict=True):
            losses.append(_quantile_distance(directions @ picture, weight, style) / len(features))
    return torch.stack(losses).sum()


def relaxed_earth_movers_loss(
    columns: Float[Tensor, "points channels"], targets: Float[Tensor, "others channels"]
) -> Float[Tensor, ""]:
    """The larger of the two mean cosine distances to the nearest of the other set (STROTSS, Kolkin et al. 2019, eq. 2-4).

    From the targets to the picture it says which parts of the style are not used. 0 for the same sets, at most 2.

    >>> relaxed_earth_movers_loss(torch.eye(2), torch.tensor([[1.0, 0.0]])).item()
    0.5
    """
    cost = 1 - F.normalize(columns, dim=1, eps=1e-6) @ F.normalize(targets, dim=1, eps=1e-6).T
    return torch.maximum(cost.amin(0).mean(), cost.amin(1).mean())


def self_similarity_loss(
    columns: Float[Tensor, "points channels"], targets: Float[Tensor, "points channels"]
) -> Float[Tensor, ""]:
    """How differently places of a picture resemble each other than those of the content do (STROTSS, eq. 6).

    Mean absolute difference of the cosine distances between all pairs of places, of which each column adds up to 1,
    times the number of places.
    """
    return (self_distances(columns) - self_distances(targets)).abs().sum(0).mean()


def self_distances(columns: Float[Tensor, "points channels"]) -> Float[Tensor, "points points"]:
    """Cosine distances between all pairs of places of one picture; each column adds up to 1 (STROTSS, eq. 6)."""
    unit = F.normalize(columns, dim=1, eps=1e-6)
    apart = (1 - unit @ unit.T).clamp(min=0)
    return apart / apart.sum(0, keepdim=True).clamp(min=1e-6)


def hypercolumns(maps: FeatureMaps, places: Float[Tensor, "points 2"]) -> Float[Tensor, "points channels"]:
    """The features of all layers of one picture at places in [-1, 1] (across, down), bilinear."""
    grid = places[None, None]
    return torch.cat(
        [
            F.grid_sample(values.float(), grid, align_corners=False, padding_mode="border")[0, :, 0].T
            for values in maps.values()
        ],
        dim=1,
    )


def random_places(
    mask: Mask | None, number: int, generator: torch.Generator, device: torch.device
) -> Float[Tensor, "points 2"]:
    """Places in [-1, 1] (across, down) of the first picture; with a mask, as often as pixels count."""
    if mask is None:
        return (2 * torch.rand(number, 2, generator=generator) - 1).to(device)
    height, width = mask.shape[2:]
    flat = torch.multinomial(mask[0].flatten().float().cpu() + 1e-9, number, replacement=True, generator=generator)
    across, down = flat % width + 0.5, flat // width + 0.5
    return torch.stack([2 * across / width - 1, 2 * down / height - 1], dim=1).to(device)


def total_variation_loss(
    pictures: Float[Tensor, "batch channels height width"], mask: Mask | None = None
) -> Float[Tensor, ""]:
    """The mean absolute difference to the right and lower neighbours, each averaged, averaged over pictures (as kornia's).

    With a mask, a difference counts by the smaller weight of its two pixels.
    """
    mask = torch.ones_like(pictures[:, :1]) if mask is None else mask.to(pictures).expand(len(pictures), -1, -1, -1)
    terms = []
    for axis in (2, 3):
        length = pictures.shape[axis] - 1
        steps = pictures.narrow(axis, 1, length) - pictures.narrow(axis, 0, length)
        weights = torch.minimum(mask.narrow(axis, 1, length), mask.narrow(axis, 0, length))
        terms.append((steps.abs() * weights).sum() / (weights.sum() * pictures.shape[1]).clamp(min=1e-6))
    return torch.stack(terms).sum()


def at_quantiles(
    values: Float[Tensor, "rows values"], quantiles: Float[Tensor, "rows quantiles"]
) -> Float[Tensor, "rows quantiles"]:
    """What stands at quantiles, in [0, 1], of sorted values: linear between them; value i of n stands at (i + 1/2) / n."""
    last = values.shape[1] - 1
    places = (quantiles * values.shape[1] - 0.5).clamp(0, last)
    below = places.floor().long()
    above = (below + 1).clamp(max=last)
    return torch.lerp(values.gather(1, below), values.gather(1, above), places - below)


def position_weights(mask: Mask | None, features: Tensor) -> Tensor:
    """How much each position of each picture counts: batch, 1, height, width of the features."""
    if mask is None:
        return torch.ones_like(features[:, :1])
    return _shrunk(mask, features).expand(len(features), -1, -1, -1)


def _relative_distance(gram: Tensor, target: Tensor) -> Tensor:
    # The square root's gradient is infinite at zero: the tiny number stands inside it.
    distance = ((gram - target) ** 2).sum((1, 2)).add(1e-12).sqrt()
    return (distance / (target**2).sum((1, 2)).sqrt().clamp(min=1e-6)).mean()


def _shrunk(mask: Tensor, features: Tensor) -> Tensor:
    return F.interpolate(mask.to(features.dtype), size=features.shape[2:], mode="area")


def _mean_and_std(features: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    flat = features.float().flatten(2)
    if mask is None and flat.shape[2] > 1:
        variance, mean = torch.var_mean(flat, dim=2)
        return mean, (variance + 1e-5).sqrt()
    weights = position_weights(mask, features).float().flatten(2)
    total = weights.sum(2).clamp(min=1e-6)
    mean = (flat * weights).sum(2) / total
    # Unbiased for weights that say how far a position counts; of a single position nothing is known.
    freedom = (total - (weights**2).sum(2) / total).clamp(min=1e-6)
    variance = ((flat - mean[..., None]) ** 2 * weights).sum(2) / freedom
    return mean, (variance + 1e-5).sqrt()


def _quantile_distance(values: Tensor, weights: Tensor, style: Tensor) -> Tensor:
    """`values` directions x positions; `style` sorted: what the style has at the quantile where each value stands."""
    values, order = values.sort(dim=1)
    weights = weights[order]
    total = weights.sum(1, keepdim=True).clamp(min=1e-6)
    wanted = at_quantiles(style, (weights.cumsum(1) - weights / 2) / total)
    return (((values - wanted) ** 2 * weights).sum(1) / total[:, 0]).mean()
