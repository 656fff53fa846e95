"""One query through CIM, SIM and AM."""

from typing import cast

from jaxtyping import Float
from torch import Tensor, nn

from ins3d.fields.amalgamation import Amalgamation
from ins3d.fields.content_features import ContentFeatures, ContentPoint
from ins3d.fields.merged_points import SurfacePoints
from ins3d.fields.point_encoding import FrequencyEncoding
from ins3d.fields.style_features import StyleFeatures, StylePlanes


class StylizedField(nn.Module):
    """SIM and AM over a content field (which it holds by reference, and does not own)."""

    def __init__(
        self, content: ContentFeatures, encoding: FrequencyEncoding | StylePlanes, num_styles: int, width: int,
        num_color_layers: int, gate_init: tuple[float, float],
    ) -> None:  # fmt: skip
        super().__init__()
        # In a list, so that the content's parameters are not listed twice.
        self._content = [content]
        self.style_features = StyleFeatures(encoding, num_styles, width)
        self.amalgamation = Amalgamation(
            content.num_density_features, content.num_color_features, width, width, num_color_layers, gate_init
        )

    @property
    def content(self) -> ContentFeatures:
        """The content field under the style."""
        return self._content[0]

    def raw_density(
        self, point: ContentPoint, positions: Float[Tensor, "*batch 3"], style_code: Float[Tensor, " styles"]
    ) -> Float[Tensor, "*batch 1"]:
        """The stylised density before its activation; positions lie in the unit ball."""
        style = self.style_features(positions, style_code)
        return self.amalgamation.raw_density(point.raw_density, point.density_features, style, style_code.sum())

    def rgb(
        self,
        points: SurfacePoints,
        style_code: Float[Tensor, " styles"],
        directions: Float[Tensor, "*rays points 3"] | None,
    ) -> Float[Tensor, "*rays points 3"]:
        """The stylised colour in [0, 1] of merged points, through the content's own colour head."""
        style = self.style_features(points.positions, style_code, points.spread)
        features = self.amalgamation.color_features(points.color_features, style, style_code.sum())
        return self.content.rgb(features, directions)

    def gates(self) -> list[nn.Parameter]:
        """The two gates, which learn at their own rate."""
        return [self.amalgamation.density_gate, self.amalgamation.rgb_gate]

    def weights(self) -> list[nn.Parameter]:
        """Everything trainable but the gates and the planes."""
        apart = {id(parameter) for parameter in self.gates() + self.planes()}
        return [parameter for parameter in self.parameters() if id(parameter) not in apart]

    def planes(self) -> list[nn.Parameter]:
        """The position encoding's parameters; none with sines and cosines."""
        return cast(list[nn.Parameter], list(self.style_features.encoding.parameters()))

    def keep_styles(self, number: int) -> None:
        """Freezes all that the first `number` styles are painted with; the others learn planes and columns of their own."""
        self.requires_grad_(False)
        network = self.style_features
        assert isinstance(network.encoding, StylePlanes)
        for index in range(number, len(network.columns)):
            network.columns[index].requires_grad_(True)
            network.encoding.styles[index].requires_grad_(True)
