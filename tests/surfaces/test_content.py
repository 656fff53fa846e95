import pytest
import torch
from torch import Tensor

from ins3d.surfaces.content import START_RADIUS, IdrSurface, PlanesSurface, make_surface_content, numerical_gradient


@pytest.fixture
def positions(random: torch.Generator) -> Tensor:
    return torch.rand(200, 3, generator=random) * 1.2 - 0.6


class TestEveryNetwork:
    @pytest.mark.parametrize("network", ["planes", "idr"])
    def test_begins_as_a_sphere(self, network: str, positions: Tensor):
        """Geometric initialisation: about the distance to a sphere, negative inside (spec A.9)."""
        content = make_surface_content(network)
        wanted = positions.norm(dim=-1, keepdim=True) - START_RADIUS
        found = content.signed_distance(positions)
        assert float((found - wanted).abs().mean()) < (1e-6 if network == "planes" else 0.2)
        far, near = torch.tensor([[0.0, 0.95, 0.0]]), torch.zeros(1, 3)
        assert content.signed_distance(far) > 0 > content.signed_distance(near)

    @pytest.mark.parametrize("network", ["planes", "idr"])
    def test_the_distance_alone_is_that_beside_the_features(self, network: str, positions: Tensor):
        content = make_surface_content(network)
        distance, features = content(positions)
        torch.testing.assert_close(distance, content.signed_distance(positions))
        assert features.shape == (200, content.num_features)

    @pytest.mark.parametrize("network", ["planes", "idr"])
    def test_the_gradient_is_that_of_the_distance(self, network: str, positions: Tensor):
        content = make_surface_content(network).double()
        at, step = positions[:20].double(), 1e-4
        slow = torch.cat(
            [
                (content.signed_distance(at + step * axis) - content.signed_distance(at - step * axis)) / (2 * step)
                for axis in torch.eye(3).double()
            ],
            dim=1,
        )
        torch.testing.assert_close(content.gradient(at), slow, atol=0.02, rtol=0.02)

    @pytest.mark.parametrize("network", ["planes", "idr"])
    def test_the_gradient_can_be_learned_from(self, network: str, positions: Tensor):
        content = make_surface_content(network)
        content.gradient(positions[:4]).square().sum().backward()
        assert any(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in content.parameters())

    @pytest.mark.parametrize("network", ["planes", "idr"])
    def test_without_gradients_nothing_is_kept(self, network: str, positions: Tensor):
        content = make_surface_content(network)
        with torch.no_grad():
            assert not content.gradient(positions[:4]).requires_grad

    @pytest.mark.parametrize("network", ["planes", "idr"])
    def test_colours_lie_in_0_to_1_and_depend_on_the_view_only_if_there_is_one(self, network: str, positions: Tensor):
        content = make_surface_content(network)
        _, features = content(positions)
        normals = torch.nn.functional.normalize(positions, dim=-1)
        plain = content.rgb(features, positions, normals)
        assert plain.min() >= 0 and plain.max() <= 1
        assert torch.equal(plain, content.rgb(features, positions, normals, None))
        assert not torch.allclose(plain, content.rgb(features, positions, normals, normals))

    @pytest.mark.parametrize("network", ["planes", "idr"])
    def test_no_places_are_answered_with_nothing(self, network: str):
        content = make_surface_content(network)
        assert content.signed_distance(torch.zeros(0, 3)).shape == (0, 1)


def test_the_papers_networks_have_the_papers_size():
    # Spec A.9: 39 inputs, eight layers of 512 of which the fourth makes room for the inputs, 257 outputs; weight norm adds
    # a length to each row.
    sizes = [(39, 512), (512, 512), (512, 512), (512, 473), *[(512, 512)] * 4, (512, 257)]
    trunk = sum(inputs * outputs + 2 * outputs for inputs, outputs in sizes)
    # Position 3, view 27, normal 3, feature 256; four layers of 512.
    head = sum(inputs * outputs + 2 * outputs for inputs, outputs in [(289, 512), *[(512, 512)] * 3, (512, 3)])
    assert sum(parameter.numel() for parameter in IdrSurface().parameters()) == trunk + head


def test_planes_that_were_never_trained_say_nothing(positions: Tensor):
    """Cells that no sample falls into keep their first values: those must not become floaters."""
    content = PlanesSurface()
    content.distance.layers[-1].weight.data.normal_()
    with torch.no_grad():
        added = content.signed_distance(positions) - (positions.norm(dim=-1, keepdim=True) - START_RADIUS)
        smooth = content.distance(torch.cat([positions, torch.zeros(200, content.planes.num_outputs)], dim=-1))
    assert float((added - smooth).abs().max()) < 0.05 * float(smooth.abs().mean() + 1)


def test_numerical_gradients_of_a_plane_are_exact(positions: Tensor):
    slope = torch.tensor([0.3, -2.0, 0.7]).double()
    found = numerical_gradient(lambda at: (at @ slope)[:, None], positions.double())
    torch.testing.assert_close(found, slope.expand(200, 3))
