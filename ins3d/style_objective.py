"""A stylised patch, its photograph and a style become named losses, each near 1 at the start."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ins3d.perceptual_features import IMAGENET_MEAN, PerceptualFeatures
from ins3d.perceptual_losses import Mask, grams_of, relative_gram_loss
from ins3d.style_losses import layers_of, named_losses, pyramid_features, scaled_names
from ins3d.style_targets import StyleTarget, StyleView

LossScale = Literal["measured", "release"]


@dataclass
class StyleObjective:
    """What the style stage minimises, and what evaluation reports. Not a module: nothing of it is trained or saved."""

    features: PerceptualFeatures
    styles: list[StyleTarget]
    view: StyleView
    content_layers: tuple[str, ...]
    weights: dict[str, float]
    """{content_loss, NAME_loss for every style loss, tv_loss: weight}; a loss of weight 0 is not computed."""
    units: Float[Tensor, "styles terms"] | None = None
    """What each loss is divided by: its value at the start (`measure_units`). None: the raw values of the INS release."""

    @property
    def sees(self) -> tuple[object, ...]:
        """All that the values of the losses depend on, apart from the pictures."""
        encoder = (self.features.network, self.features.normalised, self.features.pooling)
        return (*encoder, self.view, self.content_layers, self.terms, [style.name for style in self.styles])

    @property
    def terms(self) -> list[str]:
        """The losses that are computed, in the order of `units`."""
        return [name for name, weight in self.weights.items() if weight > 0]

    def losses(
        self,
        patches: Float[Tensor, "patches 3 size size"],
        photographs: Float[Tensor, "patches 3 size size"],
        style: int,
        generator: torch.Generator,
        mask: Mask | None = None,
    ) -> dict[str, Float[Tensor, ""]]:
        """By name, unweighted, in units of their values at the start."""
        found = self._raw(patches, photographs, style, generator, mask)
        if self.units is None:
            return found
        return {name: value / unit for (name, value), unit in zip(found.items(), self.units[style], strict=True)}

    @torch.no_grad()
    def measure_units(
        self,
        patches: Float[Tensor, "patches 3 size size"],
        photographs: Float[Tensor, "patches 3 size size"],
        style: int,
        generator: torch.Generator,
        mask: Mask | None = None,
    ) -> Float[Tensor, " terms"]:
        """The value of every loss where the style stage starts: at patches of the unstylised scene.

        Content and total variation are 0 or accidental there. Content is measured at the photograph of *another* place
        instead: 1 means that nothing of this one is left. Total variation is that of the photographs.
        """
        if len(photographs) < 2:
            raise ValueError("measure_units: one patch has no other place to be compared with; give two or more.")
        found = self._raw(patches, photographs, style, generator, mask)
        others = self._raw(photographs.roll(1, 0), photographs, style, generator, mask)
        found |= {name: others[name] for name in ("content_loss", "tv_loss") if name in others}
        units = torch.stack([found[name] for name in self.terms])
        return torch.where(units > 0, units, torch.ones_like(units))

    def _raw(
        self, patches: Tensor, photographs: Tensor, style: int, generator: torch.Generator, mask: Mask | None
    ) -> dict[str, Tensor]:
        if self.view.square:
            patches, photographs = (_squashed(picture.clamp(0, 1), mask) for picture in (patches, photographs))
            mask = None
        view, terms = self.view, self.terms
        style_layers = (layer for name in view.losses for layer in layers_of(name, view.layers))
        layers = tuple(dict.fromkeys([*style_layers, *self.content_layers]))
        maps = pyramid_features(self.features, patches, layers, view.scales)
        with torch.no_grad():
            content = self.features(photographs, self.content_layers) if "content_loss" in terms else {}
        return named_losses(
            terms, patches, maps, content, self.styles[style].kept,
            lambda name: scaled_names(layers_of(name, view.layers), view.scales), generator, mask,
        )  # fmt: skip

    @torch.no_grad()
    def gram_distance(
        self,
        pictures: Float[Tensor, "pictures 3 height width"],
        style: int,
        mask: Mask | None = None,
        together: bool = False,
    ) -> Float[Tensor, ""]:
        """The relative Gram distance of whole pictures to a style: the number that results are reported in.

        With `together` the pictures are parts of one, and their Gram matrices are averaged before they are compared.
        """
        grams = grams_of(self.features(pictures, self.view.gram_layers), mask)
        if together:
            grams = {layer: gram.mean(0, keepdim=True) for layer, gram in grams.items()}
        return relative_gram_loss(grams, self.styles[style].grams)


def _squashed(pictures: Tensor, mask: Tensor | None) -> Tensor:
    """As the release: nearest resize to 224x224, and the mask multiplies the normalised picture (spec A.7)."""
    pictures = F.interpolate(pictures, size=(224, 224), mode="nearest")
    if mask is None:
        return pictures
    # The release zeroes the normalised picture; in [0, 1] that is ImageNet's mean colour.
    gray = torch.tensor(IMAGENET_MEAN, device=pictures.device).reshape(3, 1, 1)
    mask = F.interpolate(mask, size=(224, 224), mode="nearest")
    return pictures * mask + gray * (1 - mask)
