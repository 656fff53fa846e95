"""What a style stage minimises: weighted losses of stylised patches, each divided by its value at the start."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ins3d.perception.color_transfer import ColorStatistics, color_statistics
from ins3d.perception.features import IMAGENET_MEAN, FeatureMaps, PerceptualFeatures
from ins3d.perception.losses import Mask, grams_of, relative_gram_loss
from ins3d.style.losses import LOSSES, Seen, layers_of, loss_of, pyramid_features, select
from ins3d.style.mix import Mix, strength_factors
from ins3d.style.targets import StyleTarget, StyleView


@dataclass
class StyleObjective:
    """What the style stage minimises, and what evaluation reports. Not a module: nothing of it is trained or saved."""

    features: PerceptualFeatures
    styles: list[StyleTarget]
    view: StyleView
    content_layers: tuple[str, ...]
    weights: dict[str, float]
    """{NAME_loss of losses in `LOSSES`: weight}; a loss of weight 0 is not computed."""
    normalisers: Float[Tensor, "styles terms"] | None = None
    """What each loss is divided by: its value at the start (`measure_normalisers`). None: raw values (the INS release)."""
    _last: tuple[Tensor, FeatureMaps] | None = None

    @property
    def judged_by(self) -> dict[str, str]:
        """All that the values of the losses depend on, apart from the pictures: by setting, in words."""
        encoder = f"{self.features.network}{' normalised' if self.features.normalised else ''}"
        return {
            "perceptual-encoder": encoder,
            "perceptual-pooling": self.features.pooling,
            "style-loss, content-weight and tv-weight": " ".join(self.terms),
            "style-layers": " ".join(self.view.layers),
            "style-scales": " ".join(map(str, self.view.scales)),
            "style-size": "squashed" if self.view.square else str(self.view.long_side),
            "content-layers": " ".join(self.content_layers),
            "styles": " ".join(style.name for style in self.styles),
        }

    @property
    def terms(self) -> list[str]:
        """The losses that are computed, in the order of `normalisers`."""
        return [name for name, weight in self.weights.items() if weight > 0]

    def losses(
        self,
        patches: Float[Tensor, "patches 3 height width"],
        photographs: Float[Tensor, "patches 3 height width"],
        style: int,
        generator: torch.Generator,
        mask: Mask | None = None,
    ) -> dict[str, Float[Tensor, ""]]:
        """By name, unweighted, divided by their values at the start."""
        return self._normalised(self._compare(self._see(patches, photographs, mask, generator), style), style)

    def weighted_losses(
        self,
        patches: Float[Tensor, "patches 3 height width"],
        photographs: Float[Tensor, "patches 3 height width"],
        mix: Mix,
        generator: torch.Generator,
        mask: Mask | None = None,
    ) -> dict[str, Float[Tensor, ""]]:
        """What a step minimises: the styles by their shares, and the weaker the style, the more of the content.

        A weighted mean of two distances has its minimum at one style or the other. The root of the mean square of distances,
        each divided by the distance between the two styles, has it where the shares say.
        """
        weights = self.weights_at(mix.strength)
        seen = self._see(patches, photographs, mask, generator)
        found = [self._normalised(self._compare(seen, style), style) for style, _ in mix.parts]
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

    def _away(self, mix: Mix, term: int) -> Float[Tensor, " parts"]:
        """One normalised loss of each style of a mix, at the pictures of the mix's other styles: their mean.

        At least a tenth of the largest: styles may share pictures, and no style's distance counts a thousandfold.
        """
        styles, shares = zip(*mix.parts, strict=True)
        away = self.apart[list(styles)][:, list(styles), term]
        if self.normalisers is not None:
            away = away / self.normalisers[list(styles), term][:, None]
        others = away.new_tensor(shares) * (1 - torch.eye(len(styles), device=away.device))
        found = (others * away).sum(1) / others.sum(1)
        return torch.maximum(found, 0.1 * found.max()).clamp(min=1e-6)

    @cached_property
    def apart(self) -> Float[Tensor, "styles styles terms"]:
        """The losses of each style at the pictures of each, meaned over pictures, not normalised."""
        with torch.no_grad():
            columns = [torch.stack([self._at(*picture) for picture in other.pictures]).mean(0) for other in self.styles]
            return torch.stack(columns, dim=1)

    def _at(self, rgb: Float[Tensor, "3 height width"], mask: Tensor | None) -> Float[Tensor, "styles terms"]:
        """The losses of every style at one style picture, or at what its mask leaves."""
        seen = self._see(rgb[None], rgb[None], None if mask is None else mask[None].to(rgb), torch.Generator())
        alike = [replace(seen, generator=torch.Generator().manual_seed(0)) for _ in self.styles]
        found = [self._compare(each, style) for style, each in enumerate(alike)]
        return torch.stack([torch.stack([values[name] for name in self.terms]) for values in found])

    def weights_at(self, strength: float) -> dict[str, float]:
        """The losses' weights. A content that is not compared with at full strength is not at any other."""
        style_factor, content_extra = strength_factors(strength)
        return {
            name: weight + content_extra if loss_of(name).pulls_to == "content" else weight * style_factor
            for name, weight in self.weights.items()
        }

    @torch.no_grad()
    def measure_normalisers(
        self,
        patches: Float[Tensor, "patches 3 _ _"],
        photographs: Float[Tensor, "patches 3 _ _"],
        style: int,
        generator: torch.Generator,
        mask: Mask | None = None,
        elsewhere: Float[Tensor, "patches 3 _ _"] | None = None,
    ) -> Float[Tensor, " terms"]:
        """The value of every loss where the style stage starts: at patches of the unstylised scene.

        Content and total variation are 0 or accidental there, and `measured_at` elsewhere. Content at pictures of *another*
        place, by default the next photograph's: 1 then means that nothing of this place is left. What pulls to neither at
        the photographs themselves. Raises ValueError for one patch, which has no next.
        """
        if elsewhere is None:
            if len(photographs) < 2:
                raise ValueError("measure_normalisers: one patch has no other place to be compared with; give two or more.")
            elsewhere = photographs.roll(1, 0)
        found = self._compare(self._see(patches, photographs, mask, generator), style)
        for name in self.terms:
            if loss_of(name).measured_at == "elsewhere":
                pictures = photographs if loss_of(name).pulls_to == "neither" else elsewhere
                found[name] = self._compare(self._see(pictures, photographs, mask, generator), style)[name]
            if loss_of(name).measured_at == "nowhere":
                found[name] = torch.ones_like(found[name])
        values = torch.stack([found[name] for name in self.terms])
        return torch.where(values > 0, values, torch.ones_like(values))

    def _see(self, patches: Tensor, photographs: Tensor, mask: Mask | None, generator: torch.Generator) -> Seen:
        if self.view.square:
            patches, photographs = (_squashed(picture.clamp(0, 1), mask) for picture in (patches, photographs))
            mask = None
        style_layers = [layer for name in self.view.losses for layer in layers_of(name, self.view.layers)]
        content_layers = self._content_layers
        layers = tuple(dict.fromkeys([*style_layers, *content_layers]))
        maps = pyramid_features(self.features, patches, layers, self.view.scales)
        return Seen(patches, maps, self._content_maps(photographs, content_layers), mask, generator)

    @torch.no_grad()
    def _content_maps(self, photographs: Tensor, layers: tuple[str, ...]) -> FeatureMaps:
        """Of photographs; of those that were looked at last, without looking again."""
        if self._last is None or self._last[0] is not photographs:
            self._last = (photographs, self.features(photographs, layers) if layers else {})
        return self._last[1]

    @property
    def _content_layers(self) -> tuple[str, ...]:
        """Where photographs are looked at: the layers of all losses that pull to them."""
        pulling = [term.removesuffix("_loss") for term in self.terms if loss_of(term).pulls_to == "content"]
        return tuple(dict.fromkeys(layer for name in pulling for layer in layers_of(name, (), self.content_layers)))

    def _compare(self, seen: Seen, style: int) -> dict[str, Tensor]:
        """The losses by name, unweighted; what does not pull to the style looks at the pictures' own size alone."""
        found = {}
        for term in self.terms:
            name = term.removesuffix("_loss")
            layers = layers_of(name, self.view.layers, self.content_layers)
            scales = self.view.scales if LOSSES[name].pulls_to == "style" else (1,)
            looked_at = replace(seen, maps=select(seen.maps, layers, scales))
            found[term] = LOSSES[name].value(looked_at, self.styles[style].references.get(name))
        return found

    def _normalised(self, found: dict[str, Tensor], style: int) -> dict[str, Tensor]:
        if self.normalisers is None:
            return found
        return {name: value / by for (name, value), by in zip(found.items(), self.normalisers[style], strict=True)}

    @torch.no_grad()
    def gram_distance(
        self, pictures: Float[Tensor, "pictures 3 height width"], style: int, mask: Mask | None = None
    ) -> Float[Tensor, ""]:
        """The relative Gram distance of whole pictures to a style: the number that results are reported in."""
        grams = grams_of(self.features(pictures, self.view.gram_layers), mask)
        return relative_gram_loss(grams, self.styles[style].grams)


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
