import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import trimesh

from ins3d.meshes import queries
from ins3d.meshes.queries import SHELL, MeshQueries, turned_outwards
from ins3d.meshes.triangles import SurfaceMesh

Place = tuple[float, float, float]
MIDDLE = (0.0, 0.0, 0.0)


def box(center: Place = MIDDLE, size: float = 1.0) -> SurfaceMesh:
    shape = trimesh.creation.box(extents=(size, size, size))
    return SurfaceMesh(np.asarray(shape.vertices) + np.array(center), np.asarray(shape.faces).astype(np.int64))


def inside_out(mesh: SurfaceMesh) -> SurfaceMesh:
    return replace(mesh, faces=mesh.faces[:, ::-1].copy())


def together(*meshes: SurfaceMesh) -> SurfaceMesh:
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    faces = [mesh.faces + start for mesh, start in zip(meshes, starts, strict=False)]
    return SurfaceMesh(np.concatenate([mesh.vertices for mesh in meshes]), np.concatenate(faces))


def faces_outwards(mesh: SurfaceMesh, center: Place = MIDDLE) -> np.ndarray:
    """Of a convex part around `center`."""
    return np.einsum("fd,fd->f", mesh.normals, mesh.vertices[mesh.faces].mean(1) - np.array(center)) > 0


def sheet() -> SurfaceMesh:
    """The square [-0.5, 0.5]^2 in z = 0; the second triangle's area is three times the first's."""
    corners = np.array([[-0.5, -0.5, 0], [0.5, -0.5, 0], [0.5, 0.5, 0], [-0.5, 0.5, 0], [0.5, 0.0, 0]])
    return SurfaceMesh(corners, np.array([[0, 1, 4], [0, 4, 2], [0, 2, 3]]))


def signed(mesh: SurfaceMesh, *places: Place) -> list[float]:
    return MeshQueries(mesh).signed_distances(np.array(places, float)).tolist()


class TestSignedDistance:
    def test_of_a_box_is_known(self):
        # In the middle; 0.1 and 0.05 below a side; 0.2 beside a side; beyond an edge (0.3, 0.4); beyond a corner (1, 2, 2).
        places = [MIDDLE, (0.4, 0, 0), (0.1, 0.2, 0.45), (0.7, 0, 0), (0.8, 0.9, 0.2), (1.5, -2.5, 2.5)]
        assert signed(box(), *places) == pytest.approx([-0.5, -0.1, -0.05, 0.2, 0.5, 3], abs=1e-6)
        assert MeshQueries(box()).inside == "winding"

    def test_equals_a_formula_everywhere(self):
        places = np.random.default_rng(0).uniform(-1, 1, (3000, 3))
        beyond = np.abs(places) - 0.5
        expected = np.linalg.norm(beyond.clip(min=0), axis=1) + beyond.max(1).clip(max=0)
        assert MeshQueries(box()).signed_distances(places) == pytest.approx(expected, abs=1e-6)

    def test_of_an_open_box_still_has_an_inside(self):
        whole = box()
        open_box = replace(whole, faces=whole.faces[whole.normals[:, 2] < 0.5])
        assert len(open_box.faces) == 10
        # To the floor: 0.1, 0.2; to a side: 0.3. Outside: below the floor and beside a wall.
        places = [(0.0, 0, -0.4), (0.0, 0, -0.3), (-0.2, 0, -0.1), (0.0, 0, -0.8), (0.9, 0, 0)]
        assert signed(open_box, *places) == pytest.approx([-0.1, -0.2, -0.3, 0.3, 0.4], abs=1e-6)
        assert MeshQueries(open_box).inside == "winding"

    def test_of_a_flat_sheet_is_that_of_a_thick_one(self):
        # On the sheet, at its skin, 0.3 above and below it, 0.5 beside it.
        places = [(0.1, 0.1, 0.0), (0.1, 0.1, SHELL), (0.0, 0, 0.3), (0.0, 0, -0.3), (1.0, 0, 0)]
        assert MeshQueries(sheet()).inside == "shell"
        assert signed(sheet(), *places) == pytest.approx([-SHELL, 0, 0.3 - SHELL, 0.3 - SHELL, 0.5 - SHELL], abs=1e-6)

    def test_of_overlapping_boxes_is_negative_in_either(self):
        # 0.9 and 1 a side: x from -0.7 to 0.2, and from -0.25 to 0.75.
        queries = MeshQueries(together(box((-0.25, 0, 0), 0.9), box((0.25, 0, 0))))
        places = np.random.default_rng(1).uniform(-1, 1, (2000, 3))
        inside = (np.abs(places - (-0.25, 0, 0)) < 0.45).all(1) | (np.abs(places - (0.25, 0, 0)) < 0.5).all(1)
        assert queries.inside == "winding"
        assert ((queries.signed_distances(places) < 0) == inside).all()
        # In both, in one, in none.
        assert queries.winding_numbers(np.array([[0.1, 0.1, 0.2], [0.5, 0.1, 0], [0.9, 0, 0]])).tolist() == [2, 1, 0]

    def test_of_a_hollow_is_positive_in_it(self):
        # A room of 1 within a box of 2: 0.5 to its walls; half way in the wall 0.25.
        hollow = together(box(size=2), inside_out(box()))
        assert signed(hollow, MIDDLE, (0.75, 0.0, 0.0), (0, 0, 1.5)) == pytest.approx([0.5, -0.25, 0.5], abs=1e-6)


