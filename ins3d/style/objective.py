"""A stylised patch, its photograph and a style become named losses, each near 1 at the start."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ins3d.perception.color_transfer import ColorStatistics, color_statistics, identity_map, matching_map, recolor_pictures
from ins3d.perception.features import IMAGENET_MEAN, FeatureMaps, PerceptualFeatures
from ins3d.perception.losses import Mask, grams_of, relative_gram_loss
from ins3d.style.losses import layers_of, named_losses, pyramid_features, scaled_names
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
        patches: Float[Tensor, "patches 3 height width"],
        photographs: Float[Tensor, "patches 3 height width"],
        style: int,
        generator: torch.Generator,
        mask: Mask | None = None,
    ) -> dict[str, Float[Tensor, ""]]:
        """By name, unweighted, in units of their values at the start."""
        return self._in_units(self._compare(self._see(patches, photographs, mask), style, generator), style)

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
        seen = self._see(patches, photographs, mask)
        found = [self._in_units(self._compare(seen, style, generator), style) for style, _ in mix.parts]
        if len(found) == 1:
            return {name: weights[name] * value for name, value in found[0].items()}
        shares = patches.new_tensor([share for _, share in mix.parts])
        blended = {}
        for number, name in enumerate(self.terms):
            values = torch.stack([each[name] for each in found])
            if name in ("content_loss", "tv_loss"):
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
                seen = self._see(other.picture[None], other.picture[None], None)
                found = [self._compare(seen, style, torch.Generator().manual_seed(0)) for style in range(len(self.styles))]
                columns.append(torch.stack([torch.stack([values[name] for name in self.terms]) for values in found]))
            return torch.stack(columns, dim=1)

    def weights_at(self, strength: float) -> dict[str, float]:
        """The losses' weights. A content that is not compared with at full strength is not at any other."""
        style_factor, content_extra = strength_factors(strength)
        weights = {name: weight * style_factor for name, weight in self.weights.items()}
        if "content_loss" in weights:
            weights["content_loss"] = self.weights["content_loss"] + content_extra
        return weights

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

        Content and total variation are 0 or accidental there. Content is measured at the photograph of *another* place
        instead: 1 means that nothing of this one is left. Total variation is that of the photographs.
        """
        if len(photographs) < 2:
            raise ValueError("measure_units: one patch has no other place to be compared with; give two or more.")
        found = self._compare(self._see(patches, photographs, mask), style, generator)
        others = self._compare(self._see(photographs.roll(1, 0), photographs, mask), style, generator)
        found |= {name: others[name] for name in ("content_loss", "tv_loss") if name in others}
        units = torch.stack([found[name] for name in self.terms])
        return torch.where(units > 0, units, torch.ones_like(units))

    def _see(self, patches: Tensor, photographs: Tensor, mask: Mask | None) -> "_Seen":
        if self.view.square:
            patches, photographs = (_squashed(picture.clamp(0, 1), mask) for picture in (patches, photographs))
            mask = None
        view, terms = self.view, self.terms
        style_layers = (layer for name in view.losses for layer in layers_of(name, view.layers))
        layers = tuple(dict.fromkeys([*style_layers, *self.content_layers]))
        maps = pyramid_features(self.features, patches, layers, view.scales)
        with torch.no_grad():
            content = self.features(photographs, self.content_layers) if "content_loss" in terms else {}
        return _Seen(patches, maps, content, mask)

    def _compare(self, seen: "_Seen", style: int, generator: torch.Generator) -> dict[str, Tensor]:
        view = self.view
        return named_losses(
            self.terms, seen.patches, seen.maps, seen.content, self.styles[style].kept,
            lambda name: scaled_names(layers_of(name, view.layers), view.scales), generator, seen.mask,
        )  # fmt: skip

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


@dataclass
class _Seen:
    """What the encoder sees in patches and photographs: once, however many styles they are compared with."""

    patches: Tensor
    maps: FeatureMaps
    content: FeatureMaps
    mask: Mask | None


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
