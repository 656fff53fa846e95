from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh

from ins3d.meshes.triangles import SurfaceMesh
from ins3d.surfaces.stylized import ShownSurface
from ins3d.surfaces.triangulation import (
    TextureLayout,
    extract_triangles,
    judge_layout,
    make_atlas,
    simplify,
    without_floaters,
)

CPU = torch.device("cpu")


def surface(signed_distance) -> ShownSurface:
    return ShownSurface(signed_distance, lambda positions: positions, lambda positions: positions)


def sphere(radius: float, center: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> ShownSurface:
    return surface(lambda positions: (positions - torch.tensor(center)).norm(dim=-1, keepdim=True) - radius)


def as_trimesh(mesh: SurfaceMesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)


def ball(subdivisions: int) -> SurfaceMesh:
    shape = trimesh.creation.icosphere(subdivisions=subdivisions, radius=0.8)
    return SurfaceMesh(np.asarray(shape.vertices), np.asarray(shape.faces).astype(np.int64))


def painted(*uvs: list[tuple[float, float]], materials: list[int] | None = None) -> SurfaceMesh:
    """A mesh of which only the places in its texture matter."""
    faces = np.arange(3 * len(uvs)).reshape(-1, 3)
    which = None if materials is None else np.array(materials)
    return SurfaceMesh(np.zeros((3 * len(uvs), 3)), faces, np.array(uvs, float), materials=which)


LOWER, UPPER = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)], [(0.0, 0.0), (1.0, 1.0), (0.0, 1.0)]


class TestExtractTriangles:
    @pytest.mark.parametrize("resolution", [24, 65])  # in one slab, in two
    def test_of_a_sphere_lie_on_it(self, resolution: int):
        mesh = extract_triangles(sphere(0.6), resolution, CPU)
        # On a line of length h the distance bends by h^2 / 8r at most, where h is a cell.
        cell = 2 / (resolution - 1)
        assert np.abs(np.linalg.norm(mesh.vertices, axis=1) - 0.6).max() < 1.05 * cell**2 / (8 * 0.6) * 3
        assert as_trimesh(mesh).is_watertight
        assert abs(as_trimesh(mesh).volume) == pytest.approx(4 / 3 * np.pi * 0.6**3, rel=2 * cell)

    def test_lie_where_the_surface_lies(self):
        mesh = extract_triangles(sphere(0.3, (0.1, -0.2, 0.4)), 33, CPU)
        assert (mesh.vertices.max(0) + mesh.vertices.min(0)) / 2 == pytest.approx([0.1, -0.2, 0.4], abs=0.005)

    def test_end_at_the_ball_outside_of_which_nothing_is_known(self):
        # A half space: what lies below z = 0 in the ball is half of it.
        mesh = extract_triangles(surface(lambda positions: positions[:, 2:]), 64, CPU)
        assert as_trimesh(mesh).is_watertight and np.linalg.norm(mesh.vertices, axis=1).max() < 1.001
        assert mesh.vertices[:, 2].max() == pytest.approx(0, abs=1e-6)
        assert abs(as_trimesh(mesh).volume) == pytest.approx(2 / 3 * np.pi, rel=0.02)

    def test_refuses_a_field_without_a_surface(self):
        with pytest.raises(
            ValueError, match="^load: the field has no surface inside the ball; fit it again, with more steps.$"
        ):
            extract_triangles(sphere(-0.1), 16, CPU)

    def test_show_no_seam_between_slabs(self):
        # 2^18 places at once are 62 layers of 65 x 65: there are two slabs.
        mesh = as_trimesh(extract_triangles(sphere(0.98), 65, CPU))
        assert mesh.is_watertight and abs(mesh.volume) == pytest.approx(4 / 3 * np.pi * 0.98**3, rel=0.02)