class TestWindingNumbers:
    def test_do_not_depend_on_how_many_are_asked_at_once(self, monkeypatch: pytest.MonkeyPatch):
        places = np.random.default_rng(2).uniform(-0.8, 0.8, (100, 3))
        queries = MeshQueries(box())
        expected = queries.winding_numbers(places)
        monkeypatch.setattr("ins3d.meshes.queries.RAYS_AT_ONCE", 12 * 7)  # seven places
        assert queries.winding_numbers(places).tolist() == expected.tolist()

    def test_of_many_layers_are_found_in_pieces_that_hold_their_bound(self, monkeypatch: pytest.MonkeyPatch):
        queries = MeshQueries(together(*(box(size=1 - 0.02 * layer) for layer in range(40))))
        places = np.random.default_rng(2).uniform(-0.8, 0.8, (2000, 3))
        layers = np.floor((1 - 2 * np.abs(places).max(1)) / 0.02 + 1).clip(0, 40)
        pieces, steps = [], []
        listed = queries.part_scene.list_intersections

        def counting(rays: np.ndarray) -> dict[str, Any]:
            found = listed(rays)
            pieces.append(len(found["ray_ids"]))
            return found

        monkeypatch.setattr("ins3d.meshes.queries.CROSSINGS_AT_ONCE", 50_000)
        monkeypatch.setattr(queries, "part_scene", SimpleNamespace(
            list_intersections=counting, count_intersections=queries.part_scene.count_intersections
        ))  # fmt: skip
        numbers = queries.winding_numbers(places, lambda *step: steps.append(step))
        assert numbers.round().tolist() == layers.tolist() and steps == [(2000, 2000)]
        assert sum(pieces) > 200_000 and max(pieces) < 1.3 * 50_000  # as many as a sample of the rays tells

    def test_come_near_the_solid_angle_beside_a_hole(self):
        # In the middle of an open box the missing side covers a sixth of all directions; 12 of them are asked.
        whole = box()
        open_box = replace(whole, faces=whole.faces[whole.normals[:, 2] < 0.5])
        assert MeshQueries(open_box).winding_numbers(np.zeros((1, 3)))[0] == pytest.approx(5 / 6, abs=2.5 / 12)

    def test_of_an_inside_out_box_is_minus_1(self):
        assert MeshQueries(inside_out(box())).winding_numbers(np.zeros((1, 3))).tolist() == [-1]


class TestCast:
    def test_meets_the_first_triangle(self):
        queries = MeshQueries(box())
        hits = queries.cast(np.array([[2.0, 0.1, 0.2], [0.0, 0.3, 0.2]]), np.array([[-1.0, 0, 0], [0, 0, 1]]))
        assert hits.hit.all() and hits.distances == pytest.approx([1.5, 0.3], abs=1e-6)
        assert queries.face_normals[hits.faces].tolist() == [[1, 0, 0], [0, 0, 1]]
        expected = np.array([[0.5, 0.1, 0.2], [0, 0.3, 0.5]])
        assert queries.mesh.positions_at(hits.faces, hits.weights) == pytest.approx(expected, abs=1e-6)

    def test_tells_rays_that_miss(self):
        hits = MeshQueries(box()).cast(np.array([[2.0, 0, 0], [2.0, 0.8, 0]]), np.array([[1.0, 0, 0], [-1.0, 0, 0]]))
        assert not hits.hit.any()
        assert ((0 <= hits.faces) & (hits.faces < 12)).all()  # may be looked up all the same


