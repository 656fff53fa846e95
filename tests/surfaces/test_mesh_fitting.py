import numpy as np
import pytest
import torch

from ins3d.meshes.queries import MeshQueries
from ins3d.meshes.triangles import SurfaceMesh
from ins3d.runs.training import Training
from ins3d.surfaces.content import PlanesSurface
from ins3d.surfaces.mesh_fitting import MeshSamples, mesh_losses, sample_mesh

CPU = torch.device("cpu")


@pytest.fixture
def cube() -> MeshQueries:
    """From -.5 to .5, red where x is positive and blue elsewhere (blended along edges)."""
    corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([triangle for a, b, c, d in quads for triangle in ((a, b, c), (a, c, d))])
    colors = np.where(corners[:, :1] > 0, [[0.9, 0.1, 0.1]], [[0.1, 0.1, 0.9]])
    return MeshQueries(SurfaceMesh(corners, faces, vertex_colors=colors))


@pytest.fixture
def samples(cube: MeshQueries) -> MeshSamples:
    return sample_mesh(cube, 20_000, 0, CPU)


class TestSamples:
    def test_distances_are_the_cubes(self, samples: MeshSamples):
        # Outside: the distance to the clamped place; inside: that to the nearest face.
        outside = (samples.positions.abs() - 0.5).clamp(min=0).norm(dim=-1)
        inside = (samples.positions.abs() - 0.5).amax(-1).clamp(max=0)
        torch.testing.assert_close(samples.distances[:, 0], outside + inside, atol=1e-5, rtol=0)

    def test_of_the_surface_know_normal_and_colour(self, samples: MeshSamples):
        torch.testing.assert_close(samples.surface.abs().amax(-1), torch.full((20_000,), 0.5))
        outwards = (samples.normals * samples.surface).sum(-1)
        torch.testing.assert_close(outwards, torch.full((20_000,), 0.5), atol=1e-5, rtol=0)
        right = samples.surface[:, 0] > 0.49999
        torch.testing.assert_close(samples.rgb[right], torch.tensor([0.9, 0.1, 0.1]).expand(int(right.sum()), 3))

    def test_are_near_the_surface_and_all_over_the_ball(self, samples: MeshSamples):
        near, anywhere = samples.positions[:20_000], samples.positions[20_000:]
        assert float(samples.distances[:20_000].abs().median()) < 0.03
        radius = anywhere.norm(dim=-1)
        # In a ball, half of the volume lies beyond the cube root of a half.
        assert radius.max() <= 1 and float((radius > 0.5 ** (1 / 3)).float().mean()) == pytest.approx(0.5, abs=0.02)
        assert len(near) == 20_000

    def test_depend_on_the_seed_alone(self, cube: MeshQueries):
        one, again, other = (sample_mesh(cube, 50, seed, CPU).positions for seed in (1, 1, 2))
        assert torch.equal(one, again) and not torch.equal(one, other)


class TestFit:
    def test_makes_the_cube_out_of_the_sphere(self, samples: MeshSamples):
        torch.manual_seed(0)
        content = PlanesSurface((16, 64), channels=4)
        training = Training(content, [{"params": list(content.parameters()), "lr": 1e-2}], 200, 0)
        training.run(mesh_losses(content, samples, 2048, sheet=False))
        at = samples.positions[-5000:]
        with torch.no_grad():
            off = (content.signed_distance(at) - samples.distances[-5000:]).abs().mean()
            on = content.signed_distance(samples.surface).abs().mean()
            rgb = content.rgb(content(samples.surface)[1], samples.surface, samples.normals)
        # A sphere of .6 is .1 off on the mean.
        assert float(off) < 0.02 and float(on) < 0.01
        assert float((rgb - samples.rgb).abs().mean()) < 0.05
        slope = torch.nn.functional.normalize(content.gradient(samples.surface[:500]), dim=-1)
        assert float((slope * samples.normals[:500]).sum(-1).mean()) > 0.9

    def test_of_a_sheet_the_surface_itself_is_not_distance_0(self, samples: MeshSamples):
        content = PlanesSurface((8,), channels=4)
        solid, sheet = (
            mesh_losses(content, samples, 64, sheet)(0, torch.Generator().manual_seed(0)) for sheet in (False, True)
        )
        assert set(solid) - set(sheet) == {"surface_loss", "normal_loss"}
        assert all(torch.equal(solid[name], value) for name, value in sheet.items())