class TestSimplify:
    def test_keeps_the_shape_with_fewer_triangles(self):
        fine = ball(4)  # 5120 triangles
        coarse = simplify(fine, 500)
        assert 400 < len(coarse.faces) <= 500 and as_trimesh(coarse).is_watertight
        assert as_trimesh(coarse).volume == pytest.approx(as_trimesh(fine).volume, rel=0.05)
        assert sorted(set(coarse.faces.ravel().tolist())) == list(range(len(coarse.vertices)))

    def test_leaves_a_mesh_alone_that_is_small_enough(self):
        mesh = ball(1)
        assert simplify(mesh, len(mesh.faces)) is mesh


class TestMakeAtlas:
    def test_gives_every_triangle_a_place_of_its_own_on_the_picture(self):
        mesh = ball(3)
        uvs = make_atlas(mesh)
        assert uvs.shape == (1280, 3, 2) and uvs.min() >= 0 and uvs.max() <= 1
        assert judge_layout(replace(mesh, corner_uvs=uvs)) == "one place each"

    def test_gives_triangles_room_by_their_area(self):
        mesh = ball(2)
        one, other = (make_atlas(mesh)[:, corner] - make_atlas(mesh)[:, 0] for corner in (1, 2))
        room = np.abs(one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0])
        share = room / np.linalg.norm(mesh.normals, axis=1)
        assert share.min() > 0 and share.max() / share.min() < 2


class TestWithoutFloaters:
    def test_specks_go_and_small_parts_stay(self):
        def placed(size: float, x: float) -> SurfaceMesh:
            shape = ball(1)
            return replace(shape, vertices=shape.vertices * size + [x, 0, 0])

        # Areas go by the square: .01 of the size is 1e-4 of the area, .1 is 1e-2.
        parts = [placed(0.5, 0.0), placed(0.005, 0.7), placed(0.05, 0.8), placed(0.004, 0.9)]
        starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
        whole = SurfaceMesh(
            np.concatenate([part.vertices for part in parts]),
            np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=False)]),
        )
        mesh, dropped = without_floaters(whole)
        assert dropped == 2 and len(mesh.faces) == 2 * len(parts[0].faces)
        kept = np.concatenate([parts[0].vertices[parts[0].faces], parts[2].vertices[parts[2].faces]])
        assert mesh.vertices[mesh.faces] == pytest.approx(kept)


class TestJudgeLayout:
    def test_one_place_each(self):
        assert judge_layout(painted(LOWER, UPPER)) == "one place each"

    def test_one_place_each_wherever_the_picture_is_repeated(self):
        moved = [(u - 3, v + 2) for u, v in UPPER]
        assert judge_layout(painted(LOWER, moved)) == "one place each"

    def test_mirrored_triangles_have_a_place_of_their_own_too(self):
        assert judge_layout(painted(LOWER[::-1], UPPER)) == "one place each"

    @pytest.mark.parametrize("size", [16, 64])
    def test_many_small_squares_side_by_side_have_one_place_each(self, size: int):
        # Their edges and diagonals go through the middles of the texels that are probed.
        corners = [(x / size, y / size) for x in range(size) for y in range(size)]
        halves = [[(u + a / size, v + b / size) for a, b in half] for u, v in corners for half in (LOWER, UPPER)]
        assert judge_layout(painted(*halves)) == "one place each"

    def test_places_in_pixels_are_none_that_can_be_painted(self):
        corners = [[(u * 4096, v * 4096) for u, v in half] for half in (LOWER, UPPER)]
        assert judge_layout(painted(*corners)) == "overlapping"

    def test_several_pictures(self):
        assert judge_layout(painted(LOWER, UPPER, materials=[0, 1])) == "several pictures"
        assert judge_layout(painted(LOWER, UPPER, materials=[1, 1])) == "one place each"

    def test_none(self):
        assert judge_layout(ball(0)) == "none"
        assert judge_layout(painted([(0.5, 0.5)] * 3)) == "none"


