import pytest
import torch
from torch import Tensor

from ins3d.surfaces.sphere_tracing import sphere_ends, surface_positions, trace_rays


def sphere(radius: float, stretch: float = 1.0):
    """`stretch` above 1 overestimates distances."""
    return lambda positions: stretch * (positions.norm(dim=-1, keepdim=True) - radius)


@pytest.fixture
def rays(random: torch.Generator) -> tuple[Tensor, Tensor]:
    """From a sphere of radius 3 towards places in the ball."""
    origins = torch.nn.functional.normalize(torch.randn(400, 3, generator=random), dim=-1) * 3
    towards = 1.2 * (torch.rand(400, 3, generator=random) - 0.5)
    return origins, torch.nn.functional.normalize(towards - origins, dim=-1)


def exact(origins: Tensor, directions: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """(hit, distance) of rays and a sphere, by the quadratic formula."""
    middle = -(origins * directions).sum(-1)
    under = radius**2 - (origins.square().sum(-1) - middle**2)
    return under > 0, middle - under.clamp(min=0).sqrt()


class TestTraceRays:
    @pytest.mark.parametrize("stretch", [1.0, 0.5, 1.6])
    def test_finds_what_the_formula_finds(self, rays, stretch: float):
        hits = trace_rays(sphere(0.5, stretch), *rays)
        hit, distance = exact(*rays, 0.5)
        clear = exact(*rays, 0.505)[0] == exact(*rays, 0.495)[0]  # not grazing
        assert torch.equal(hits.hit[clear], hit[clear]) and hit.any() and not hit.all()
        assert float((hits.distances - distance)[hit & clear].abs().max()) < 5e-3
        assert float((hits.distances - distance)[hit & clear].abs().median()) < 5e-4

    def test_finds_the_first_of_two_surfaces(self):
        # Two balls of radius .2 on the z axis: at +.5 and -.5.
        centers = torch.tensor([[0.0, 0.0, 0.5], [0.0, 0.0, -0.5]])

        def ask(positions: Tensor) -> Tensor:
            return (torch.cdist(positions, centers) - 0.2).amin(1, keepdim=True)

        origins = torch.tensor([[0.0, 0.0, 3.0], [0.0, 0.0, -3.0]])
        hits = trace_rays(ask, origins, -origins / 3)
        torch.testing.assert_close(hits.distances, torch.tensor([2.3, 2.3]), atol=1e-3, rtol=0)

    def test_a_ray_that_does_not_arrive_in_time_is_sampled(self):
        # Steps of a twentieth: after 40 the ray has come 87 % of the way, and the surface is found by its change of sign.
        hits = trace_rays(sphere(0.5, 0.05), torch.tensor([[0.1, 0.0, 3.0]]), torch.tensor([[0.0, 0.0, -1.0]]))
        assert hits.hit and float(hits.distances) == pytest.approx(3 - 0.24**0.5, abs=1e-4)

    def test_of_a_miss_the_nearest_place_is_told(self):
        # The ray passes the ball of radius .3 at a distance of .6 from 0; nearest at z = 0, that is after 3.
        hits = trace_rays(sphere(0.3), torch.tensor([[0.6, 0.0, 3.0]]), torch.tensor([[0.0, 0.0, -1.0]]))
        assert not hits.hit and float(hits.distances) == pytest.approx(3.0, abs=0.2)

    def test_rays_that_miss_the_ball_are_never_asked_about(self):
        def ask(positions: Tensor) -> Tensor:
            raise AssertionError("asked")

        hits = trace_rays(ask, torch.tensor([[5.0, 0.0, 3.0]]), torch.tensor([[0.0, 0.0, -1.0]]))
        assert not hits.hit

    def test_a_ray_that_begins_inside_is_at_the_surface_at_once(self):
        hits = trace_rays(sphere(0.5), torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 1.0]]))
        assert hits.hit and float(hits.distances) == 0

    def test_rays_do_not_depend_on_their_neighbours(self, rays):
        together = trace_rays(sphere(0.5), *rays)
        alone = trace_rays(sphere(0.5), rays[0][7:8], rays[1][7:8])
        assert together.distances[7] == alone.distances[0] and together.hit[7] == alone.hit[0]


class TestSphereEnds:
    def test_a_ray_through_the_middle(self):
        near, far = sphere_ends(torch.tensor([[3.0, 0.0, 0.0]]), torch.tensor([[-1.0, 0.0, 0.0]]), 1.0)
        assert (near.item(), far.item()) == (2.0, 4.0)

    def test_a_ray_from_within_enters_at_once(self):
        near, far = sphere_ends(torch.tensor([[0.5, 0.0, 0.0]]), torch.tensor([[1.0, 0.0, 0.0]]), 1.0)
        assert (near.item(), far.item()) == (0.0, 0.5)

    def test_a_sphere_behind_is_not_met(self):
        near, far = sphere_ends(torch.tensor([[3.0, 0.0, 0.0]]), torch.tensor([[1.0, 0.0, 0.0]]), 1.0)
        assert near.item() == far.item() == 0


class TestSurfacePositions:
    """IDR, equation 3: where a ray meets a surface, as a function of the surface's parameters."""

    def test_the_value_is_the_hit(self, rays):
        origins, directions = rays[0][:5], rays[1][:5]
        distances = torch.full((5,), 2.5)
        at = origins + distances[:, None] * directions
        found = surface_positions(at, directions, sphere(0.5)(at), -directions)
        torch.testing.assert_close(found, at)

    def test_the_derivative_is_that_of_the_intersection(self):
        # A sphere of radius r, seen along (0, 0, -1) from (.3, 0, 3): it is met at z = sqrt(r^2 - .09).
        radius = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
        origins, directions = torch.tensor([[0.3, 0.0, 3.0]]).double(), torch.tensor([[0.0, 0.0, -1.0]]).double()
        distances = torch.tensor([3.0 - 0.4]).double()
        at = origins + distances[:, None] * directions
        signed = at.norm(dim=-1, keepdim=True) - radius
        found = surface_positions(at, directions, signed, at / at.norm())
        found[0, 2].backward()
        # d sqrt(r^2 - .09) / dr = r / z = .5 / .4.
        assert radius.grad is not None and radius.grad.item() == pytest.approx(1.25)

    def test_rays_that_graze_move_within_bounds(self):
        signed = torch.tensor([[0.0]], requires_grad=True)
        directions = torch.tensor([[0.0, 0.0, 1.0]])
        found = surface_positions(torch.ones(1, 3), directions, signed, torch.tensor([[1.0, 0.0, -1e-9]]))
        found.sum().backward()
        assert signed.grad is not None and signed.grad.abs().item() == pytest.approx(20.0)  # 1 / .05
