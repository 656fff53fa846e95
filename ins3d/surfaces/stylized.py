"""SIM and AM over a fitted surface: colours, and within a bound the shape, as functions of a style code."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ins3d.fields.style_features import StylePlanes
from ins3d.fields.stylized import StylizedField
from ins3d.style.colors import Colors, StyleColors
from ins3d.surfaces.content import SurfaceContent, numerical_gradient

Ask = Callable[[Float[Tensor, "points 3"]], Tensor]
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
    is held by a loss alone. Colour is the content's plus a change, which is 0 under the zero code: the difference that AM
    makes to a copy of the content's colour head. The copy learns: the head of a mesh of three colours knows three.
    """

    WIDTH = 64
    RESOLUTIONS = (24, 48, 96, 192)

    def __init__(
        self, content: SurfaceContent, num_styles: int, colors: Colors, bound: float = 0.0, footprint: float = 0.0,
        blur: float = 0.0,
    ) -> None:  # fmt: skip
        """`footprint`: how wide the narrowest pixels are that strokes are learned from, in radii of the ball; they are shown
        as those see them. 0: strokes never fade (files of before). `blur`: what AM does not see of the content
        (`SurfaceContent.style_features`)."""
        planes, shape = StylePlanes(num_styles, self.RESOLUTIONS, channels=8), content.num_features if bound else None
        # Gates a little below 1, where SIM and AM would have no gradient.
        super().__init__(shape, content.num_features, planes, num_styles, self.WIDTH, 2, gate_init=(0.9, 0.9))
        self.content, self.bound, self.footprint, self.blur = content.requires_grad_(False), bound, footprint, blur
        self.head = deepcopy(content.head).requires_grad_(True)
        self.colors = StyleColors(colors, num_styles)

    def shown(self, style_code: Float[Tensor, " styles"]) -> ShownSurface:
        """The object under one code; the zero code shows the content, to the last bit."""
        moved = bool(self.bound and style_code.any())
        return ShownSurface(
            (lambda positions: self.signed_distance(positions, style_code)) if moved else self.content.signed_distance,
            (lambda positions: self.gradient(positions, style_code)) if moved else self.content.gradient,
            lambda positions: self._asked(positions, style_code),
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

    def _asked(self, positions: Tensor, style_code: Tensor) -> Tensor:
        features, normals = self.content(positions)[1], self.content.color_normals(positions)
        plain = self.content.rgb(features, positions, normals)
        seen = self.content.style_features(positions, self.blur) if self.blur else features
        return self.rgb(plain, seen, positions, normals, style_code)

    def rgb(
        self,
        plain: Float[Tensor, "points 3"],
        features: Float[Tensor, "points features"],
        positions: Float[Tensor, "points 3"],
        normals: Float[Tensor, "points 3"],
        style_code: Float[Tensor, " styles"],
        footprint: Float[Tensor, "points 1"] | None = None,
    ) -> Float[Tensor, "points 3"]:
        """Colours of places whose `plain` colours and content features are known; the view does not matter (INS,
        `zero_viewdir`).

        Planes whose cells are finer than the `footprint` fade out, as those of scenes do; None: the narrowest that was
        trained.
        """
        style = self.style_features(positions, style_code, self._spread(positions, footprint))
        mixed = self.amalgamation.color_features(features, style, style_code.sum())
        change = self.head(mixed, positions, normals, None) - self.head(features, positions, normals, None)
        return self.colors.map(plain + self.colors.change(change), 1.0, style_code)

    def _spread(self, positions: Tensor, footprint: Tensor | None) -> Tensor | None:
        if not self.footprint:
            return None
        least = positions.new_full((len(positions), 1), self.footprint)
        return SPREAD * (least if footprint is None else torch.maximum(least, footprint))

    def groups(self) -> list[dict[str, object]]:
        """What learns, and how fast."""
        layers = [parameter for parameter in self.weights() if parameter.requires_grad]
        return [{"params": self.planes(), "lr": 0.05}, {"params": layers, "lr": 5e-3}, {"params": self.gates(), "lr": 0.01}]