class TestTextureLayout:
    # Unequal sides: which corner is which can be told.
    TRIANGLE = np.array([[[0.2, 0.3], [0.7, 0.4], [0.5, 0.9]]])
    WEIGHTS = np.array([[0.6, 0.3, 0.1], [0.1, 0.1, 0.8], [1.0, 0.0, 0.0]])

    @pytest.mark.parametrize("shift", [(0, 0), (1, 0), (-1, -3), (0.5, 0), (-0.4, 0.45), (-7.6, 3.3)])
    def test_finds_the_triangle_of_a_texel_wherever_the_picture_is_repeated(self, shift: tuple[float, float]):
        layout = TextureLayout(self.TRIANGLE + shift)
        texels = (self.WEIGHTS @ self.TRIANGLE[0] + shift) % 1
        faces, weights, away = layout.at(texels)
        assert faces.tolist() == [0, 0, 0] and away == pytest.approx(np.zeros(3), abs=1e-5)
        assert weights == pytest.approx(self.WEIGHTS, abs=1e-5)

    def test_tells_triangles_apart(self):
        # Four small ones, each in another repetition of the picture.
        places = np.array([[0.1, 0.1], [0.6, 0.1], [0.1, 0.6], [0.6, 0.6]])
        small = places[:, None] + [[0.0, 0], [0.2, 0], [0, 0.2]]
        layout = TextureLayout(small + np.array([[0, 0], [1, 0], [-2, -1], [0, 3]])[:, None])
        faces, weights, _ = layout.at(places + (0.05, 0.1))
        assert faces.tolist() == [0, 1, 2, 3]
        assert weights == pytest.approx(np.tile([0.25, 0.25, 0.5], (4, 1)), abs=1e-5)

    def test_takes_the_nearest_for_texels_outside_all_triangles(self):
        layout = TextureLayout(np.array([[[0.0, 0], [0.2, 0], [0, 0.2]], [[1.0, 1], [0.8, 1], [1, 0.8]]]))
        faces, weights, away = layout.at(np.array([[0.15, 0.15], [0.95, 0.75], [0.05, 0.5]]))
        # The middle of the first's long side; the second's corner (1, 0.8) or near it; the first's corner (0, 0.2).
        assert faces.tolist() == [0, 1, 0]
        assert weights[0] == pytest.approx([0, 0.5, 0.5], abs=1e-6)
        assert weights[2] == pytest.approx([0, 0, 1], abs=1e-6)
        assert away[[0, 2]] == pytest.approx([0.05 * 2**0.5, (0.05**2 + 0.3**2) ** 0.5], abs=1e-5)


class TestOutwardsAndOverlapping:
    def test_triangles_face_outwards(self):
        assert as_trimesh(extract_triangles(sphere(0.6), 24, CPU)).volume > 0

    def test_overlapping(self):
        assert judge_layout(painted(LOWER, LOWER)) == "overlapping"

    @pytest.mark.parametrize("shift", [(1, 0), (0, -1), (-4, 5)])
    def test_overlapping_where_the_picture_is_repeated(self, shift: tuple[int, int]):
        assert judge_layout(painted(LOWER, [(u + shift[0], v + shift[1]) for u, v in LOWER])) == "overlapping"

    def test_overlapping_itself_around_the_picture(self):
        # A triangle of twice the picture's size covers it more than once.
        assert judge_layout(painted([(2 * u, 2 * v) for u, v in LOWER])) == "overlapping"

    @pytest.mark.parametrize(("width", "judged"), [(0.006, "one place each"), (0.03, "overlapping")])
    def test_a_hundredth_may_overlap(self, width: float, judged: str):
        # A strip of that width over the picture: 0.6 % and 3 % of it.
        strip = [[(0.0, 0.0), (width, 0.0), (width, 1.0)], [(0.0, 0.0), (width, 1.0), (0.0, 1.0)]]
        assert judge_layout(painted(LOWER, UPPER, *strip)) == judged
