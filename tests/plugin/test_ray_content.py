import math

import pytest
import torch
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from ins3d.fields.content_features import ContentFeatures, ContentPoint
from ins3d.placement.scene import Placement
from ins3d.plugin.hash_content import HashSettings
from ins3d.plugin.ray_content import FrequencySettings, GridSettings, PlanesSettings, RayContentField

SIGMA = 1.5
"""Density of the box, per scene unit."""
RADIUS = 2.0
CENTER = (0.5, -0.25, 1.0)


class Box(ContentFeatures):
    """Constant density within a box of known sides, in the unit ball; nothing outside."""

    num_density_features = num_color_features = 1

    def __init__(self, half_sides: tuple[float, float, float], density_per_radius: float) -> None:
        super().__init__()
        self.half_sides = torch.tensor(half_sides)
        self.value = density_per_radius

    def forward(self, positions: Tensor) -> ContentPoint:
        inside = (positions.abs() < self.half_sides).all(-1, keepdim=True).float()
        return ContentPoint(inside * self.value, inside, inside)

    def density(self, raw_density: Tensor) -> Tensor:
        return raw_density

    def rgb(self, color_features: Tensor, directions: Tensor | None) -> Tensor:
        return color_features.expand(*color_features.shape[:-1], 3)


def field_of(bounded: bool, kind: str = "grid", num_proposal_samples: int = 24) -> RayContentField:
    kinds = {
        "grid": GridSettings((8, 32), 4, log2_size=12, num_proposal_samples=(num_proposal_samples,), num_samples=12),
        "planes": PlanesSettings((16, 32), 4, num_proposal_samples=(num_proposal_samples,), num_samples=12),
        "hash": HashSettings(num_proposal_samples=(num_proposal_samples,), num_samples=12),
        "frequency": FrequencySettings(num_coarse_samples=num_proposal_samples, num_samples=12),
    }
    field = kinds[kind].setup()
    field.placement.place(Placement(CENTER, RADIUS, 0.5, 20.0, bounded, "the test"))
    return field.eval()


def rays_from(origins: Tensor, directions: Tensor) -> RayBundle:
    count = len(origins)
    return RayBundle(
        origins=origins,
        directions=directions / directions.norm(dim=-1, keepdim=True),
        pixel_area=torch.ones(count, 1),
        camera_indices=torch.zeros(count, 1, dtype=torch.long),
    )


@pytest.fixture
def rays() -> RayBundle:
    """Towards the scene from all around, not quite through its centre."""
    random = torch.Generator().manual_seed(0)
    origins = torch.tensor(CENTER) + 4 * torch.nn.functional.normalize(torch.randn(40, 3, generator=random), dim=-1)
    return rays_from(origins, torch.tensor(CENTER) + 0.5 * torch.randn(40, 3, generator=random) - origins)


class TestWeights:
    @pytest.mark.parametrize("training", [False, True])
    @pytest.mark.parametrize("kind", ["grid", "frequency"])
    def test_in_an_open_scene_every_ray_ends_somewhere(self, rays: RayBundle, kind: str, training: bool):
        along = field_of(bounded=False, kind=kind).train(training)(rays)
        assert float((along.weights.sum(-2) - 1).abs().max()) < 1e-5
        assert float(along.weights.min()) >= 0

    def test_in_an_open_scene_of_nothing_the_last_sample_is_seen(self, rays: RayBundle):
        field = field_of(bounded=False)
        field.content = Box((0, 0, 0), 1.0)
        weights = field(rays).weights[..., 0]
        assert torch.equal(weights[:, -1], torch.ones(len(rays)))
        assert torch.equal(weights[:, :-1], torch.zeros_like(weights[:, :-1]))

    @pytest.mark.parametrize("training", [False, True])
    def test_in_a_bounded_scene_a_ray_may_pass_through(self, rays: RayBundle, training: bool):
        sums = field_of(bounded=True).train(training)(rays).weights.sum(-2)
        assert float(sums.max()) <= 1 + 1e-6
        # Density exp(0) = 1 per radius over less than two radii: 1 - exp(-2) at most, and then some.
        assert float(sums.min()) < 0.95

    @pytest.mark.parametrize("side", [0.25, 0.5])
    def test_a_box_of_constant_density_lets_through_what_beer_and_lambert_say(self, side: float):
        """Along x, through the middle: 1 - exp(-sigma d) with d the box's width in scene units."""
        field = field_of(bounded=True)
        field.content = Box((side, 0.3, 0.3), SIGMA * RADIUS)
        start = torch.tensor(CENTER) - torch.tensor([4.0, 0, 0])
        offsets = torch.tensor([[0.0, 0, 0], [0, 0.5, -0.5], [0, 0.7, 0]])
        rays = rays_from(start + offsets, torch.tensor([[1.0, 0, 0]] * 3))
        # Edges at every eighth of a unit: the box's faces lie on some of them.
        edges = torch.arange(2.0, 6.01, 0.125)[None, :, None].expand(3, -1, 1)
        samples = rays.get_ray_samples(bin_starts=edges[:, :-1], bin_ends=edges[:, 1:])
        sums = field.at(samples, [], []).weights.sum((-2, -1))
        width = 2 * side * RADIUS
        expected = 1 - math.exp(-SIGMA * width)
        # The third ray passes the box by: 0.7 > 0.3 radii = 0.6.
        assert sums.tolist() == pytest.approx([expected, expected, 0.0], abs=1e-5)

    def test_the_same_box_in_an_open_scene_lets_through_the_same(self):
        """Half the contracted ball is uncontracted space: a box at half the ball's scale is the same box."""
        field = field_of(bounded=False)
        field.content = Box((0.125, 0.15, 0.15), SIGMA * RADIUS)
        rays = rays_from(torch.tensor([CENTER]) - torch.tensor([[4.0, 0, 0]]), torch.tensor([[1.0, 0, 0]]))
        edges = torch.arange(2.0, 6.01, 0.125)[None, :, None]
        samples = rays.get_ray_samples(bin_starts=edges[:, :-1], bin_ends=edges[:, 1:])
        weights = field.at(samples, [], []).weights[0, :, 0]
        # The box is 1 unit wide; what it lets through ends in the last sample.
        assert float(weights[:-1].sum()) == pytest.approx(1 - math.exp(-SIGMA), abs=1e-5)
        assert float(weights[-1]) == pytest.approx(math.exp(-SIGMA), abs=1e-5)


