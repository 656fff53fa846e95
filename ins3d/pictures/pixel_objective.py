"""A picture's pixels and a style become named losses, each in units of its value at the start."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ins3d.perception.features import PerceptualFeatures
from ins3d.style.colors import Colors
from ins3d.style.losses import (
    GATYS_LAYERS,
    GRAM_LAYERS,
    LOSSES,
    PullsTo,
    Seen,
    layers_of,
    loss_of,
    loss_weights,
    named_losses,
    parse_style_losses,
    pyramid_features,
    scaled_names,
    select,
)

Optimizer = Literal["lbfgs", "adam"]
Picture = Float[Tensor, "3 _ _"]


@dataclass(frozen=True)
class PixelSettings:
    """What is minimised, and how. Departs from Gatys, who adds relu5_1 and takes content from relu4_2.

    The defaults end at relu4_1, where the shipped weights do; deeper layers may be named when the weights reach them.
    """

    long_sides: tuple[int, ...] = (128, 256)
    """Coarse to fine, in pixels; each size gets its share of the steps and its own targets."""
    steps: int = 300
    style_losses: tuple[str, ...] = ("gram",)
    """Names in `LOSSES`, with `:weight` when it is not 1."""
    style_layers: tuple[str, ...] = ()
    """The same for every loss; empty: `GATYS_LAYERS` for losses of statistics, nnfm its own."""
    scales: tuple[int, ...] = (1,)
    """How much pictures are shrunk before style is compared; (1, 2) also sees structures twice as large."""
    content_layers: tuple[str, ...] = ("relu4_1",)
    content_weight: float = 1.0
    tv_weight: float = 0.0
    colors: Colors = "style"
    """Whose colours a stylised picture has; none: whatever the losses make of them."""
    optimizer: Optimizer = "lbfgs"
    learning_rate: float = 0.03
    """Adam's, in pixel values."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < len(self.long_sides):
            raise ValueError(f"steps: {self.steps} is too few; use at least {len(self.long_sides)}, one for each size.")
        if not self.long_sides or list(self.long_sides) != sorted({*self.long_sides}) or self.long_sides[0] < 1:
            raise ValueError(f"size: {self.long_sides} must grow, coarse to fine; use for example (128, 256).")
        for name in ("content_weight", "tv_weight"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name.replace('_', '-')}: {getattr(self, name)} is no weight; use 0 or more.")
        if not self.learning_rate > 0:
            raise ValueError(f"learning-rate: {self.learning_rate} moves nothing; use more than 0.")
        if min(self.scales, default=0) < 1:
            raise ValueError(f"scales: {self.scales} must be 1 or more; use for example 1 2.")
        if not sum(parse_style_losses(self.style_losses).values()) > 0:
            raise ValueError("style-loss: every weight is 0; give one of them a weight above 0.")

    @property
    def loss_weights(self) -> dict[str, float]:
        """{content_loss, NAME_loss for every style loss, tv_loss: weight} of those above 0."""
        weights = loss_weights(self.style_losses, style=1.0, content=self.content_weight, tv=self.tv_weight)
        return {name: weight for name, weight in weights.items() if weight > 0}

    def layers_of(self, loss: str) -> tuple[str, ...]:
        """Where a style loss looks."""
        usual = GATYS_LAYERS if LOSSES[loss].layers == GRAM_LAYERS else ()
        return layers_of(loss, self.style_layers or usual, self.content_layers)

    @property
    def all_style_layers(self) -> tuple[str, ...]:
        """Where any style loss looks."""
        return tuple(
            dict.fromkeys(layer for name in parse_style_losses(self.style_losses) for layer in self.layers_of(name))
        )

    @property
    def all_layers(self) -> tuple[str, ...]:
        """What the encoder must be built for."""
        return tuple(dict.fromkeys([*self.all_style_layers, *self.content_layers]))


class PixelObjective:
    """The losses of a picture at one size, each in units of its value at the start.

    As in `StyleObjective`, weights near 1 then fit every encoder and picture. Content is 0 at the start, so its unit is its
    value at the style picture, resized to the content's size: 1 means that nothing of the content is left.
    """

    def __init__(
        self, features: PerceptualFeatures, settings: PixelSettings, style: Picture, content: Picture | None = None
    ) -> None:
        for layer in settings.all_layers:
            if layer not in features.walk:
                raise ValueError(
                    f"style-layers: the encoder ends at {features.walk[-1]}, before {layer}; build it with that."
                )
        self.features, self.settings = features, settings
        self.weights = {
            name: weight
            for name, weight in settings.loss_weights.items()
            if content is not None or loss_of(name).pulls_to != "content"
        }
        self.units = dict.fromkeys(self.weights, 1.0)
        self.generator = torch.Generator().manual_seed(settings.seed)
        with torch.no_grad():
            maps = self._style_maps(style)
            self.kept = {
                name: LOSSES[name].prepare(select(maps, settings.layers_of(name), settings.scales))
                for name in self._pulling("style")
            }
            looked_at = self._content_layers  # none where there is no content
            self.content = features(content[None], looked_at) if content is not None and looked_at else {}

    def _pulling(self, to: PullsTo) -> list[str]:
        return [name.removesuffix("_loss") for name in self.weights if loss_of(name).pulls_to == to]

    @property
    def _content_layers(self) -> tuple[str, ...]:
        return tuple(layer for name in self._pulling("content") for layer in self.settings.layers_of(name))

    def _style_maps(self, picture: Tensor) -> dict[str, Tensor]:
        layers = tuple(dict.fromkeys([*self.settings.all_style_layers, *self._content_layers]))
        return pyramid_features(self.features, picture[None], layers, self.settings.scales)

    def losses(self, picture: Picture) -> dict[str, Float[Tensor, ""]]:
        """By name, unweighted, in units of their values at the start."""
        if self.settings.optimizer == "lbfgs":
            # Its steps compare gradients of one function; random projections must not change between them.
            self.generator.manual_seed(self.settings.seed)
        seen = Seen(picture[None], self._style_maps(picture), self.content, None, self.generator)
        found = named_losses(list(self.weights), seen, self.kept, self._maps_of)
        return {name: value / self.units[name] for name, value in found.items()}

    def _maps_of(self, name: str) -> tuple[str, ...]:
        layers = self.settings.layers_of(name)
        return scaled_names(layers, self.settings.scales) if LOSSES[name].pulls_to == "style" else layers

    @torch.no_grad()
    def measure_units(self, start: Picture, elsewhere: dict[PullsTo, Tensor]) -> None:
        """Every loss becomes 1 at `start`; those that pull to what is named in `elsewhere`, at the picture given there."""
        measured = self.losses(start)
        for pulls_to, picture in elsewhere.items():
            found = self.losses(picture)
            measured |= {f"{name}_loss": found[f"{name}_loss"] for name in self._pulling(pulls_to)}
        self.units = {name: float(value) or 1.0 for name, value in measured.items()}
