"""What optimising pixels minimises: the losses of one picture at one size, by the objective of all style stages."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ins3d.extension.ranges import check_ranges
from ins3d.perception.color_transfer import color_statistics
from ins3d.perception.features import PerceptualFeatures
from ins3d.style.losses import GATYS_LAYERS, GRAM_LAYERS, LOSSES, loss_of, loss_weights, parse_style_losses
from ins3d.style.objective import StyleObjective
from ins3d.style.settings import StyleSettings, style_view
from ins3d.style.targets import StyleView, target_of

Optimizer = Literal["lbfgs", "adam"]
Picture = Float[Tensor, "3 _ _"]


@dataclass
class PixelSettings(StyleSettings):
    """What is minimised, and how. Departs from Gatys, who adds relu5_1 and takes content from relu4_2.

    The defaults end at relu4_1, where the shipped weights do; deeper layers may be named when the weights reach them.
    `style_layers` that are empty are `GATYS_LAYERS` where all losses are statistics of features, else each its own;
    `style_size` is in pixels of the last of `long_sides`, and by default that times `stroke_size`.
    """

    long_sides: tuple[int, ...] = (128, 256)
    """Coarse to fine, in pixels; each size gets its share of the steps and its own targets."""
    steps: int = 300
    content_weight: float = 1.0
    """1 is the difference between the content and the style picture."""
    optimizer: Optimizer = "lbfgs"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < len(self.long_sides):
            raise ValueError(f"steps: {self.steps} is too few; use at least {len(self.long_sides)}, one for each size.")
        if not self.long_sides or list(self.long_sides) != sorted({*self.long_sides}) or self.long_sides[0] < 1:
            raise ValueError(f"size: {self.long_sides} must grow, coarse to fine; use for example (128, 256).")
        _ = self.view, self.weights  # refuse losses and scales that mean nothing before anything is read
        check_ranges(self)

    @property
    def weights(self) -> dict[str, float]:
        """Of all losses, by name."""
        return loss_weights(self.style_loss, self.content_weight, self.tv_weight)

    @property
    def view(self) -> StyleView:
        """How the style picture is looked at."""
        alike = all(LOSSES[name].layers == GRAM_LAYERS for name in parse_style_losses(self.style_loss))
        return style_view(self, self.long_sides[-1], usual_layers=GATYS_LAYERS if alike else ())

    @property
    def all_layers(self) -> tuple[str, ...]:
        """What the encoder must be built for."""
        return tuple(dict.fromkeys([*self.view.all_layers, *self.content_layers]))

    def style_side(self, long_side: int) -> int:
        """At which the style picture is looked at while the picture has this long side, in pixels."""
        size = self.style_size or round(self.stroke_size * self.long_sides[-1])
        return max(long_side * size // self.long_sides[-1], 1)


class PixelObjective:
    """The losses of a picture at one size; its own value at the start is 1 for each."""

    def __init__(
        self, features: PerceptualFeatures, settings: PixelSettings, style: Picture, content: Picture | None = None
    ) -> None:
        """Without `content` nothing pulls to one."""
        for layer in settings.all_layers:
            if layer not in features.walk:
                raise ValueError(
                    f"style-layers: the encoder ends at {features.walk[-1]}, before {layer}; build it with that."
                )
        self.settings, self.style = settings, style
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.content = None if content is None else content[None]
        weights = {
            name: 0.0 if content is None and loss_of(name).pulls_to == "content" else weight
            for name, weight in settings.weights.items()
        }
        target = target_of("style", [(style, None)], color_statistics(style.flatten(1).T), features, settings.view)
        self.objective = StyleObjective(features, [target], settings.view, settings.content_layers, weights)

    def losses(self, picture: Picture) -> dict[str, Float[Tensor, ""]]:
        """By name, unweighted, divided by their values at the start."""
        content = picture.detach()[None] if self.content is None else self.content
        return self.objective.losses(picture[None], content, 0, self._random())

    def total(self, losses: dict[str, Float[Tensor, ""]]) -> Float[Tensor, ""]:
        """Their weighted sum."""
        return torch.stack([self.objective.weights[name] * value for name, value in losses.items()]).sum()

    def measure_normalisers(self, start: Picture, elsewhere: Picture) -> None:
        """Divides every loss by its value at `start`; content by that at `elsewhere`, total variation by the content's.

        Without a content total variation is divided by the style's.
        """
        content = self.style[None] if self.content is None else self.content
        found = self.objective.measure_normalisers(start[None], content, 0, self._random(), elsewhere=elsewhere[None])
        self.objective.normalisers = found[None]

    def _random(self) -> torch.Generator:
        if self.settings.optimizer == "lbfgs":
            # Its steps compare gradients of one function; random projections must not change between them.
            self.generator.manual_seed(self.settings.seed)
        return self.generator
