from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import trimesh

from ins3d.meshes.triangles import SurfaceMesh, read_texture
from ins3d.surfaces.baking import bake_texture, color_vertices
from ins3d.surfaces.stylized import ShownSurface
from ins3d.surfaces.triangulation import make_atlas

CPU = torch.device("cpu")
SIZE = 512
"""Enough texels between the charts that the colour of one is not read in another."""


def surface(rgb, gradient=lambda positions: 3 * positions) -> ShownSurface:
    return ShownSurface(lambda positions: positions[:, :1], gradient, rgb)


BY_PLACE = surface(lambda positions: 0.5 + 0.5 * positions)


def square() -> SurfaceMesh:
    """A unit square in z = 0, whose places in the texture are its x and y."""
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    return SurfaceMesh(corners, faces, corners[faces][..., :2])


@pytest.fixture(scope="module")
def ball() -> SurfaceMesh:
    shape = trimesh.creation.icosphere(subdivisions=2, radius=0.8)
    mesh = SurfaceMesh(np.asarray(shape.vertices), np.asarray(shape.faces).astype(np.int64))
    return replace(mesh, corner_uvs=make_atlas(mesh))


class TestBakeTexture:
    def test_paints_each_texel_with_the_colour_of_its_middle(self):
        baked = bake_texture(square(), BY_PLACE, 4, CPU)
        for row in range(4):
            for column in range(4):
                # Rows count downwards, y upwards.
                x, y = (column + 0.5) / 4, 1 - (row + 0.5) / 4
                assert baked.textures[0][row, column] == pytest.approx([0.5 + 0.5 * x, 0.5 + 0.5 * y, 0.5], abs=1e-6)

    def test_is_read_back_to_within_a_texel(self, ball: SurfaceMesh):
        baked = bake_texture(ball, BY_PLACE, SIZE, CPU)
        random = np.random.default_rng(0)
        faces, weights = random.integers(0, len(ball.faces), 3000), random.dirichlet((1, 1, 1), 3000)
        places = np.einsum("pc,pcd->pd", weights, ball.vertices[ball.faces[faces]])
        wrong = np.abs(baked.colors_at(faces, weights) - (0.5 + 0.5 * places))
        # A texel's side in space, from the areas of the ball and of its places; colours change by half of the way.
        one, other = ball.corner_uvs[:, 1] - ball.corner_uvs[:, 0], ball.corner_uvs[:, 2] - ball.corner_uvs[:, 0]
        covered = np.abs(one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]).sum() / 2
        texel = (np.linalg.norm(ball.normals, axis=1).sum() / 2 / covered) ** 0.5 / SIZE
        assert wrong.max() < 0.5 * texel
        assert np.median(wrong) < 0.01 * texel  # within a chart the colour is linear, and so is the reading

    def test_gives_texels_of_no_triangle_the_colour_of_the_nearest(self):
        # The square shrunk to the lower left quarter of the picture: above and to the right its edge goes on.
        mesh = replace(square(), corner_uvs=square().corner_uvs / 2)
        texture = bake_texture(mesh, BY_PLACE, 8, CPU).textures[0]
        # At uv (13/16, 1/16) the nearest place is (1, 1/8); at (1/16, 13/16) it is (1/8, 1); in the corner (1, 1).
        assert texture[7, 6] == pytest.approx([1, 0.5 + 0.5 / 8, 0.5], abs=1e-6)
        assert texture[1, 0] == pytest.approx([0.5 + 0.5 / 8, 1, 0.5], abs=1e-6)
        assert texture[0, 7] == pytest.approx([1, 1, 0.5], abs=1e-6)

    def test_paints_places_outside_the_picture_where_they_repeat(self):
        moved = replace(square(), corner_uvs=square().corner_uvs + (2.0, -1.0))
        here, there = (bake_texture(mesh, BY_PLACE, 8, CPU).textures[0] for mesh in (square(), moved))
        assert there == pytest.approx(here, abs=1e-5)

    def test_does_not_depend_on_how_much_is_asked_at_once(self, ball: SurfaceMesh, monkeypatch: pytest.MonkeyPatch):
        whole = bake_texture(ball, BY_PLACE, 50, CPU).textures[0]
        monkeypatch.setattr("ins3d.surfaces.baking.POINTS_AT_ONCE", 50 * 7)  # seven rows
        parts = bake_texture(ball, BY_PLACE, 50, CPU).textures[0]
        assert np.array_equal(parts, whole)

    def test_asks_little_about_what_no_triangle_has(self):
        asked = []
        counting = surface(lambda positions: asked.append(len(positions)) or positions)
        small = replace(square(), corner_uvs=square().corner_uvs / 8)
        baked = bake_texture(small, counting, 256, CPU).textures[0]
        # 32 x 32 texels, and the margin around them; far away are its colours, and no others.
        assert 32**2 < sum(asked) < 56**2
        assert baked[0, 255] == pytest.approx([1, 1, 0], abs=0.02) and baked[0, 0] == pytest.approx([0, 1, 0], abs=0.02)

    def test_replaces_every_colour_that_the_mesh_had(self):
        old = replace(
            square(),
            textures=(np.zeros((2, 2, 3)), np.zeros((2, 2, 3))),
            materials=np.array([0, 1]),
            colors=((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
            vertex_colors=np.zeros((4, 3)),
        )
        baked = bake_texture(old, BY_PLACE, 16, CPU)
        middle = baked.colors_at(np.array([0, 1]), np.full((2, 3), 1 / 3))
        # The middles of the triangles are (2/3, 1/3) and (1/3, 2/3).
        assert middle == pytest.approx(np.array([[5 / 6, 4 / 6, 0.5], [4 / 6, 5 / 6, 0.5]]), abs=1e-6)


class TestColorVertices:
    def test_gives_every_vertex_the_colour_of_its_place(self, ball: SurfaceMesh):
        colored = color_vertices(ball, BY_PLACE, CPU)
        assert colored.vertex_colors == pytest.approx(0.5 + 0.5 * ball.vertices, abs=1e-6)
        assert colored.vertices is ball.vertices and colored.faces is ball.faces

    def test_keeps_colours_within_0_and_1(self, ball: SurfaceMesh):
        loud = surface(lambda positions: 0.5 + 5 * F.normalize(positions, dim=-1))
        colors = color_vertices(ball, loud, CPU).vertex_colors
        assert colors == pytest.approx((0.5 + 5 * ball.vertices / 0.8).clip(0, 1), abs=1e-5)

    def test_shows_them_instead_of_an_old_texture(self, ball: SurfaceMesh):
        colored = color_vertices(replace(ball, textures=(np.zeros((2, 2, 3)),)), BY_PLACE, CPU)
        seen = colored.colors_at(np.array([7]), np.array([[1.0, 0, 0]]))[0]
        assert seen == pytest.approx(0.5 + 0.5 * ball.vertices[ball.faces[7, 0]], abs=1e-6)
        assert read_texture(np.zeros((2, 2, 3)), ball.corner_uvs[7]).max() == 0  # which is what the texture would show
