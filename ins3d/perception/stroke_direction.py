"""Whether brushwork has a direction: the structure tensor of feature maps.

Bigun and Granlund 1987; of several channels, Di Zenzo 1986.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from ins3d.perception.features import FeatureMaps
from ins3d.perception.losses import Mask, position_weights

Coherences = dict[str, Float[Tensor, " _"]]
"""By layer name: of each picture, in [0, 1]."""
WINDOW = 3.0
"""Standard deviation, in positions of the map, of the window in which one direction is looked for."""


def coherence_of(maps: FeatureMaps, mask: Mask | None = None) -> Coherences:
    """How much one direction prevails: 0 flecks and flat noise, 1 parallel strokes.

    The difference of the structure tensor's eigenvalues by their sum, around each place; places count by the energy of
    their gradients, and by the mask. Of maps that are flat, 0.
    """
    weights = {layer: position_weights(mask, features).float() for layer, features in maps.items()}
    return {layer: _coherence(features.float(), weights[layer]) for layer, features in maps.items()}


def coherence_loss(found: Coherences, wanted: Coherences) -> Float[Tensor, ""]:
    """By which share strokes have less direction than the style's, averaged over pictures and layers: 0 to 1.

    Where they have more nothing is said: a window may show one long stroke. Nor is it of a style of one flat colour.

    >>> coherence_loss({"relu1_2": torch.tensor([0.3, 0.9])}, {"relu1_2": torch.tensor([0.6])}).item()
    0.25
    """
    missing = [(1 - found[layer] / wanted[layer].clamp(min=1e-6)).clamp(min=0) * (wanted[layer] > 1e-6) for layer in wanted]
    return torch.stack([shares.mean() for shares in missing]).mean()


def _coherence(
    features: Float[Tensor, "batch channels _ _"], weights: Float[Tensor, "batch 1 _ _"]
) -> Float[Tensor, " batch"]:
    across = features[:, :, 1:-1, 2:] - features[:, :, 1:-1, :-2]
    down = features[:, :, 2:, 1:-1] - features[:, :, :-2, 1:-1]
    products = torch.stack([(across * across).sum(1), (down * down).sum(1), (across * down).sum(1)], dim=1)
    xx, yy, xy = _windowed(products * weights[:, :, 1:-1, 1:-1]).unbind(1)
    # The square root's gradient is infinite at zero: the tiny number stands inside it, and its root is taken off again.
    apart = ((xx - yy) ** 2 + 4 * xy**2 + 1e-12).sqrt() - 1e-6
    return apart.sum((1, 2)) / (xx + yy).sum((1, 2)).clamp(min=1e-6)


def _windowed(values: Float[Tensor, "batch 3 _ _"]) -> Float[Tensor, "batch 3 _ _"]:
    reach = min(int(3 * WINDOW), *(side - 1 for side in values.shape[2:]))
    return gaussian_blur(values, [2 * reach + 1] * 2, [WINDOW] * 2) if reach > 0 else values
