import dataclasses
from collections.abc import Callable

import pytest
import torch
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from ins3d.fields.merged_points import SurfacePoints
from ins3d.fields.point_encoding import FeaturePlanes
from ins3d.placement.scene import Placement
from ins3d.plugin.content import Look, Merging
from ins3d.plugin.hash_content import HashSettings
from ins3d.plugin.ray_content import FrequencySettings, PlanesSettings, RayContentField
from ins3d.plugin.rays.proposal_grid import ProposalGrid
from ins3d.plugin.rays.proposals import PlaneDensity
from ins3d.plugin.rays.still_planes import StillPlanes, quantiles
from tests.plugin.tiny_scenes import psnr

MERGING = Merging(4, spread_mult=0.3, footprint_mult=0.6)
CENTER, RADIUS = (0.5, -0.25, 1.0), 2.0


def ball(sharpness: float) -> Callable[[Tensor], Tensor]:
    """Raw density of a ball of half the radius: 12 within, as little without."""
    return lambda positions: sharpness * (0.5 - positions.norm(dim=-1, keepdim=True)).clamp(-0.4, 0.4)


def learned(field: RayContentField) -> RayContentField:
    """The field after it has learned a textured ball; sharp enough for a sample to count, and not to look like fog."""
    parameters = list(field.parameters())
    optimizer = torch.optim.Adam(parameters, lr=0.02)
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


@pytest.fixture(scope="module", params=[False, True], ids=["open", "object"])
def field(request: pytest.FixtureRequest) -> RayContentField:
    torch.manual_seed(0)
    field = PlanesSettings((16, 32), 4).setup()
    field.place(Placement(CENTER, RADIUS, 0.5, 20.0, request.param, "the test"), torch.tensor([0.2, 0.5, 0.9]))
    return learned(field)


@pytest.fixture
def rays() -> RayBundle:
    """Towards the scene from all around, some past it."""
    random = torch.Generator().manual_seed(0)
    origins = torch.tensor(CENTER) + 4 * torch.nn.functional.normalize(torch.randn(300, 3, generator=random), dim=-1)
    directions = torch.tensor(CENTER) + 0.8 * torch.randn(300, 3, generator=random) - origins
    directions = directions / directions.norm(dim=-1, keepdim=True)
    return RayBundle(origins, directions, pixel_area=torch.full((300, 1), 1e-5))


def both(field: RayContentField, rays: RayBundle, merging: Merging = MERGING) -> tuple[Look, Look]:
    """(the fast, the slow) look."""
    with torch.inference_mode():
        fast = field.still_look(rays, merging)
    return fast, field.look(rays, merging)


class TestAgreement:
    """The slow path is the reference."""

    def test_pictures_agree_at_40_dB(self, field: RayContentField, rays: RayBundle):
        fast, slow = both(field, rays)
        assert psnr(fast.rgb, slow.rgb) > 40
        assert float(slow.rgb.std(0).mean()) > 0.05

    def test_depth_and_weights_are_nearly_the_same(self, field: RayContentField, rays: RayBundle):
        fast, slow = both(field, rays)
        torch.testing.assert_close(fast.accumulation, slow.accumulation, atol=2e-3, rtol=0)
        torch.testing.assert_close(fast.weights, slow.weights, atol=2e-2, rtol=0)
        seen = slow.accumulation > 0.5
        torch.testing.assert_close(fast.depth[seen], slow.depth[seen], atol=0, rtol=5e-3)
        assert 0.1 < float(seen.float().mean())

    @pytest.mark.parametrize("number", [1, 3, 4, None])
    def test_points_are_the_same_places(self, field: RayContentField, rays: RayBundle, number: int | None):
        fast, slow = (look.points for look in both(field, rays, dataclasses.replace(MERGING, num_points=number)))
        seen = slow.weights[..., 0] > 1e-3
        for name in (part.name for part in dataclasses.fields(SurfacePoints)):
            ours, theirs = getattr(fast, name), getattr(slow, name)
            assert ours.shape == theirs.shape
            scale = float(theirs[seen].abs().max())
            assert float((ours - theirs)[seen].abs().mean()) < 0.01 * scale, name

    def test_a_crop_box_cuts_both(self, field: RayContentField, rays: RayBundle):
        rays.nears, rays.fars = torch.full((300, 1), 2.0), torch.full((300, 1), 3.9)
        fast, slow = both(field, rays)
        assert psnr(fast.rgb, slow.rgb) > 40
        torch.testing.assert_close(fast.depth, slow.depth, atol=0, rtol=5e-3)

    def test_as_many_samples_as_are_asked_for(self, field: RayContentField, rays: RayBundle):
        field.set_num_samples(20)
        fast, slow = both(field, rays)
        field.set_num_samples(None)
        assert fast.weights.shape == slow.weights.shape == (300, 20, 1)
        assert psnr(fast.rgb, slow.rgb) > 40


