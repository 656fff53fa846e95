import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor

from ins3d.placement.scene import Placement, ScenePlacement, placement_from_hull, placement_from_points

CENTER, RADIUS = (1.0, -2.0, 0.5), 3.0


def placed(bounded: bool, cubic: bool = False, near: float = 0.5, far: float = 50.0) -> ScenePlacement:
    placement = ScenePlacement()
    placement.place(Placement(CENTER, RADIUS, near, far, bounded, found_by="hand"))
    placement.cubic.fill_(cubic)
    return placement


def unit_vectors(random: torch.Generator, count: int = 40) -> Tensor:
    return torch.nn.functional.normalize(torch.randn(count, 3, generator=random), dim=-1)


@pytest.mark.parametrize("bounded", [False, True])
class TestBall:
    def test_maps_the_centre_to_zero(self, bounded: bool):
        assert placed(bounded)(torch.tensor([CENTER])).abs().max() == 0

    def test_maps_the_radius_to_a_half_for_open_scenes_and_to_1_for_bounded_ones(self, bounded: bool, random):
        mapped = placed(bounded)(torch.tensor(CENTER) + RADIUS * unit_vectors(random))
        torch.testing.assert_close(mapped.norm(dim=-1), torch.full((40,), 1.0 if bounded else 0.5))

    def test_maps_infinity_to_the_unit_sphere_and_nothing_outside_it(self, bounded: bool, random):
        directions = unit_vectors(random)
        mapped = placed(bounded)(torch.tensor(CENTER) + 1e7 * directions)
        torch.testing.assert_close(mapped, directions, atol=1e-5, rtol=0)
        assert placed(bounded)(100 * torch.randn(1000, 3, generator=random)).norm(dim=-1).max() <= 1 + 1e-6

    def test_is_monotone_in_distance_and_keeps_directions(self, bounded: bool, random):
        distances = torch.logspace(-2, 4, 100)[:, None]
        direction = unit_vectors(random, 1)
        mapped = placed(bounded)(torch.tensor(CENTER) + distances * direction)
        lengths = mapped.norm(dim=-1)
        inside = distances[:, 0] < RADIUS
        assert (lengths.diff() >= -1e-6).all() and (lengths[inside].diff() > 0).all()
        assert bounded or (lengths.diff() > 0).all()
        torch.testing.assert_close(mapped / lengths[:, None], direction.expand(100, 3), atol=1e-4, rtol=0)

    def test_gradient_is_finite_at_the_centre(self, bounded: bool):
        positions = torch.tensor([CENTER], requires_grad=True)
        placed(bounded)(positions).sum().backward()
        # A linear map near the centre: one over the radius, halved in open scenes.
        expected = 1 / RADIUS if bounded else 1 / (2 * RADIUS)
        torch.testing.assert_close(positions.grad, torch.full((1, 3), expected))

    def test_gradients_equal_finite_differences(self, bounded: bool, random):
        positions = torch.tensor(CENTER, dtype=torch.float64) + torch.tensor([[0.4, 0.9, -1.0], [7.0, -3.0, 2.0]]).double()
        assert torch.autograd.gradcheck(placed(bounded).double(), (positions.requires_grad_(),))

    def test_does_not_depend_on_the_unit_of_length(self, bounded: bool, random):
        positions = torch.randn(20, 3, generator=random)
        other = ScenePlacement()
        other.place(Placement((10.0, -20.0, 5.0), 30.0, 5.0, 500.0, bounded, "hand"))
        torch.testing.assert_close(other(10 * positions), placed(bounded)(positions))

    def test_scale_across_is_that_of_a_short_step_beside_the_direction_to_the_centre(self, bounded: bool, random):
        placement, away = placed(bounded).double(), unit_vectors(random).double()
        across = torch.linalg.cross(away, unit_vectors(random).double())
        across = 1e-5 * across / across.norm(dim=-1, keepdim=True)
        for distance in (0.0, 0.3 * RADIUS, 0.99 * RADIUS, 1.5 * RADIUS, 40 * RADIUS):
            positions = torch.tensor(CENTER).double() + distance * away
            stepped = (placement(positions + across) - placement(positions)).norm(dim=-1, keepdim=True) / 1e-5
            torch.testing.assert_close(placement.scale_across(positions), stepped, rtol=1e-4, atol=0)

    def test_saves_its_measures_with_the_field(self, bounded: bool):
        other = ScenePlacement()
        other.load_state_dict(placed(bounded).state_dict())
        positions = torch.tensor([[4.0, 3.0, 9.0]])
        assert torch.equal(other(positions), placed(bounded)(positions))
        assert other.density_scale.item() == pytest.approx(1 / RADIUS)


class TestCubic:
    def test_equals_half_the_published_contraction_with_the_largest_coordinate(self, random: torch.Generator):
        positions = torch.tensor(CENTER) + 10 * torch.randn(200, 3, generator=random)
        expected = []
        for position in ((positions - torch.tensor(CENTER)) / RADIUS).tolist():
            size = max(abs(x) for x in position)
            # Barron et al. 2022, eq. 10, with the L-inf norm: x inside, (2 - 1 / |x|) x / |x| outside.
            scale = 1 if size <= 1 else (2 - 1 / size) / size
            expected.append([0.5 * scale * x for x in position])
        torch.testing.assert_close(placed(bounded=False, cubic=True)(positions), torch.tensor(expected))

    def test_fills_a_cube(self):
        mapped = placed(bounded=False, cubic=True)(torch.tensor([[1e7, 1e7, -1e7]]))
        torch.testing.assert_close(mapped, torch.tensor([[1.0, 1.0, -1.0]]))