class TestSampleFaces:
    def test_gives_triangles_their_share_of_the_area(self):
        faces, weights = MeshQueries(sheet()).sample_faces(8000, np.random.default_rng(3))
        # Areas 1/4, 1/4 and 1/2; the shares' standard deviation is below 0.006.
        assert np.bincount(faces) / 8000 == pytest.approx([0.25, 0.25, 0.5], abs=0.025)

    def test_lies_evenly_within_a_triangle(self):
        queries = MeshQueries(sheet())
        faces, weights = queries.sample_faces(20000, np.random.default_rng(4))
        assert weights.min() >= 0 and weights.sum(1) == pytest.approx(np.ones(20000))
        # The sheet is the unit square: a 4 x 4 board of it holds a sixteenth in every field (deviation 0.0017).
        fields = np.floor((queries.mesh.positions_at(faces, weights)[:, :2] + 0.5).clip(0, 0.999) * 4).astype(int)
        assert np.bincount(fields @ (4, 1)) / 20000 == pytest.approx(np.full(16, 1 / 16), abs=0.008)

    def test_is_fixed_by_the_seed(self):
        once, again = (MeshQueries(box()).sample_faces(50, np.random.default_rng(5)) for _ in range(2))
        assert (once[0] == again[0]).all() and (once[1] == again[1]).all()


class TestTurnedOutwards:
    def test_leaves_a_good_box_alone(self):
        mesh, turned = turned_outwards(box())
        assert turned == 0 and mesh.faces.tolist() == box().faces.tolist()

    @pytest.mark.parametrize("wrong", [[0], [4, 7], [0, 3, 8, 9], list(range(9))])
    def test_turns_the_triangles_that_are_wrong_and_no_others(self, wrong: list[int]):
        which = np.isin(np.arange(12), wrong)
        mesh, turned = turned_outwards(box().flipped(which))
        assert faces_outwards(mesh).all() and turned == len(wrong)

    def test_keeps_the_places_in_the_texture_at_their_corners(self):
        uvs = box().vertices[box().faces][..., :2]  # x and y
        which = np.isin(np.arange(12), [0, 5, 6])
        mesh, _ = turned_outwards(replace(box(), corner_uvs=uvs).flipped(which))
        assert mesh.corner_uvs is not None
        assert mesh.corner_uvs.tolist() == mesh.vertices[mesh.faces][..., :2].tolist()

    def test_turns_an_inside_out_box_whole(self):
        mesh, turned = turned_outwards(inside_out(box((3.0, 1.0, 0.0))))
        assert turned == 12 and faces_outwards(mesh, (3.0, 1.0, 0.0)).all()

    def test_leaves_a_hollow_turned_inwards(self):
        hollow = together(box(size=2), inside_out(box()))
        mesh, turned = turned_outwards(hollow)
        assert turned == 0 and not faces_outwards(mesh)[12:].any()

    def test_makes_a_hollows_own_triangles_agree(self):
        which = np.isin(np.arange(24), [1, 14, 15])
        mesh, turned = turned_outwards(together(box(size=2), inside_out(box())).flipped(which))
        assert turned == 3 and faces_outwards(mesh)[:12].all() and not faces_outwards(mesh)[12:].any()

    def test_turns_the_one_of_two_parts_that_is_inside_out(self):
        mesh, turned = turned_outwards(together(box(), inside_out(box((3.0, 0.0, 0.0), 0.5))))
        assert turned == 12
        assert faces_outwards(mesh)[:12].all() and faces_outwards(mesh, (3.0, 0.0, 0.0))[12:].all()

    def test_makes_an_inside_out_box_solid(self):
        assert MeshQueries(inside_out(box())).inside == "shell"
        mesh, _ = turned_outwards(inside_out(box()))
        assert signed(mesh, MIDDLE, (0.7, 0.0, 0.0)) == pytest.approx([-0.5, 0.2], abs=1e-6)


def slab(low, high):
    shape = trimesh.creation.box(bounds=(low, high))
    return SurfaceMesh(np.asarray(shape.vertices), np.asarray(shape.faces).astype(np.int64))


class TestPartsThatTouch:
    @pytest.mark.parametrize(
        "parts",
        [
            # Two boxes that stand on each other; three that stand in each other, on one floor.
            [((-0.5, -0.5, -0.5), (0.5, 0.5, 0)), ((-0.5, -0.5, 0), (0.5, 0.5, 0.5))],
            [((-0.5,) * 3, (0.5,) * 3), ((-0.45, -0.45, -0.5), (0.45, 0.45, 0)), ((-0.4, -0.4, -0.5), (0.4, 0.4, -0.25))],
        ],
    )
    def test_of_parts_that_share_a_plane_is_negative_inside(self, parts):
        queries = MeshQueries(together(*(slab(*part) for part in parts)))
        places = np.random.default_rng(0).uniform(-0.7, 0.7, (20000, 3))
        assert ((queries.signed_distances(places) < 0) == (np.abs(places) < 0.5).all(1)).all()

    def test_turns_an_inside_out_part_that_only_reaches_into_another(self):
        center = (0.9, 0.9, 0.9)  # a box of 0.6 on the corner (1, 1, 1) of a box of 2: no hollow
        mesh, turned = turned_outwards(together(box(size=2), inside_out(box(center, 0.6))))
        assert turned == 12 and faces_outwards(mesh, center)[12:].all()


