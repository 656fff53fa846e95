"""A ball that a content of planes has learned, and rays towards it."""

from collections.abc import Callable

import pytest
import torch
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from ins3d.placement.scene import Placement
from ins3d.plugin.ray_content import GridSettings, PlanesSettings, RayContentField

CENTER, RADIUS = (0.5, -0.25, 1.0), 2.0


def ball(sharpness: float) -> Callable[[Tensor], Tensor]:
    """Raw density of a ball of half the radius: 12 within, as little without."""
    return lambda positions: sharpness * (0.5 - positions.norm(dim=-1, keepdim=True)).clamp(-0.4, 0.4)


def learned(field: RayContentField) -> RayContentField:
    """The field after it has learned a textured ball; sharp enough for a sample to count, and not to look like fog."""
    optimizer = torch.optim.Adam(list(field.parameters()), lr=0.02)
    random = torch.Generator().manual_seed(0)
    for _ in range(60):
        positions = torch.randn(2000, 3, generator=random)
        positions = positions / positions.norm(dim=-1, keepdim=True) * torch.rand(2000, 1, generator=random)
        point, wanted = field.content(positions), ball(30.0)(positions)
        colors = field.content.rgb(point.color_features, None)
        loss = ((point.raw_density - wanted) ** 2).mean() + ((colors - (0.5 + 0.5 * torch.sin(9 * positions))) ** 2).mean()
        for proposal in field.proposals:
            loss = loss + ((proposal(positions).log() - wanted) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return field.eval().requires_grad_(False)


KINDS = {"grid": GridSettings((8, 32), 4, 12), "planes": PlanesSettings((16, 32), 4)}


FIELDS = {"open": ("planes", False), "object": ("planes", True), "grid": ("grid", True)}


@pytest.fixture(scope="module", params=FIELDS)
def field(request: pytest.FixtureRequest) -> RayContentField:
    """Of a kind; bounded, or an open scene."""
    torch.manual_seed(0)
    kind, bounded = FIELDS[request.param]
    field = KINDS[kind].setup()
    field.place(Placement(CENTER, RADIUS, 0.5, 20.0, bounded, "the test"), torch.tensor([0.2, 0.5, 0.9]))
    return learned(field)


@pytest.fixture
def rays() -> RayBundle:
    """Towards the scene from all around, some past it."""
    random = torch.Generator().manual_seed(0)
    origins = torch.tensor(CENTER) + 4 * torch.nn.functional.normalize(torch.randn(300, 3, generator=random), dim=-1)
    directions = torch.tensor(CENTER) + 0.8 * torch.randn(300, 3, generator=random) - origins
    directions = directions / directions.norm(dim=-1, keepdim=True)
    return RayBundle(origins, directions, pixel_area=torch.full((300, 1), 1e-5))
