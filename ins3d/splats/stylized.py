"""SIM and AM over splats: the colours of splats as functions of a style code."""

from jaxtyping import Float
from torch import Tensor

from ins3d.fields.style_features import StyleHash
from ins3d.fields.stylized import StylizedField, squeezed
from ins3d.placement.scene import Placement, ScenePlacement
from ins3d.style.colors import Colors, StyleColors
from ins3d.style.sizes import finest_cells

SPREAD = 0.5
"""Standard deviation of the places that a splat's colour stands for, in its own."""


class StylizedSplats(StylizedField):
    """SIM and AM over splats, whose shapes are frozen: the same modules as for scenes, with the splats as the content.

    A splat's own colour is what CIM says of a place. Strokes lie in space, in the feature hash: neighbouring splats are
    painted alike, whatever their number.
    """

    WIDTH, CHANNELS, LOG2_SIZE, NUM_COLOR_LAYERS = 64, 8, 18, 4
    COARSEST = 128
    GATES = (1.0, 0.5)
    RATES = (0.025, 3e-3, 0.01)
    """Of tables, networks and gates, as for scenes."""

    def __init__(self, num_styles: int, colors: Colors, side: int, placement: Placement | None = None) -> None:
        """`side`: long side, in pixels, of the pictures that strokes are learned in. Without a placement it is loaded."""
        levels = (finest_cells(side) // self.COARSEST).bit_length()
        resolutions = tuple(self.COARSEST * 2**level for level in range(levels))
        super().__init__(
            None, 3, StyleHash(num_styles, resolutions, self.CHANNELS, self.LOG2_SIZE), num_styles, self.WIDTH,
            self.NUM_COLOR_LAYERS, self.GATES, mixes_colors=True,
        )  # fmt: skip
        self.placement = ScenePlacement()
        if placement is not None:
            self.placement.place(placement)
        self.colors = StyleColors(colors, num_styles)

    def rgb(
        self,
        plain: Float[Tensor, "splats 3"],
        means: Float[Tensor, "splats 3"],
        sizes: Float[Tensor, "splats 1"],
        style_code: Float[Tensor, " styles"],
    ) -> Float[Tensor, "splats 3"]:
        """What the `plain` colours of splats become; under the zero code they stay. What lies outside [0, 1] goes with the
        strength.

        `means` and `sizes` in the splats' own units: places, and standard deviations, over which finer strokes are averaged.
        """
        spread, inside = SPREAD * sizes * self.placement.scale_across(means), plain.clamp(0, 1)
        change = self.mixed(inside, self.placement(means), style_code, spread) - inside
        painted = squeezed(self.colors.map(inside + self.colors.change(change), 1.0, style_code))
        return painted + (1 - style_code.sum()) * (plain - inside)

    def groups(self) -> list[dict[str, object]]:
        """What learns, and how fast."""
        layers = [parameter for parameter in self.weights() if parameter.requires_grad]
        learning = (self.planes(), layers, self.gates())
        return [{"params": each, "lr": rate} for each, rate in zip(learning, self.RATES, strict=True)]


def mean_size(scales: Float[Tensor, "splats 3"]) -> Float[Tensor, "splats 1"]:
    """One standard deviation for the three of each splat: their geometric mean.

    >>> import torch
    >>> mean_size(torch.tensor([[1.0, 2.0, 4.0]])).round(decimals=4).tolist()
    [[2.0]]
    """
    return scales.log().mean(-1, keepdim=True).exp()
