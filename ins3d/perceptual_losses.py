"""Feature maps become one number: how far a picture is from a content or from a style.

All losses are unweighted. Masks are weights in [0, 1] of picture positions; they are shrunk to each layer's size.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ins3d.perceptual_features import FeatureMaps

Grams = dict[str, Float[Tensor, "_ _ _"]]
"""By layer name: batch, channels, channels."""
Mask = Float[Tensor, "_ 1 _ _"]
"""Batch, 1, height and width of the picture."""


def gram_matrix(
    features: Float[Tensor, "batch channels height width"], mask: Mask | None = None
) -> Float[Tensor, "batch channels channels"]:
    """F F^T / (C H W), as INS (spec 0.4, `gram_chw`). With a mask, positions count by their weight.

    Computed in float32: sums over thousands of positions lose their digits in bfloat16.

    >>> gram_matrix(torch.tensor([[[[1.0, 2.0]], [[0.0, 1.0]]]])).tolist()
    [[[1.25, 0.5], [0.5, 0.25]]]
    """
    channels = features.shape[1]
    flat = features.float().flatten(2)
    if mask is None:
        return flat @ flat.transpose(1, 2) / (channels * flat.shape[2])
    weights = _shrunk(mask, features).float().flatten(2)
    return (flat * weights) @ flat.transpose(1, 2) / (channels * weights.sum(2, keepdim=True).clamp(min=1e-6))


def grams_of(maps: FeatureMaps, mask: Mask | None = None) -> Grams:
    """The Gram matrix of every layer."""
    return {layer: gram_matrix(features, mask) for layer, features in maps.items()}


def gram_loss(grams: Grams, targets: Grams) -> Float[Tensor, ""]:
    """INS's style loss: the mean squared difference of each layer's Gram matrices, summed over layers (spec A.7)."""
    return torch.stack([F.mse_loss(grams[layer], targets[layer].expand_as(grams[layer])) for layer in targets]).sum()


def relative_gram_loss(grams: Grams, targets: Grams) -> Float[Tensor, ""]:
    """|G - G_style| / |G_style| (Frobenius), mean over layers and pictures: 0 at the style, near 1 for anything else.

    Differs from INS: free of the encoder's scale, so a weight near 1 fits every network and every style.

    >>> twice = {"relu1_1": 2 * torch.eye(2)[None]}
    >>> relative_gram_loss(twice, {"relu1_1": torch.eye(2)[None]}).item()
    1.0
    """
    return torch.stack([_relative_distance(grams[layer], targets[layer]) for layer in targets]).mean()


def content_loss(maps: FeatureMaps, targets: FeatureMaps, mask: Mask | None = None) -> Float[Tensor, ""]:
    """The mean squared difference of feature maps, summed over the layers of `targets` (spec A.7)."""
    losses = []
    for layer, target in targets.items():
        squared = (maps[layer] - target) ** 2
        weights = torch.ones_like(squared[:, :1]) if mask is None else _shrunk(mask, squared)
        losses.append((squared * weights).sum() / (weights.sum() * squared.shape[1]).clamp(min=1e-6))
    return torch.stack(losses).sum()


def relative_content_loss(maps: FeatureMaps, targets: FeatureMaps, mask: Mask | None = None) -> Float[Tensor, ""]:
    """`content_loss` divided by the mean square of the target's features: 0 at the content, 1 for a blank answer."""
    sizes = content_loss({layer: torch.zeros_like(target) for layer, target in targets.items()}, targets, mask)
    return content_loss(maps, targets, mask) / sizes.clamp(min=1e-6)


def _relative_distance(gram: Tensor, target: Tensor) -> Tensor:
    # The square root's gradient is infinite at zero: the tiny number stands inside it.
    distance = ((gram - target) ** 2).sum((1, 2)).add(1e-12).sqrt()
    return (distance / (target**2).sum((1, 2)).sqrt().clamp(min=1e-6)).mean()


def _shrunk(mask: Tensor, features: Tensor) -> Tensor:
    return F.interpolate(mask.to(features.dtype), size=features.shape[2:], mode="area")
