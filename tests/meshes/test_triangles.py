import math

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from ins3d.meshes.triangles import CLAY, MeshPlacement, SurfaceMesh, merged, read_texture

NOISE = np.random.default_rng(0).random((3, 5, 3))
# A unit square, as two triangles that share a diagonal.
SQUARE = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
HALVES = np.array([[0, 1, 2], [0, 2, 3]])
UVS = SQUARE[HALVES][..., :2]


def square(**given) -> SurfaceMesh:
    return SurfaceMesh(SQUARE, HALVES, **given)


def uv_of(row: float, column: float, texture: np.ndarray) -> np.ndarray:
    """The middle of a texel: rows count downwards, v grows upwards."""
    return np.array([[(column + 0.5) / texture.shape[1], 1 - (row + 0.5) / texture.shape[0]]])


class TestReadTexture:
    def test_gives_the_texel_in_whose_middle_it_is_asked_and_row_0_is_on_top(self):
        for row in range(3):
            for column in range(5):
                assert read_texture(NOISE, uv_of(row, column, NOISE))[0] == pytest.approx(NOISE[row, column])

    def test_mixes_the_four_texels_around(self):
        # A quarter of the way from column 1 to 2, half way from row 0 to 1.
        above = 0.75 * NOISE[0, 1] + 0.25 * NOISE[0, 2]
        below = 0.75 * NOISE[1, 1] + 0.25 * NOISE[1, 2]
        assert read_texture(NOISE, uv_of(0.5, 1.25, NOISE))[0] == pytest.approx((above + below) / 2)

    def test_joins_the_right_edge_to_the_left_and_the_lower_to_the_upper(self):
        assert read_texture(NOISE, uv_of(1, 4.5, NOISE))[0] == pytest.approx((NOISE[1, 4] + NOISE[1, 0]) / 2)
        assert read_texture(NOISE, uv_of(2.5, 3, NOISE))[0] == pytest.approx((NOISE[2, 3] + NOISE[0, 3]) / 2)

    @pytest.mark.parametrize("shift", [(1, 0), (0, 1), (-1, 0), (0, -2), (7, -3)])
    def test_repeats_the_picture(self, shift: tuple[int, int]):
        uvs = np.random.default_rng(1).random((50, 2))
        assert read_texture(NOISE, uvs + shift) == pytest.approx(read_texture(NOISE, uvs))


class TestColorsAt:
    def test_mixes_the_colours_of_the_corners(self):
        colors = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]])
        # The second triangle has the corners 0, 2, 3: 0.5 red + 0.25 blue + 0.25 white.
        found = square(vertex_colors=colors).colors_at(np.array([1]), np.array([[0.5, 0.25, 0.25]]))
        assert found[0] == pytest.approx([0.75, 0.25, 0.5])

    def test_reads_the_texture_where_the_corners_say(self):
        faces, weights = np.array([0, 1, 1]), np.array([[0.2, 0.3, 0.5], [0.1, 0.1, 0.8], [0.6, 0.2, 0.2]])
        found = square(corner_uvs=UVS, textures=(NOISE,)).colors_at(faces, weights)
        # A place's uv is its x and y.
        places = [
            sum(w * SQUARE[c] for w, c in zip(ws, HALVES[f], strict=True)) for f, ws in zip(faces, weights, strict=True)
        ]
        assert found == pytest.approx(read_texture(NOISE, np.array(places)[:, :2]))

    def test_prefers_the_texture_to_the_corners_colours(self):
        white = np.ones((1, 1, 3))
        mesh = square(corner_uvs=UVS, textures=(white,), vertex_colors=np.zeros((4, 3)))
        assert mesh.colors_at(np.array([0]), np.array([[1.0, 0, 0]])).tolist() == [[1, 1, 1]]

    def test_gives_each_triangle_its_materials_texture_or_colour(self):
        mesh = square(
            corner_uvs=UVS,
            textures=(None, np.full((2, 2, 3), 0.25)),
            colors=((0.1, 0.2, 0.3), (0.9, 0.9, 0.9)),
            materials=np.array([1, 0]),
        )
        found = mesh.colors_at(np.array([0, 1]), np.full((2, 3), 1 / 3))
        assert found == pytest.approx(np.array([[0.25] * 3, [0.1, 0.2, 0.3]]))

    def test_is_clay_where_nothing_is_said(self):
        assert square().colors_at(np.array([1]), np.array([[1.0, 0, 0]]))[0] == pytest.approx(CLAY)

    def test_is_the_materials_colour_where_a_texture_has_no_places(self):
        mesh = square(textures=(NOISE,), colors=((0.1, 0.2, 0.3),))
        assert mesh.colors_at(np.array([0]), np.array([[1.0, 0, 0]]))[0] == pytest.approx([0.1, 0.2, 0.3])


