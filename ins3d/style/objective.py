"""A stylised patch, its photograph and a style become named losses, each near 1 at the start."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ins3d.perception.color_transfer import ColorStatistics, color_statistics, identity_map, matching_map, recolor_pictures
from ins3d.perception.features import IMAGENET_MEAN, PerceptualFeatures
from ins3d.perception.losses import Mask, grams_of, relative_gram_loss
from ins3d.style.losses import LOSSES, Seen, layers_of, loss_of, named_losses, pyramid_features, scaled_names
from ins3d.style.mix import StyleMix, strength_factors
from ins3d.style.targets import StyleTarget, StyleView

LossScale = Literal["measured", "release"]
GAINS = (1.0, 1.1, 1.2, 1.3, 1.4, 1.6, 2.0)
"""How far colours may be stretched at the end; the one that comes nearest to the style is taken."""


@dataclass
class StyleObjective:
    """What the style stage minimises, and what evaluation reports. Not a module: nothing of it is trained or saved."""

    features: PerceptualFeatures
    styles: list[StyleTarget]
    view: StyleView
    content_layers: tuple[str, ...]
    weights: dict[str, float]
    """{NAME_loss of losses in `LOSSES`: weight}; a loss of weight 0 is not computed."""
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
        patches: Float[Tensor, "patches 3 height width"],
        photographs: Float[Tensor, "patches 3 height width"],
        style: int,
        generator: torch.Generator,
        mask: Mask | None = None,
    ) -> dict[str, Float[Tensor, ""]]:
        """By name, unweighted, in units of their values at the start."""
        return self._in_units(self._compare(self._see(patches, photographs, mask, generator), style), style)

    def weighted_losses(
        self,
        patches: Float[Tensor, "patches 3 height width"],
        photographs: Float[Tensor, "patches 3 height width"],
        mix: StyleMix,
        generator: torch.Generator,
        mask: Mask | None = None,
    ) -> dict[str, Float[Tensor, ""]]:
        """What a step minimises: the styles by their shares, and the weaker the style, the more of the content.

        A plain mean of two distances is least at one end or the other. So of several styles squares are added, each in units
        of how far the other styles are: that is least where the shares say, between them.
        """
        weights = self.weights_at(mix.strength)
        seen = self._see(patches, photographs, mask, generator)
        found = [self._in_units(self._compare(seen, style), style) for style, _ in mix.parts]
        if len(found) == 1:
            return {name: weights[name] * value for name, value in found[0].items()}
        shares = patches.new_tensor([share for _, share in mix.parts])
        blended = {}
        for number, name in enumerate(self.terms):
            values = torch.stack([each[name] for each in found])
            if loss_of(name).pulls_to != "style":
                blended[name] = weights[name] * (shares * values).sum()
            else:
                away = self._away(mix, number)
                blended[name] = weights[name] * (shares * away).sum() * (shares * (values / away) ** 2).sum().sqrt()
        return blended

    def _away(self, mix: StyleMix, term: int) -> Float[Tensor, " parts"]:
        """One loss of each style of a mix at the mix's other styles, in the loss's units."""
        styles, shares = zip(*mix.parts, strict=True)
        away = self.apart[list(styles)][:, list(styles), term]
        if self.units is not None:
            away = away / self.units[list(styles), term][:, None]
        others = away.new_tensor(shares) * (1 - torch.eye(len(styles), device=away.device))
        return ((others * away).sum(1) / others.sum(1)).clamp(min=1e-6)

    @cached_property
    def apart(self) -> Float[Tensor, "styles styles terms"]:
        """The losses of each style at the picture of each, not in units."""
        with torch.no_grad():
            columns = []
            for other in self.styles:
                seen = self._see(other.picture[None], other.picture[None], None, torch.Generator())
                alike = [replace(seen, generator=torch.Generator().manual_seed(0)) for _ in self.styles]
                found = [self._compare(each, style) for style, each in enumerate(alike)]
                columns.append(torch.stack([torch.stack([values[name] for name in self.terms]) for values in found]))
            return torch.stack(columns, dim=1)

    def weights_at(self, strength: float) -> dict[str, float]:
        """The losses' weights. A content that is not compared with at full strength is not at any other."""
        style_factor, content_extra = strength_factors(strength)
        return {
            name: weight + content_extra if loss_of(name).pulls_to == "content" else weight * style_factor
            for name, weight in self.weights.items()
        }

    @torch.no_grad()
    def measure_units(
        self,
        patches: Float[Tensor, "patches 3 height width"],
        photographs: Float[Tensor, "patches 3 height width"],
        style: int,
        generator: torch.Generator,
        mask: Mask | None = None,
    ) -> Float[Tensor, " terms"]:
        """The value of every loss where the style stage starts: at patches of the unstylised scene.

        Content and total variation are 0 or accidental there, and `measured_at` elsewhere: photographs are compared with
        those of *another* place. 1 then means that nothing of this place is left; total variation is that of photographs.
        """
        if len(photographs) < 2:
            raise ValueError("measure_units: one patch has no other place to be compared with; give two or more.")
        found = self._compare(self._see(patches, photographs, mask, generator), style)
        others = self._compare(self._see(photographs.roll(1, 0), photographs, mask, generator), style)
        found |= {name: value for name, value in others.items() if loss_of(name).measured_at == "elsewhere"}
        units = torch.stack([found[name] for name in self.terms])
        return torch.where(units > 0, units, torch.ones_like(units))

    def _see(self, patches: Tensor, photographs: Tensor, mask: Mask | None, generator: torch.Generator) -> Seen:
        if self.view.square:
            patches, photographs = (_squashed(picture.clamp(0, 1), mask) for picture in (patches, photographs))
            mask = None
        style_layers = [layer for name in self.view.losses for layer in layers_of(name, self.view.layers)]
        content_layers = self._content_layers
        layers = tuple(dict.fromkeys([*style_layers, *content_layers]))
        maps = pyramid_features(self.features, patches, layers, self.view.scales)
        with torch.no_grad():
            content = self.features(photographs, content_layers) if content_layers else {}
        return Seen(patches, maps, content, mask, generator)

    @property
    def _content_layers(self) -> tuple[str, ...]:
        """Where photographs are looked at: the layers of all losses that pull to them."""
        pulling = [term.removesuffix("_loss") for term in self.terms if loss_of(term).pulls_to == "content"]
        return tuple(dict.fromkeys(layer for name in pulling for layer in layers_of(name, (), self.content_layers)))

    def _compare(self, seen: Seen, style: int) -> dict[str, Tensor]:
        return named_losses(self.terms, seen, self.styles[style].kept, self._maps_of)

    def _maps_of(self, name: str) -> tuple[str, ...]:
        """The names of the maps that a loss looks at; of the content at the pictures' own size alone."""
        layers = layers_of(name, self.view.layers, self.content_layers)
        return scaled_names(layers, self.view.scales) if LOSSES[name].pulls_to == "style" else layers

    def _in_units(self, found: dict[str, Tensor], style: int) -> dict[str, Tensor]:
        if self.units is None:
            return found
        return {name: value / unit for (name, value), unit in zip(found.items(), self.units[style], strict=True)}

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

    @torch.no_grad()
    def matching_map(
        self, pictures: Float[Tensor, "pictures 3 height width"], style: int, mask: Mask | None = None
    ) -> Float[Tensor, "3 4"]:
        """The colour map that gives the pictures, together, the style's mean and covariance.

        Differs from ARF (section 4.3): colours are stretched as far as brings the pictures nearest to the style. A small
        patch cannot hold the whole palette, so strokes come out paler than the style; yet all of the covariance at once
        throws shades out of [0, 1].
        """
        seen = colors_of(pictures, mask)
        wanted = self.styles[style].colors
        maps = [identity_map().to(pictures), *(matching_map(seen, wanted, gain) for gain in GAINS)]
        found = [
            self.gram_distance(recolor_pictures(each, pictures).clamp(0, 1), style, mask, together=True) for each in maps
        ]
        return maps[int(torch.stack(found).argmin())]


def colors_of(
    pictures: Float[Tensor, "pictures 3 height width"], mask: Float[Tensor, "pictures 1 height width"] | None = None
) -> ColorStatistics:
    """The statistics of all pictures' pixels together; with a mask, pixels count by it."""
    return color_statistics(_pixels(pictures), None if mask is None else _pixels(mask))


def _pixels(pictures: Tensor) -> Tensor:
    return pictures.permute(0, 2, 3, 1).flatten(0, 2)


def _squashed(pictures: Tensor, mask: Tensor | None) -> Tensor:
    """As the release: nearest resize to 224x224, and the mask multiplies the normalised picture (spec A.7)."""
    pictures = F.interpolate(pictures, size=(224, 224), mode="nearest")
    if mask is None:
        return pictures
    # The release zeroes the normalised picture; in [0, 1] that is ImageNet's mean colour.
    gray = torch.tensor(IMAGENET_MEAN, device=pictures.device).reshape(3, 1, 1)
    mask = F.interpolate(mask, size=(224, 224), mode="nearest")
    return pictures * mask + gray * (1 - mask)
