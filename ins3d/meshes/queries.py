"""Queries of a mesh: signed distance, inside or outside, the first hit of a ray, orientation of its triangles."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import open3d as o3d
from jaxtyping import Bool, Float, Int, UInt

from ins3d.meshes.triangles import SurfaceMesh, corner_weights

Inside = Literal["winding", "shell"]
SHELL = 0.01
"""Half the thickness, in radii of the unit ball, that a sheet without an inside is given."""
NUM_DIRECTIONS = 12
RAYS_AT_ONCE = 2**20
CROSSINGS_AT_ONCE = 2**23
"""Of rays with triangles, that are listed at once; each takes some 100 bytes for a moment."""
SAMPLED = 64
"""Of so many places one tells how often its rays will cross the surface."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class MeshHits:
    """What rays meet first. Values of rays that miss mean nothing."""

    hit: Bool[np.ndarray, " rays"]
    distances: Float[np.ndarray, " rays"]
    faces: Int[np.ndarray, " rays"]
    weights: Float[np.ndarray, "rays 3"]
    """Of the triangle's corners."""


class MeshQueries:
    """Distances and ray hits of a mesh in the unit ball, by open3d's ray casting in 32 bits.

    What is inside is told by the winding number, which holes do not change much and which adds overlapping parts up. A mesh
    that turns out to enclose nothing is a sheet: it is given a thickness of 2 * SHELL (`inside` says "shell").
    """

    def __init__(self, mesh: SurfaceMesh) -> None:
        self.mesh = mesh
        self.scene = o3d.t.geometry.RaycastingScene()
        self.scene.add_triangles(mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32))
        lengths = np.linalg.norm(mesh.normals, axis=1, keepdims=True)
        self.face_normals = mesh.normals / np.maximum(lengths, 1e-30)
        self.areas = lengths[:, 0] / 2
        # Part by part: of triangles that a ray meets at one distance, open3d counts but one of each geometry.
        parts = connected_parts(mesh)
        self.by_part = np.argsort(parts, kind="stable")
        self.part_starts = np.concatenate([[0], np.cumsum(np.bincount(parts))])
        self.part_scene = o3d.t.geometry.RaycastingScene()
        for first, last in pairwise(self.part_starts):
            self.part_scene.add_triangles(*_compact(mesh.vertices, mesh.faces[self.by_part[first:last]]))
        # Places a little inside, if the triangles are turned the right way.
        faces, weights = self.sample_faces(500, np.random.default_rng(0))
        just_below = mesh.positions_at(faces, weights) - 0.004 * self.face_normals[faces]
        self.inside: Inside = "shell" if (self.winding_numbers(just_below) > 0.5).mean() < 0.5 else "winding"

    def sample_faces(
        self, number: int, random: np.random.Generator
    ) -> tuple[Int[np.ndarray, " number"], Float[np.ndarray, "number 3"]]:
        """(triangle, what its corners weigh) of places that lie on the surface evenly."""
        faces = random.choice(len(self.areas), number, p=self.areas / self.areas.sum())
        root, second = np.sqrt(random.random(number)), random.random(number)
        return faces, np.stack([1 - root, root * (1 - second), root * second], axis=1)

    def signed_distances(
        self, positions: Float[np.ndarray, "points 3"], progress: Progress | None = None
    ) -> Float[np.ndarray, " points"]:
        """Negative inside. `progress` as that of `winding_numbers`."""
        distances = self.scene.compute_distance(positions.astype(np.float32)).numpy().astype(np.float64)
        if self.inside == "shell":
            return distances - SHELL
        return np.where(self.winding_numbers(positions, progress) > 0.5, -distances, distances)

    def winding_numbers(
        self, positions: Float[np.ndarray, "points 3"], progress: Progress | None = None
    ) -> Float[np.ndarray, " points"]:
        """How often the surface goes around each place: 1 inside, 0 outside, between them near holes (Jacobson et al. 2013).

        Differs from there: not summed over triangles, but a mean, over directions, of crossings outwards less those inwards.
        Asked in pieces, which take less than 2 GB however many layers lie behind each other; after each, `progress` is told
        how many places are done, and of how many.
        """
        random = np.random.default_rng(0)
        directions = random.normal(size=(NUM_DIRECTIONS, 3)).astype(np.float32)
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        numbers = np.empty(len(positions))
        every = max(RAYS_AT_ONCE // NUM_DIRECTIONS, 1)
        for start in range(0, len(positions), every):
            here = positions[start : start + every].astype(np.float32)
            some = self.part_scene.count_intersections(_rays(here[::SAMPLED], directions)).numpy()
            pieces = math.ceil(some.mean() * NUM_DIRECTIONS * len(here) / CROSSINGS_AT_ONCE) or 1
            for piece in range(pieces):
                numbers[start + piece : start + len(here) : pieces] = self._winding(here[piece::pieces], directions)
            if progress is not None:
                progress(start + len(here), len(positions))
        return numbers

    def _winding(
        self, places: Float[np.ndarray, "points 3"], directions: Float[np.ndarray, "directions 3"]
    ) -> Float[np.ndarray, " points"]:
        found = self.part_scene.list_intersections(_rays(places, directions))
        ray, part, within = (found[name].numpy() for name in ("ray_ids", "geometry_ids", "primitive_ids"))
        face = self.by_part[self.part_starts[part] + within]
        outwards = np.sign(np.einsum("rd,rd->r", self.face_normals[face], directions[ray % len(directions)]))
        return np.bincount(ray // len(directions), outwards, minlength=len(places)) / len(directions)

    def cast(self, origins: Float[np.ndarray, "rays 3"], directions: Float[np.ndarray, "rays 3"]) -> MeshHits:
        """The first triangle along each ray."""
        found = self.scene.cast_rays(np.concatenate([origins, directions], axis=1).astype(np.float32))
        distances = found["t_hit"].numpy()
        hit = np.isfinite(distances)
        faces = np.where(hit, found["primitive_ids"].numpy(), 0).astype(np.int64)
        return MeshHits(hit, distances.astype(np.float64), faces, corner_weights(found["primitive_uvs"].numpy()))


def _rays(
    places: Float[np.ndarray, "points 3"], directions: Float[np.ndarray, "directions 3"]
) -> Float[np.ndarray, "rays 6"]:
    """From each place in all directions."""
    return np.concatenate([np.repeat(places, len(directions), 0), np.tile(directions, (len(places), 1))], axis=1)


def connected_parts(mesh: SurfaceMesh) -> Int[np.ndarray, " faces"]:
    """The number of the connected part that each triangle belongs to."""
    return np.asarray(mesh.open3d().cluster_connected_triangles()[0]).astype(np.int64)


def _compact(
    vertices: Float[np.ndarray, "vertices 3"], faces: Int[np.ndarray, "faces 3"]
) -> tuple[Float[np.ndarray, "used 3"], UInt[np.ndarray, "faces 3"]]:
    """The triangles with the vertices that they use only, as scenes take them."""
    used, corners = np.unique(faces, return_inverse=True)
    return vertices[used].astype(np.float32), corners.reshape(faces.shape).astype(np.uint32)


def turned_outwards(mesh: SurfaceMesh) -> tuple[SurfaceMesh, int]:
    """The mesh with its triangles facing outwards, and how many had to be turned.

    Triangles are made to agree with their neighbours; a connected part whose volume then is negative is turned, unless it
    lies inside another part: that is a hollow. Parts with an open edge enclose nothing: they are no hollows and have none.
    """
    shape = mesh.open3d()
    shape.orient_triangles()
    turned = _is_turned(mesh.faces, np.asarray(shape.triangles))
    mesh = mesh.flipped(turned)
    parts = connected_parts(mesh)
    volumes = _volumes(mesh, parts)
    inside_out = ((volumes < 0) & ~_hollow(mesh, parts, volumes))[parts]
    return mesh.flipped(inside_out), int((turned ^ inside_out).sum())


def _is_turned(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Whether three corners go round the other way."""
    following = np.take_along_axis(after, (np.argmax(after == before[:, :1], 1)[:, None] + 1) % 3, 1)[:, 0]
    return following != before[:, 1]


def _volumes(mesh: SurfaceMesh, parts: np.ndarray) -> np.ndarray:
    """Signed, of each part, about its own middle."""
    corners = mesh.vertices[mesh.faces]
    middles = np.stack([np.bincount(parts, corners[:, :, axis].mean(1)) for axis in range(3)], 1)
    corners = corners - (middles / np.bincount(parts)[:, None])[parts][:, None]
    return np.bincount(parts, np.einsum("fd,fd->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6)


def _closed(mesh: SurfaceMesh, parts: Int[np.ndarray, " faces"]) -> Bool[np.ndarray, " parts"]:
    """Whether a part has no edge that belongs to one triangle only."""
    edges = np.sort(mesh.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1).astype(np.int64)
    _, first, count = np.unique(edges @ (len(mesh.vertices), 1), return_index=True, return_counts=True)
    return np.bincount(parts[first[count == 1] // 3], minlength=parts.max() + 1) == 0


def _hollow(
    mesh: SurfaceMesh, parts: Int[np.ndarray, " faces"], volumes: Float[np.ndarray, " parts"]
) -> Bool[np.ndarray, " parts"]:
    """Whether all of a closed part that is inside out lies inside a closed one with a larger volume."""
    closed, hollow = _closed(mesh, parts), np.zeros(len(volumes), bool)
    by_part, starts = np.argsort(parts, kind="stable"), np.concatenate([[0], np.cumsum(np.bincount(parts))])
    corners = mesh.vertices[mesh.faces[by_part]].astype(np.float32)
    low, high = np.minimum.reduceat(corners.min(1), starts[:-1]), np.maximum.reduceat(corners.max(1), starts[:-1])
    sizes = np.abs(volumes)
    inner = np.flatnonzero(closed & (volumes < 0))
    for outer in np.flatnonzero(closed & (sizes > sizes[inner].min(initial=np.inf))).tolist():
        boxed = ((low[inner] >= low[outer]) & (high[inner] <= high[outer])).all(1)
        within = inner[boxed & (sizes[inner] < sizes[outer]) & ~hollow[inner]]
        if not len(within):
            continue
        scene = o3d.t.geometry.RaycastingScene()
        scene.add_triangles(*_compact(mesh.vertices, mesh.faces[by_part[starts[outer] : starts[outer + 1]]]))
        used = [np.unique(mesh.faces[by_part[starts[part] : starts[part + 1]]]) for part in within]
        places = mesh.vertices[np.concatenate(used)].astype(np.float32)
        distances = scene.compute_signed_distance(places, nsamples=7).numpy()
        offsets = np.cumsum([0, *map(len, used[:-1])])
        hollow[within] = np.maximum.reduceat(distances, offsets) < 0
    return hollow