class TestSurfaceMesh:
    def test_knows_whether_there_is_more_to_see_than_clay(self):
        assert not square().has_color and not square(textures=(None,)).has_color
        assert square(textures=(None, NOISE)).has_color
        assert square(vertex_colors=np.zeros((4, 3))).has_color
        assert square(colors=((0.1, 0.2, 0.3),)).has_color

    def test_normals_are_as_long_as_twice_the_area_and_follow_the_right_hand(self):
        # Each half of the unit square has the area 1/2; 0, 1, 2 run anticlockwise seen from above.
        assert square().normals.tolist() == [[0, 0, 1], [0, 0, 1]]

    def test_diagonal_is_that_of_the_box_around_it(self):
        assert SurfaceMesh(SQUARE * (3, 4, 0) - 7, HALVES).diagonal == 5

    def test_flipped_turns_the_chosen_triangles_only(self):
        assert square().flipped(np.array([False, True])).normals.tolist() == [[0, 0, 1], [0, 0, -1]]

    def test_flipped_keeps_every_place_of_the_texture_at_its_corner(self):
        mesh = square(corner_uvs=UVS).flipped(np.array([True, False]))
        # The square's uvs are its x and y, whichever way a triangle goes round.
        assert mesh.corner_uvs is not None
        assert mesh.corner_uvs.tolist() == mesh.vertices[mesh.faces][..., :2].tolist()
        assert mesh.faces.tolist() != HALVES.tolist()

    def test_corner_tints_multiply_the_light_and_go_with_their_corners(self):
        # sRGB 0.5 is 0.2140 of light, and 0.2140 * 0.2140 of light is sRGB 0.2369 (IEC 61966-2-1).
        tints = np.full((2, 3, 3), 0.5)
        tints[1, 2] = 1.0
        mesh = square(colors=((0.5, 0.0, 1.0),), corner_tints=tints)
        assert mesh.colors_at(np.array([0]), np.array([[1.0, 0, 0]]))[0] == pytest.approx([0.2369, 0, 0.5], abs=1e-3)
        turned = mesh.flipped(np.array([False, True])).chosen(np.array([False, True]))
        assert turned.corner_tints is not None and turned.corner_tints[0, :, 0].tolist() == [0.5, 1.0, 0.5]

    def test_refuses_places_for_another_number_of_triangles(self):
        with pytest.raises(TypeCheckError):
            SurfaceMesh(SQUARE, HALVES, corner_uvs=UVS[:1])


class TestMerged:
    # The square's halves with corners of their own.
    parted = SurfaceMesh(
        SQUARE[HALVES].reshape(-1, 3), np.arange(6).reshape(2, 3), vertex_colors=SQUARE[HALVES].reshape(-1, 3)
    )

    def test_follows_the_triangles_where_no_order_is_given(self):
        mesh = merged(self.parted)
        assert mesh.vertices.tolist() == SQUARE.tolist() and mesh.faces.tolist() == HALVES.tolist()
        assert mesh.vertex_colors.tolist() == SQUARE.tolist()

    def test_follows_the_order_given(self):
        order = np.concatenate([[[9.0, 9, 9]], -SQUARE[::-1] * -1.0])  # with zeros of either sign
        mesh = merged(self.parted, order)
        assert mesh.vertices.tolist() == SQUARE[::-1].tolist() and mesh.faces.tolist() == (3 - HALVES).tolist()
        assert mesh.vertex_colors.tolist() == mesh.vertices.tolist()

    @pytest.mark.parametrize("order", [SQUARE[:0], SQUARE[:0:-1], SQUARE[::-1] + 1e-5])
    def test_keeps_its_own_order_where_a_place_is_missing(self, order: np.ndarray):
        assert merged(self.parted, order).vertices.tolist() == SQUARE.tolist()


class TestMeshPlacement:
    def test_middle_of_the_box_becomes_0_and_the_furthest_vertex_lies_at_0_9(self):
        # The box spans 2 x 4 x 4 around (1, 2, 3); its corners lie 3 from there, and 3 / 0.9 becomes 1.
        corners = np.array([[x, y, z] for x in (0.0, 2) for y in (0.0, 4) for z in (1.0, 5)])
        placement = MeshPlacement.of(corners)
        assert placement.center == (1, 2, 3) and placement.scale == pytest.approx(3 / 0.9)

    def test_is_not_the_mean_of_the_vertices(self):
        vertices = np.array([[0.0, 0, 0]] * 9 + [[2.0, 0, 0]])
        assert MeshPlacement.of(vertices).center == (1, 0, 0)

    def test_inward_moves_the_vertices_only(self):
        placement = MeshPlacement((1.0, 0.0, 0.0), 2.0)
        mesh = placement.inward(square(corner_uvs=UVS, textures=(NOISE,)))
        assert mesh.vertices.tolist() == [[-0.5, 0, 0], [0, 0, 0], [0, 0.5, 0], [-0.5, 0.5, 0]]
        assert mesh.corner_uvs is UVS and mesh.textures == (NOISE,) and mesh.faces is HALVES

    def test_outward_undoes_inward(self):
        vertices = np.random.default_rng(2).normal(5, 20, (30, 3))
        placement = MeshPlacement.of(vertices)
        inner = placement.inward(SurfaceMesh(vertices, np.array([[0, 1, 2]]))).vertices
        assert math.isclose(np.linalg.norm(inner, axis=1).max(), 0.9)
        assert placement.outward(inner) == pytest.approx(vertices)
