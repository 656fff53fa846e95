"""A stylised patch, its photograph and a style become named losses."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ins3d.perceptual_features import IMAGENET_MEAN, PerceptualFeatures
from ins3d.perceptual_losses import (
    Mask,
    content_loss,
    gram_loss,
    grams_of,
    relative_content_loss,
    relative_gram_loss,
)
from ins3d.style_targets import StyleTarget

LossScale = Literal["relative", "release"]


@dataclass
class StyleObjective:
    """What the style stage minimises, and what evaluation reports. Not a module: nothing of it is trained or saved."""

    features: PerceptualFeatures
    styles: list[StyleTarget]
    style_layers: tuple[str, ...]
    content_layers: tuple[str, ...]
    scale: LossScale
    """`relative`: losses near 1 for every encoder. `release`: raw sums, patches squashed to 224x224, nearest (INS)."""

    def losses(
        self,
        patches: Float[Tensor, "patches 3 size size"],
        photographs: Float[Tensor, "patches 3 size size"],
        style: int,
        mask: Mask | None = None,
    ) -> dict[str, Float[Tensor, ""]]:
        """{content_loss, style_loss}, unweighted."""
        if self.scale == "release":
            return self._release_losses(patches, photographs, style, mask)
        maps = self.features(patches)
        with torch.no_grad():
            targets = self.features(photographs, self.content_layers)
        grams = grams_of({layer: maps[layer] for layer in self.style_layers}, mask)
        return {
            "content_loss": relative_content_loss(maps, targets, mask),
            "style_loss": relative_gram_loss(grams, self.styles[style].grams),
        }

    def _release_losses(self, patches: Tensor, photographs: Tensor, style: int, mask: Mask | None) -> dict[str, Tensor]:
        """As the release: clamp, nearest resize to 224x224, and the mask multiplies both normalised pictures (A.7)."""
        patches, photographs = (_squashed(picture.clamp(0, 1), mask) for picture in (patches, photographs))
        maps = self.features(patches)
        with torch.no_grad():
            targets = self.features(photographs, self.content_layers)
        grams = grams_of({layer: maps[layer] for layer in self.style_layers})
        return {
            "content_loss": content_loss(maps, targets),
            "style_loss": gram_loss(grams, self.styles[style].grams),
        }

    @torch.no_grad()
    def gram_distance(
        self, pictures: Float[Tensor, "pictures 3 height width"], style: int, mask: Mask | None = None
    ) -> Float[Tensor, ""]:
        """The relative Gram distance of whole pictures to a style: the number that results are reported in."""
        grams = grams_of(self.features(pictures, self.style_layers), mask)
        return relative_gram_loss(grams, self.styles[style].grams)


def _squashed(pictures: Tensor, mask: Tensor | None) -> Tensor:
    pictures = F.interpolate(pictures, size=(224, 224), mode="nearest")
    if mask is None:
        return pictures
    # The release zeroes the normalised picture; in [0, 1] that is ImageNet's mean colour.
    gray = torch.tensor(IMAGENET_MEAN, device=pictures.device).reshape(3, 1, 1)
    mask = F.interpolate(mask, size=(224, 224), mode="nearest")
    return pictures * mask + gray * (1 - mask)
