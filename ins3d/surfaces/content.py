"""CIM of a surface: networks from positions to signed distance and features, and from features to RGB."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from ins3d.extension.registry import Registry
from ins3d.fields.mlp import Mlp
from ins3d.fields.point_encoding import FeaturePlanes, FrequencyEncoding, encoded_or_zero

START_RADIUS = 0.6
"""Of the sphere that every surface is before it is trained (spec A.9)."""
STEP = 1 / 256
"""Half a cell of the finest planes of a surface: distances are compared that far from a place."""
TETRAHEDRON = torch.tensor([[1.0, -1.0, -1.0], [-1.0, -1.0, 1.0], [-1.0, 1.0, -1.0], [1.0, 1.0, 1.0]])


class SurfaceContent(nn.Module, ABC):
    """An object as a function. Positions lie in the unit ball; distances have its units and are negative inside."""

    num_features: int
    learning_rate: float
    """Adam's, at the beginning of a fit to a mesh."""
    photo_learning_rate: float
    """The same for photographs, which say less of where the surface is."""
    head: nn.Module
    """What turns features, positions, normals and directions (or None) into colour."""

    @abstractmethod
    def forward(
        self, positions: Float[Tensor, "points 3"]
    ) -> tuple[Float[Tensor, "points 1"], Float[Tensor, "points features"]]:
        """(signed distance, content features: the input of the colour head)."""

    @abstractmethod
    def gradient(self, positions: Float[Tensor, "points 3"]) -> Float[Tensor, "points 3"]:
        """Of the signed distance: of length about 1; at the surface, the normal."""

    def rgb(
        self,
        features: Float[Tensor, "points features"],
        positions: Float[Tensor, "points 3"],
        normals: Float[Tensor, "points 3"],
        directions: Float[Tensor, "points 3"] | None = None,
    ) -> Float[Tensor, "points 3"]:
        """Colour in [0, 1]; without directions, that which does not depend on the view."""
        return self.head(features, positions, normals, directions)

    def color_normals(self, positions: Float[Tensor, "points 3"]) -> Float[Tensor, "points 3"]:
        """Normals as `rgb` wants them: zeros, where its head does not look at them."""
        return torch.zeros_like(positions)

    def signed_distance(self, positions: Float[Tensor, "points 3"]) -> Float[Tensor, "points 1"]:
        """Without the features."""
        return self(positions)[0]


class PlanesHead(nn.Module):
    """Two layers that know nothing of the normal."""

    def __init__(self, num_features: int, width: int) -> None:
        super().__init__()
        self.direction_encoding = FrequencyEncoding(num_inputs=3, num_frequencies=2)
        self.color = Mlp(num_features + self.direction_encoding.num_outputs, 3, width, num_layers=2)

    def forward(
        self, features: Tensor, positions: Tensor, normals: Tensor, directions: Tensor | None
    ) -> Float[Tensor, "points 3"]:
        """See `SurfaceContent.rgb`."""
        encoded = encoded_or_zero(self.direction_encoding, directions, features)
        return torch.sigmoid(self.color(torch.cat([features, encoded], dim=-1)))


class IdrHead(nn.Module):
    """The paper's four layers over position, direction, normal and feature (spec A.9).

    Differs from IDR in the colours' range, [0, 1] by a logistic function; its tanh is the same curve over [-1, 1].
    """

    def __init__(self, num_features: int, width: int) -> None:
        super().__init__()
        self.direction_encoding = FrequencyEncoding(num_inputs=3, num_frequencies=4)
        inputs = 3 + self.direction_encoding.num_outputs + 3 + num_features
        layers = [nn.Linear(size, width) for size in (inputs, width, width, width)]
        self.layers = nn.ModuleList(weight_norm(layer) for layer in [*layers, nn.Linear(width, 3)])

    def forward(
        self, features: Tensor, positions: Tensor, normals: Tensor, directions: Tensor | None
    ) -> Float[Tensor, "points 3"]:
        """See `SurfaceContent.rgb`."""
        encoded = encoded_or_zero(self.direction_encoding, directions, features)
        hidden = torch.cat([positions, encoded, normals, features], dim=-1)
        for layer in self.layers[:-1]:
            hidden = F.relu(layer(hidden))
        return torch.sigmoid(self.layers[-1](hidden))