class TestPreparation:
    def test_a_field_that_has_moved_on_is_prepared_again(self, field: RayContentField, rays: RayBundle):
        before, _ = both(field, rays)
        kept = field._still
        both(field, rays)
        assert field._still is kept
        with torch.no_grad():
            for planes in field.content.planes.planes:
                planes.mul_(0.5)
        after, slow = both(field, rays)
        assert psnr(after.rgb, before.rgb) < 30 and psnr(after.rgb, slow.rgb) > 40
        with torch.no_grad():
            for planes in field.content.planes.planes:
                planes.mul_(2.0)

    @pytest.mark.parametrize("fused", [True, False])
    def test_a_step_of_an_optimizer_is_noticed_whether_it_counts_as_a_write_or_not(self, fused: bool):
        planes = FeaturePlanes((16,), 4)
        optimizer = torch.optim.Adam(planes.parameters(), lr=0.5, fused=fused)
        positions = torch.rand(20, 3) - 0.5
        for _ in range(2):
            with torch.inference_mode():
                fast = planes(positions)
            with torch.no_grad():
                slow = planes(positions)
            torch.testing.assert_close(fast, slow)
            planes(positions).sum().backward()
            optimizer.step()

    @pytest.mark.parametrize(
        "settings", [HashSettings(), FrequencySettings(8, 8), PlanesSettings(num_proposal_samples=(8, 8))]
    )
    def test_other_kinds_take_the_slow_way(self, settings: HashSettings):
        assert not StillPlanes.suits(settings.setup())


class TestProposalGrid:
    def test_its_corners_are_the_networks_own_values(self):
        proposal = PlaneDensity()
        line = torch.linspace(-1, 1, 7)
        z, y, x = torch.meshgrid(line, line, line, indexing="ij")
        with torch.no_grad():
            torch.testing.assert_close(proposal.on_grid(7), proposal(torch.stack([x, y, z], dim=-1))[..., 0])

    def test_the_network_is_asked_only_where_it_matters(self, field: RayContentField):
        """Before the ball there is nothing, and behind its front nothing is seen."""
        grid, asked = ProposalGrid(field.proposals[0]), []
        network, grid.proposal = grid.proposal, lambda positions: asked.append(positions) or network(positions)
        steps = torch.linspace(-0.99, 0.99, 100)
        positions = torch.stack([steps, torch.zeros(100), torch.zeros(100)])[..., None]
        with torch.no_grad():
            density = grid(positions, torch.full((100, 1), 0.02))
            exact = network(positions.flatten(1).T)
        weights = [1 - torch.exp(-torch.cumsum(0.02 * each[:, 0], 0)) for each in (density, exact)]
        assert float((weights[0] - weights[1]).abs().max()) < 1e-3
        assert len(asked[0]) < 60


class TestQuantiles:
    def test_equal_parts_of_what_a_ray_has(self):
        """All in the second of four steps: its middle half holds the middle half."""
        shares = torch.tensor([[0.0], [0], [1], [1], [1]])
        edges = quantiles(shares, 4)[:, 0]
        torch.testing.assert_close(edges, 0.25 + 0.25 * torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9]))
