"""CIM of a picture: networks from 2D positions to content features, and from those to RGB."""

from abc import ABC, abstractmethod
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ins3d.extension.registry import Registry
from ins3d.fields.mlp import Mlp, SineMlp
from ins3d.fields.point_encoding import FeaturePlanes


class PictureContent(nn.Module, ABC):
    """A picture as a function. Positions are (x, y), rightwards and downwards; the long side spans [-1, 1]."""

    num_features: int
    color: nn.Module
    """Features to colour, before its range is limited."""
    learning_rate: float
    """Adam's, at the beginning."""
    fit_steps: int
    """Of a fit, where nobody says how many."""
    knows_pixels = False
    """Whether it is another function for wide pixels than for narrow ones."""
    finest: float | None = None
    """Width of a pixel of the picture that it was fitted to, in positions, where it was fitted to smaller ones as well."""

    @classmethod
    def of_size(cls, long_side: int) -> "PictureContent":
        """An untrained network that can hold a picture of so many pixels; here: of one size, whatever the picture's."""
        return cls()

    @abstractmethod
    def features(self, positions: Float[Tensor, "points 2"]) -> Float[Tensor, "points features"]:
        """Content features: the input of AM."""

    def features_of(self, positions: Float[Tensor, "points 2"], pixel: float) -> Float[Tensor, "points features"]:
        """The same for pixels of this width, in positions; here: whatever their width."""
        return self.features(positions)

    def rgb(self, features: Float[Tensor, "points features"]) -> Float[Tensor, "points 3"]:
        """Colour in [0, 1], or about so."""
        return torch.sigmoid(self.color(features))

    def forward(self, positions: Float[Tensor, "points 2"]) -> Float[Tensor, "points 3"]:
        """Colour at places."""
        return self.rgb(self.features(positions))


def spread_over(pixel: float, finest: float | None) -> float | None:
    """Standard deviation of what pixels of this width average more than those of width `finest`, in positions.

    None where that is nothing: a field is what it is for pixels as fine as it has seen, and for finer ones. It is also None
    for fields that have seen one size only, and whose `finest` is None: files older than version 0.3.

    >>> spread_over(0.02, 0.02), spread_over(0.01, 0.02), round(spread_over(0.04, 0.02), 4)
    (None, None, 0.01)
    """
    if finest is None or pixel <= 1.01 * finest:
        return None
    return ((pixel**2 - finest**2) / 12) ** 0.5


class PlanesPicture(PictureContent):
    """Feature planes and a small network: a tenth of SIREN's time. Differs from INS, which fits a SIREN."""

    learning_rate, fit_steps, knows_pixels = 3e-2, 500, True

    @classmethod
    def of_size(cls, long_side: int) -> "PlanesPicture":
        """With planes as fine as the picture."""
        return cls(long_side)

    def __init__(self, long_side: int, channels: int = 4, num_features: int = 32, width: int = 64) -> None:
        super().__init__()
        self.num_features = num_features
        # Two cells a pixel: with one, a detailed picture of 256 pixels stays below 38 dB.
        resolutions = tuple(max(long_side * share // 8, 2) for share in (1, 4, 16))
        self.planes = FeaturePlanes(resolutions, channels, num_inputs=2)
        self.base = Mlp(self.planes.num_outputs, num_features, width, num_layers=2)
        self.color = Mlp(num_features, 3, width, num_layers=2)

    def features(self, positions: Float[Tensor, "points 2"]) -> Float[Tensor, "points features"]:
        """See `PictureContent.features`."""
        return self.base(self.planes(positions))

    def features_of(self, positions: Float[Tensor, "points 2"], pixel: float) -> Float[Tensor, "points features"]:
        """See `PictureContent.features_of`; planes finer than the pixels fade out."""
        return self.base(self.planes(positions, spread_over(pixel, self.finest)))


class SirenPicture(PictureContent):
    """INS's network for pictures: four sine layers of 256 and a linear read-out (Sitzmann et al. 2020; spec A.10).

    Differs from SIREN in how it is trained: random places instead of all pixels, and ten times the rate, which falls.
    """

    learning_rate, fit_steps = 1e-3, 1500

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.num_features = width
        self.sines = SineMlp(2, width, num_layers=4)
        self.color = nn.Linear(width, 3)
        bound = (6 / width) ** 0.5 / SineMlp.FREQUENCY
        nn.init.uniform_(self.color.weight, -bound, bound)

    def features(self, positions: Float[Tensor, "points 2"]) -> Float[Tensor, "points features"]:
        """See `PictureContent.features`."""
        return self.sines(positions)

    def rgb(self, features: Float[Tensor, "points features"]) -> Float[Tensor, "points 3"]:
        """See `PictureContent.rgb`; the network's own range is [-1, 1]."""
        return (self.color(features) + 1) / 2


class FourierPicture(PictureContent):
    """Random Fourier features and three ReLU layers of 256 (Tancik et al. 2020)."""

    learning_rate, fit_steps = 2e-3, 1500

    def __init__(self, width: int = 256, scale: float = 10.0) -> None:
        super().__init__()
        self.num_features = width
        # Their standard deviation of 10 is for positions in [0, 1]; ours span twice as much.
        self.register_buffer("frequencies", torch.randn(2, width // 2) * scale * torch.pi)
        self.base = Mlp(width, width, width, num_layers=3)
        self.color = nn.Linear(width, 3)

    def features(self, positions: Float[Tensor, "points 2"]) -> Float[Tensor, "points features"]:
        """See `PictureContent.features`."""
        turned = positions @ self.get_buffer("frequencies")
        return torch.relu(self.base(torch.cat([turned.sin(), turned.cos()], dim=-1)))


@runtime_checkable
class PictureNetwork(Protocol):
    """What is registered: a subclass of `PictureContent`."""

    learning_rate: float
    fit_steps: int

    def of_size(self, long_side: int) -> PictureContent:
        """See `PictureContent.of_size`."""
        ...


PICTURE_NETWORKS: Registry[type[PictureContent]] = Registry("network", "ins3d.picture_networks", PictureNetwork)
PICTURE_NETWORKS.register("planes", PlanesPicture)
PICTURE_NETWORKS.register("siren", SirenPicture)
PICTURE_NETWORKS.register("fourier", FourierPicture)


def make_picture_content(network: str, long_side: int) -> PictureContent:
    """A registered network that can hold a picture of so many pixels. Raises ValueError for another name."""
    return PICTURE_NETWORKS.find(network, "network").of_size(long_side)
