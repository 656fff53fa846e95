"""SIM and AM over a fitted surface: colours, and within a bound the shape, as functions of a style code."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ins3d.fields.style_features import StyleHash, StylePlanes
from ins3d.fields.stylized import StylizedField, squeezed
from ins3d.style.colors import Colors, StyleColors
from ins3d.surfaces.content import SurfaceContent, numerical_gradient

Ask = Callable[[Float[Tensor, "points 3"]], Tensor]
Mixes = Literal["colors", "features"]
SPREAD = 0.6
"""Standard deviation of what a pixel sees, in pixels' widths; that of scenes (`footprint_mult`)."""


@dataclass(frozen=True)
class ShownSurface:
    """One look of an object: its shape, and its colour at places of the surface, whatever the view."""

    signed_distance: Ask
    gradient: Ask
    rgb: Ask


def show_content(content: SurfaceContent) -> ShownSurface:
    """An object without a style."""
    return ShownSurface(
        content.signed_distance,
        content.gradient,
        lambda positions: content.rgb(content(positions)[1], positions, content.color_normals(positions)),
    )


class StylizedSurface(StylizedField):
    """SIM and AM over a fitted surface, which is frozen (spec A.9, [D]): the same modules as for scenes.

    With a `bound` of 0 the shape is the content's, to the last bit. Else it moves by no more than that, in radii of the
    ball: the change of distance that AM asks for goes through bound * tanh(change / bound). Differs from INS, whose density
    is held by a loss alone. Colour is the content's plus a change, which is 0 under the zero code.

    Fields of before 0.3 mix features that are read beside planes, and make colours of them by a copy of the content's head
    that has learned more colours than the object had; they are shown as they were, and not trained any more.
    """

    WIDTH, CHANNELS, COLOR_GATE = 64, 8, 0.5
    RESOLUTIONS, LOG2_SIZE = (64, 128, 256), 17
    """Of the feature hash: its finest cells are two pixels wide in views of 512 pixels."""
    PLANES = (24, 48, 96, 192)
    """Of fields of before 0.3."""
    RATES = (0.04, 4e-3, 0.01)
    """Of tables, networks and gates."""

    def __init__(
        self, content: SurfaceContent, num_styles: int, colors: Colors, bound: float = 0.0, footprint: float = 0.0,
        mixes: Mixes = "colors",
    ) -> None:  # fmt: skip
        """`footprint`: how wide the narrowest pixels are that strokes are learned from, in radii of the ball; they are shown
        as those see them. 0: strokes never fade (files of before). `mixes`: what AM sees and returns."""
        shape, mixes_colors = content.num_features if bound else None, mixes == "colors"
        if mixes_colors:
            encoding = StyleHash(num_styles, self.RESOLUTIONS, self.CHANNELS, self.LOG2_SIZE)
        else:
            encoding = StylePlanes(num_styles, self.PLANES, self.CHANNELS)
        # Gates below 1, where SIM and AM would have no gradient.
        super().__init__(
            shape, content.num_features, encoding, num_styles, self.WIDTH, 2, (0.9, self.COLOR_GATE),
            mixes_colors=mixes_colors,
        )  # fmt: skip
        self.content, self.bound, self.footprint = content.requires_grad_(False), bound, footprint
        if not mixes_colors:
            self.head = deepcopy(content.head)
        self.colors = StyleColors(colors, num_styles)

    def shown(self, style_code: Float[Tensor, " styles"]) -> ShownSurface:
        """The object under one code; the zero code shows the content, to the last bit."""
        moved, content_rgb = bool(self.bound and style_code.any()), show_content(self.content).rgb
        return ShownSurface(
            (lambda positions: self.signed_distance(positions, style_code)) if moved else self.content.signed_distance,
            (lambda positions: self.gradient(positions, style_code)) if moved else self.content.gradient,
            lambda positions: self.rgb(content_rgb(positions), positions, style_code),
        )

    def signed_distance(
        self, positions: Float[Tensor, "points 3"], style_code: Float[Tensor, " styles"]
    ) -> Float[Tensor, "points 1"]:
        """The stylised shape's; within `bound` of the content's."""
        distance, features = self.content(positions)
        if not self.bound:
            return distance
        mixed = self.raw_density(distance, features, positions, style_code)
        return distance + self.bound * torch.tanh((mixed - distance) / self.bound)

    def gradient(
        self, positions: Float[Tensor, "points 3"], style_code: Float[Tensor, " styles"]
    ) -> Float[Tensor, "points 3"]:
        """Of the stylised distance, from four distances around the place."""
        return numerical_gradient(lambda places: self.signed_distance(places, style_code), positions)

    def rgb(
        self,
        plain: Float[Tensor, "points 3"],
        positions: Float[Tensor, "points 3"],
        style_code: Float[Tensor, " styles"],
        footprint: Float[Tensor, "points 1"] | None = None,
    ) -> Float[Tensor, "points 3"]:
        """Colours of places whose `plain` colours are known; the view does not matter (INS, `zero_viewdir`).

        Strokes whose cells are finer than the `footprint` fade out, as those of scenes do; None: the narrowest that was
        trained.
        """
        spread = self._spread(positions, footprint)
        if self.mixes_colors:
            change = self.mixed(plain, positions, style_code, spread) - plain
        else:
            features, normals = self.content(positions)[1], self.content.color_normals(positions)
            mixed = self.mixed(features, positions, style_code, spread)
            change = self.head(mixed, positions, normals, None) - self.head(features, positions, normals, None)
        painted = self.colors.map(plain + self.colors.change(change), 1.0, style_code)
        return squeezed(painted) if self.mixes_colors else painted

    def _spread(self, positions: Tensor, footprint: Tensor | None) -> Tensor | None:
        if not self.footprint:
            return None
        least = positions.new_full((len(positions), 1), self.footprint)
        return SPREAD * (least if footprint is None else torch.maximum(least, footprint))

    def groups(self) -> list[dict[str, object]]:
        """What learns, and how fast."""
        layers = [parameter for parameter in self.weights() if parameter.requires_grad]
        learning = (self.planes(), layers, self.gates())
        return [{"params": each, "lr": rate} for each, rate in zip(learning, self.RATES, strict=True)]