class TestSample:
    @pytest.mark.parametrize("learns", [False, True])
    def test_samples_lie_between_the_bounds_and_in_order(self, rays: RayBundle, learns: bool):
        for bounded in (False, True):
            field = field_of(bounded).train(learns)
            samples, weights, proposed = field.sample(rays)
            near, far = field.placement.ray_bounds(rays.origins, rays.directions)
            starts, ends = samples.frustums.starts[..., 0], samples.frustums.ends[..., 0]
            assert starts.shape == (len(rays), 12) and len(weights) == len(proposed) == learns
            assert bool((starts >= near - 1e-4).all()) and bool((ends <= far + 1e-4).all())
            assert bool((ends >= starts).all()) and torch.equal(starts[:, 1:], ends[:, :-1])

    def test_samples_gather_where_the_proposal_network_sees_density(self):
        field = field_of(bounded=True, num_proposal_samples=64)

        class Slab(torch.nn.Module):
            def forward(self, positions: Tensor) -> Tensor:
                return 50.0 * (positions[..., :1].abs() < 0.1)

        field.proposals = torch.nn.ModuleList([Slab()])
        rays = rays_from(torch.tensor([CENTER]) - torch.tensor([[4.0, 0, 0]]), torch.tensor([[1.0, 0, 0]]))
        along = field(rays)
        near_slab = (along.positions[0, :, 0].abs() < 0.15).float().mean()
        assert float(near_slab) > 0.5

    def test_short_rays_are_looked_at_where_they_are_however_near(self):
        """`ns-export` textures a mesh by rays that start just above it, nearer than any camera was (near is 0.5)."""
        field = field_of(False)
        rays = RayBundle(
            torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 1.0]]), torch.ones(1, 1),
            nears=torch.zeros(1, 1), fars=torch.full((1, 1), 0.2),
        )  # fmt: skip
        samples, _, _ = field.sample(rays)
        middles = (samples.frustums.starts + samples.frustums.ends) / 2
        assert 0.019 < float(samples.frustums.starts.min()) < 0.05 and 0.15 < float(middles.max()) < 0.2

    @pytest.mark.parametrize("side", [-1.0, 1.0])
    def test_normals_point_out_of_what_is_dense(self, side: float):
        field = field_of(True)
        half = 0.5
        field.content = Box((half, 2.0, 2.0), SIGMA * RADIUS)  # a slab across x
        face = torch.tensor([CENTER]) + torch.tensor([[side * half * RADIUS, 0.2, -0.1]])
        torch.testing.assert_close(field.normals(face), torch.tensor([[side, 0.0, 0.0]]))

    def test_where_nothing_is_depth_lies_behind_everything(self, rays: RayBundle):
        field = field_of(True)
        samples, _, _ = field.sample(rays)
        empty = torch.zeros(*samples.shape, 1)
        assert float(field.depth(samples, empty).min()) == 22.0  # far is 20

    def test_evaluation_is_without_jitter(self, rays: RayBundle):
        field = field_of(bounded=False)
        first, second = field(rays), field(rays)
        assert torch.equal(first.weights, second.weights) and torch.equal(first.positions, second.positions)

    def test_positions_lie_in_the_unit_ball(self, rays: RayBundle):
        for bounded in (False, True):
            assert float(field_of(bounded)(rays).positions.norm(dim=-1).max()) <= 1 + 1e-5


class TestBuildContent:
    @pytest.mark.parametrize("kind", ["grid", "planes", "hash", "frequency"])
    def test_every_kind_answers_along_rays(self, rays: RayBundle, kind: str):
        field = field_of(bounded=False, kind=kind)
        along = field(rays)
        num_samples = along.weights.shape[1]
        # The paper's sampler keeps its coarse samples beside the fine ones.
        assert num_samples >= 12 if kind == "frequency" else num_samples == 12
        rgb = field.content.rgb(along.point.color_features, None)
        assert rgb.shape == (40, num_samples, 3) and 0 <= float(rgb.min()) and float(rgb.max()) <= 1
        assert bool(torch.isfinite(along.weights).all())


class TestFootprint:
    def test_is_the_side_of_a_pixel_at_each_sample_in_the_ball(self, rays: RayBundle):
        rays.pixel_area[:] = 0.01**2
        field = field_of(bounded=True)
        samples, _, _ = field.sample(rays)
        middle = (samples.frustums.starts + samples.frustums.ends) / 2
        away = (samples.frustums.get_positions() - torch.tensor(CENTER)).norm(dim=-1, keepdim=True)
        inside = away < RADIUS
        assert float(inside.float().mean()) > 0.5
        torch.testing.assert_close(field.footprint(samples)[inside], (0.01 * middle / RADIUS)[inside])

    def test_rays_that_have_no_pixel_have_none(self, rays: RayBundle):
        """The host's exporters look at a mesh along rays of area 1."""
        field = field_of(bounded=False)
        assert not field.footprint(field.sample(rays)[0]).any()