def many(part: SurfaceMesh, places: np.ndarray) -> SurfaceMesh:
    faces = part.faces + len(part.vertices) * np.arange(len(places))[:, None, None]
    return SurfaceMesh((part.vertices + places[:, None]).reshape(-1, 3), faces.reshape(-1, 3))


def grid(side: int) -> np.ndarray:
    return np.stack(np.meshgrid(*[np.arange(side)] * 3), -1).reshape(-1, 3).astype(float)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many vertices each set of triangles brings along that a scene is given."""
    sizes = []
    compact = queries._compact

    def count(vertices, faces):
        result = compact(vertices, faces)
        sizes.append(len(result[0]))
        return result

    monkeypatch.setattr(queries, "_compact", count)
    return sizes


class TestManyParts:
    def test_of_3000_bent_quads_take_seconds(self):
        quad = SurfaceMesh(
            np.array([[0.0, 0, 0], [0.1, 0, 0], [0.1, 0.1, 0], [0, 0.1, 0.05]]), np.array([[0, 1, 2], [0, 2, 3]])
        )
        sizes = np.random.default_rng(0).uniform(0.5, 1, 3375)
        mesh = many(quad, grid(15))
        mesh = replace(mesh, vertices=mesh.vertices * np.repeat(sizes, 4)[:, None])  # no two of one volume
        start = time.perf_counter()
        queries = MeshQueries(turned_outwards(mesh)[0])
        assert time.perf_counter() - start < 5  # minutes, when each part is compared with each
        assert queries.inside == "shell" and len(queries.part_starts) == 3376

    def test_of_2197_boxes_take_seconds_and_each_bring_their_own_vertices(self, counted: list[int]):
        mesh = many(box(size=0.5), grid(13))
        wrong = np.random.default_rng(1).random(2197) < 0.5
        sizes = np.random.default_rng(2).uniform(0.5, 1, 2197)
        corners = mesh.vertices.reshape(-1, 8, 3)
        middles = corners.mean(1, keepdims=True)
        mesh = replace(mesh, vertices=(middles + (corners - middles) * sizes[:, None, None]).reshape(-1, 3))
        start = time.perf_counter()
        outwards, turned = turned_outwards(mesh.flipped(np.repeat(wrong, 12)))
        MeshQueries(outwards)
        assert time.perf_counter() - start < 5
        # No box lies in another's: nothing is asked of a scene before those of the parts, of 8 vertices each.
        assert counted == [8] * 2197
        assert turned == 12 * wrong.sum() and outwards.faces.tolist() == mesh.faces.tolist()

    def test_hollows_are_told_from_boxes_beside_them(self):
        # 27 boxes of 2 with a room of 1 each, and 27 inside-out boxes of 0.5 in the gaps.
        solids, rooms, beside = (
            many(box(size=2), 4 * grid(3)),
            many(box(), 4 * grid(3)),
            many(box(size=0.5), 4 * grid(3) + 2),
        )
        mesh = together(solids, inside_out(rooms), inside_out(beside))
        outwards, turned = turned_outwards(mesh)
        assert turned == 27 * 12 and outwards.faces[: 54 * 12].tolist() == mesh.faces[: 54 * 12].tolist()

    def test_a_box_in_the_middle_of_a_ring_is_in_its_box_but_no_hollow(self):
        ring = trimesh.creation.annulus(r_min=2, r_max=3, height=2)
        outer = SurfaceMesh(np.asarray(ring.vertices), np.asarray(ring.faces).astype(np.int64))
        mesh, turned = turned_outwards(together(outer, inside_out(box())))
        assert turned == 12 and faces_outwards(mesh)[-12:].all()


class TestOpenParts:
    def lidless(self, size: float) -> SurfaceMesh:
        whole = box(size=size)
        return replace(whole, faces=whole.faces[whole.normals[:, 2] <= 0])

    def test_have_no_hollows(self):
        ball = trimesh.creation.icosphere(3, radius=2)
        dented = SurfaceMesh(np.asarray(ball.vertices), np.asarray(ball.faces)[1:].astype(np.int64))
        _, turned = turned_outwards(together(dented, inside_out(box())))
        assert turned == 12

    def test_are_no_hollows(self):
        _, turned = turned_outwards(together(box(size=2), inside_out(self.lidless(1))))
        assert turned == 10

    def test_do_not_keep_closed_ones_from_being_hollows(self):
        _, turned = turned_outwards(together(self.lidless(0.2), box(size=2), inside_out(box())))
        assert turned == 0