class TestOpenBall:
    def test_equals_half_the_published_contraction(self, random: torch.Generator):
        relative = 3 * torch.randn(200, 3, generator=random)
        expected = []
        for position in relative.tolist():
            size = sum(x * x for x in position) ** 0.5
            scale = 1 if size <= 1 else (2 - 1 / size) / size
            expected.append([0.5 * scale * x for x in position])
        torch.testing.assert_close(placed(bounded=False)(torch.tensor(CENTER) + RADIUS * relative), torch.tensor(expected))


class TestRayBounds:
    def test_of_an_open_scene_are_near_and_far(self, random: torch.Generator):
        near, far = placed(bounded=False).ray_bounds(torch.zeros(2, 4, 3), unit_vectors(random, 8).reshape(2, 4, 3))
        assert torch.equal(near, torch.full((2, 4, 1), 0.5)) and torch.equal(far, torch.full((2, 4, 1), 50.0))

    def test_of_a_bounded_scene_are_where_the_ray_cuts_the_sphere(self, random: torch.Generator):
        origins = torch.tensor(CENTER) + 8 * unit_vectors(random)
        # Aimed at points within 2 of the centre, so that every ray goes through the ball of radius 3.
        directions = torch.nn.functional.normalize(torch.tensor(CENTER) + 2 * unit_vectors(random) - origins, dim=-1)
        near, far = placed(bounded=True).ray_bounds(origins, directions)
        for ray in range(40):
            # |o + t d - c|^2 = r^2 as a quadratic in t.
            o = (origins[ray] - torch.tensor(CENTER)).double()
            b, c = 2 * float(o @ directions[ray].double()), float(o @ o) - RADIUS**2
            root = (b * b - 4 * c) ** 0.5
            assert near[ray].item() == pytest.approx((-b - root) / 2, abs=1e-4)
            assert far[ray].item() == pytest.approx((-b + root) / 2, abs=1e-4)

    def test_of_a_camera_inside_the_ball_begin_at_near(self):
        near, far = placed(bounded=True).ray_bounds(torch.tensor([CENTER]), torch.tensor([[0.0, 0.0, 1.0]]))
        assert near.item() == 0.5 and far.item() == pytest.approx(RADIUS)

    def test_of_a_ray_that_misses_are_a_short_stretch_beside_the_ball(self):
        origin = torch.tensor([[CENTER[0] - 10, CENTER[1] + 4, CENTER[2]]])
        near, far = placed(bounded=True).ray_bounds(origin, torch.tensor([[1.0, 0.0, 0.0]]))
        assert near.item() == pytest.approx(10 - 0.06, abs=1e-4) and far.item() == pytest.approx(10 + 0.06, abs=1e-4)

    def test_never_end_before_they_begin(self, random: torch.Generator):
        origins = torch.tensor(CENTER) + 8 * torch.randn(500, 3, generator=random)
        near, far = placed(bounded=True).ray_bounds(origins, unit_vectors(random, 500))
        assert (near < far).all() and (near >= 0.5).all()

    def test_refuses_one_direction_for_many_origins(self):
        with pytest.raises(TypeCheckError):
            placed(bounded=True).ray_bounds(torch.zeros(4, 3), torch.zeros(1, 3))


class TestPlacementFromPoints:
    def test_is_worked_out_from_medians_and_quantiles(self):
        # Eleven points -5 ... 5 on the x axis: median 0; distances 0, 1, 1, ... 5, 5, of which 4 is the 80 % quantile.
        line = torch.arange(-5.0, 6.0)
        points = torch.stack([line + 2, torch.full_like(line, 7), torch.zeros_like(line)], dim=-1)
        # Depths 1, 11, ... 101: the 1 % quantile is 2, the 99 % quantile 100.
        placement = placement_from_points(points, torch.arange(1.0, 102.0, 10.0), "test")
        assert placement.center == (2, 7, 0) and placement.radius == pytest.approx(4)
        assert placement.near == pytest.approx(0.6 * 2) and placement.far == pytest.approx(2 * 100)
        assert not placement.bounded and placement.found_by == "test"

    def test_is_not_moved_by_a_tenth_of_wild_points(self, random: torch.Generator):
        points = torch.randn(100, 3, generator=random)
        wild = points.clone()
        wild[:10] *= 1e4
        calm, moved = (placement_from_points(cloud, torch.ones(100), "test") for cloud in (points, wild))
        assert moved.radius < 1.5 * calm.radius
        assert max(abs(a - b) for a, b in zip(calm.center, moved.center, strict=True)) < 0.3


class TestPlacementFromHull:
    def test_is_the_ball_around_a_box(self):
        # A box of 2 x 4 x 4 around (1, 0, 0): half diagonal 3, times 1.05. Cameras at 10 and 12 from its centre.
        points = torch.tensor([[x, y, z] for x in (0.0, 2.0) for y in (-2.0, 2.0) for z in (-2.0, 2.0)])
        placement = placement_from_hull(points, torch.tensor([[11.0, 0, 0], [1, 12, 0]]))
        assert placement.center == (1, 0, 0) and placement.bounded
        assert placement.radius == pytest.approx(3.15)
        assert placement.near == pytest.approx(10 - 3.15) and placement.far == pytest.approx(12 + 3.15)

    def test_near_is_positive_for_a_camera_inside(self):
        points = torch.tensor([[-1.0, -1, -1], [1, 1, 1]])
        assert placement_from_hull(points, torch.zeros(1, 3)).near > 0