class PlanesSurface(SurfaceContent):
    """Three feature planes and small networks over a sphere's distance: trains in minutes on a CPU.

    Differs from IDR: planes instead of eight layers of 512; the gradient is that of four distances around the place, because
    torch cannot differentiate a look-up in planes twice (Neuralangelo, section 3.2, takes six); and the colour knows nothing
    of the normal.
    """

    learning_rate, photo_learning_rate = 1e-2, 3e-3

    def __init__(
        self, resolutions: tuple[int, ...] = (32, 96, 256), channels: int = 8, num_features: int = 32, width: int = 64
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.planes = FeaturePlanes(resolutions, channels)
        self.distance = Mlp(3 + self.planes.num_outputs, 1, width, num_layers=3)
        self.base = Mlp(self.planes.num_outputs, num_features, width, num_layers=2)
        self.head = PlanesHead(num_features, width)
        for plane in self.planes.planes:  # small: cells that no sample ever falls into are never trained
            plane.data.mul_(0.01)
        # Whatever the planes say, nothing is added to the sphere at first.
        for parameter in self.distance.layers[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(
        self, positions: Float[Tensor, "points 3"]
    ) -> tuple[Float[Tensor, "points 1"], Float[Tensor, "points features"]]:
        """See `SurfaceContent.forward`."""
        read = self.planes(positions)
        return self._distance(positions, read), self.base(read)

    def signed_distance(self, positions: Float[Tensor, "points 3"]) -> Float[Tensor, "points 1"]:
        """See `SurfaceContent.signed_distance`."""
        return self._distance(positions, self.planes(positions))

    def _distance(self, positions: Tensor, read: Tensor) -> Tensor:
        sphere = positions.square().sum(-1, keepdim=True).clamp(min=1e-12).sqrt() - START_RADIUS
        return sphere + self.distance(torch.cat([positions, read], dim=-1))

    def gradient(self, positions: Float[Tensor, "points 3"]) -> Float[Tensor, "points 3"]:
        """See `SurfaceContent.gradient`."""
        return numerical_gradient(self.signed_distance, positions)


class IdrSurface(SurfaceContent):
    """The paper's networks: eight softplus layers of 512 with a skip, and `IdrHead` (spec A.9)."""

    learning_rate, photo_learning_rate = 1e-4, 1e-4

    def __init__(self, width: int = 512, num_features: int = 256) -> None:
        super().__init__()
        self.num_features = num_features
        self.position_encoding = FrequencyEncoding(num_inputs=3, num_frequencies=6)
        num_encoded = self.position_encoding.num_outputs
        sizes = [num_encoded] + [width] * 8
        outputs = [width] * 8 + [1 + num_features]
        outputs[3] -= num_encoded  # the encoded position is put beside it
        layers = [nn.Linear(size, output) for size, output in zip(sizes, outputs, strict=True)]
        _make_sphere(layers, num_encoded)
        self.trunk = nn.ModuleList(weight_norm(layer) for layer in layers)
        self.head = IdrHead(num_features, width)

    def forward(
        self, positions: Float[Tensor, "points 3"]
    ) -> tuple[Float[Tensor, "points 1"], Float[Tensor, "points features"]]:
        """See `SurfaceContent.forward`."""
        encoded = self.position_encoding(positions)
        hidden = encoded
        for number, layer in enumerate(self.trunk):
            hidden = layer(torch.cat([hidden, encoded], dim=-1) / 2**0.5 if number == 4 else hidden)
            if number < len(self.trunk) - 1:
                hidden = F.softplus(hidden, beta=100)
        distance, features = hidden.split([1, self.num_features], dim=-1)
        return distance, features

    def gradient(self, positions: Float[Tensor, "points 3"]) -> Float[Tensor, "points 3"]:
        """See `SurfaceContent.gradient`; by differentiation, and differentiable where gradients are."""
        keep = torch.is_grad_enabled()
        with torch.enable_grad():
            at = positions if positions.requires_grad else positions.detach().requires_grad_(True)
            return torch.autograd.grad(self.signed_distance(at).sum(), at, create_graph=keep)[0]

    def color_normals(self, positions: Float[Tensor, "points 3"]) -> Float[Tensor, "points 3"]:
        """See `SurfaceContent.color_normals`."""
        return F.normalize(self.gradient(positions), dim=-1)


def numerical_gradient(
    signed_distance: Callable[[Float[Tensor, "places 3"]], Float[Tensor, "places 1"]], positions: Float[Tensor, "points 3"]
) -> Float[Tensor, "points 3"]:
    """From the distances at the corners of a small tetrahedron around each place.

    >>> numerical_gradient(lambda x: 2 * x[:, :1] - x[:, 2:], torch.zeros(1, 3)).tolist()
    [[2.0, 0.0, -1.0]]
    """
    corners = TETRAHEDRON.to(positions)
    values = signed_distance((positions[:, None] + STEP * corners).reshape(-1, 3)).reshape(-1, 4, 1)
    return (values * corners).sum(1) / (4 * STEP)


@runtime_checkable
class SurfaceNetwork(Protocol):
    """What is registered: a subclass of `SurfaceContent`, which is a sphere before it is trained."""

    learning_rate: float
    photo_learning_rate: float

    def __call__(self) -> SurfaceContent:
        """An untrained one."""
        ...


SURFACE_NETWORKS: Registry[type[SurfaceContent]] = Registry("network", "ins3d.surface_networks", SurfaceNetwork)
SURFACE_NETWORKS.register("planes", PlanesSurface)
SURFACE_NETWORKS.register("idr", IdrSurface)


def make_surface_content(network: str) -> SurfaceContent:
    """An untrained sphere. Raises ValueError for a name that is not registered."""
    return SURFACE_NETWORKS.find(network, "network")()


def _make_sphere(layers: list[nn.Linear], num_encoded: int) -> None:
    """Weights with which softplus layers are, about, the distance to a sphere (SAL, Atzmon and Lipman 2020)."""
    for number, layer in enumerate(layers):
        nn.init.zeros_(layer.bias)
        nn.init.normal_(layer.weight, 0.0, 2**0.5 / layer.out_features**0.5)
        if number == 0:
            nn.init.zeros_(layer.weight[:, 3:])  # sines and cosines are not looked at yet
        if number == 4:
            nn.init.zeros_(layer.weight[:, -(num_encoded - 3) :])
    last = layers[-1]
    nn.init.normal_(last.weight, torch.pi**0.5 / last.in_features**0.5, 1e-4)
    nn.init.constant_(last.bias, -START_RADIUS)
