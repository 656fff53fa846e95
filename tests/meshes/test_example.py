import numpy as np
import pytest
import trimesh

from ins3d.meshes.example import example_distance, example_mesh
from ins3d.meshes.triangles import SurfaceMesh


@pytest.fixture(scope="module")
def mesh() -> SurfaceMesh:
    return example_mesh()


def distance(*position: float) -> float:
    return float(example_distance(np.array([position], float))[0])


class TestExampleDistance:
    def test_is_known_where_only_one_part_counts(self):
        assert distance(0, -0.9, 0) == pytest.approx(0.4)  # below the ball: 0.9 - 0.5
        assert distance(0, 0.95, 0) == pytest.approx(0.95 - 0.62 - 0.24)  # above the bead
        assert distance(0.95, -0.18, 0) == pytest.approx(0.95 - 0.66 - 0.16)  # beside the ring
        assert distance(0, -0.18, -0.66) == pytest.approx(-0.16)  # in the middle of its tube

    def test_parts_melt_into_each_other(self):
        # Where ball and bead are equally far, a union of the width 0.08 is nearer by 0.08 / 4 than either.
        # On the circle at y = a, |p| - 0.5 = |p - 0.62 y| - 0.24: with |p| = s, |p - 0.62 y| = s - 0.26.
        s = 0.52
        # s^2 - (s - 0.26)^2 = 2 * 0.62 * a - 0.62^2
        a = (s**2 - (s - 0.26) ** 2 + 0.62**2) / (2 * 0.62)
        assert distance((s**2 - a**2) ** 0.5, a, 0) == pytest.approx(0.02 - 0.08 / 4)

    def test_grows_by_no_more_than_the_way_gone(self):
        random = np.random.default_rng(0)
        here = random.uniform(-1, 1, (2000, 3))
        there = here + random.normal(0, 0.05, here.shape)
        grown = np.abs(example_distance(here) - example_distance(there))
        assert (grown <= np.linalg.norm(here - there, axis=1) + 1e-9).all()

    def test_fits_into_the_unit_ball(self):
        outside = np.random.default_rng(1).normal(size=(2000, 3))
        assert example_distance(outside / np.linalg.norm(outside, axis=1, keepdims=True)).min() > 0


class TestExampleMesh:
    def test_is_one_watertight_part_that_faces_outwards(self, mesh: SurfaceMesh):
        shape = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
        assert shape.is_watertight and shape.body_count == 1 and shape.volume > 0

    def test_vertices_lie_where_the_distance_is_0(self, mesh: SurfaceMesh):
        # Cells are 2 / 127 wide; straight lines between their corners miss a curved distance by a small share of that.
        assert np.abs(example_distance(mesh.vertices)).max() < 0.05 * 2 / 127

    def test_has_a_colour_at_every_vertex_and_more_than_a_few(self, mesh: SurfaceMesh):
        assert mesh.has_color and mesh.vertex_colors is not None
        assert mesh.vertex_colors.min() >= 0 and mesh.vertex_colors.max() <= 1
        # Stripes of a light and a dark colour: every channel varies.
        assert (mesh.vertex_colors.std(0) > 0.05).all()

    def test_is_as_fine_as_asked(self, mesh: SurfaceMesh):
        # A surface crosses about resolution^2 cells: half the resolution, a quarter of the triangles.
        assert len(mesh.faces) / len(example_mesh(64).faces) == pytest.approx(4, rel=0.1)
