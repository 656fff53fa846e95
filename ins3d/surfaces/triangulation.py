"""Triangulates a surface (marching cubes, decimation), and lays triangles out in a texture (uv atlas)."""

from typing import Literal

import numpy as np
import open3d as o3d
import torch
import xatlas
from jaxtyping import Float, Int
from skimage.measure import marching_cubes

from ins3d.meshes.queries import connected_parts
from ins3d.meshes.triangles import SurfaceMesh, corner_weights
from ins3d.runs.record import progress
from ins3d.surfaces.stylized import ShownSurface

FLOATER = 0.001
"""Share of the largest part's area below which a connected part is a floater: nothing that was fitted."""
MAX_OVERLAP = 0.01
"""Share of the painted texture that may belong to two places at once."""
MAX_REPEATS = 16
"""Pictures that a triangle may reach over, in the mean: beyond that it lies over itself, or its places are in pixels."""
PROBE = 512
"""Texels a side with which layouts are probed."""


def extract_triangles(surface: ShownSurface, resolution: int, device: torch.device) -> SurfaceMesh:
    """Marching cubes of the distance in the ball, on a grid of `resolution` places a side; triangles face outwards."""
    line = torch.linspace(-1, 1, resolution, device=device)
    distances = np.empty((resolution,) * 3, np.float32)
    slab = max(2**18 // resolution**2, 1)
    for start in progress(range(0, resolution, slab), "marching cubes"):
        grid = torch.cartesian_prod(line[start : start + slab], line, line)
        outside = grid.norm(dim=-1, keepdim=True) - 1
        with torch.inference_mode():
            # Beyond the ball nothing is known, and nothing is.
            values = torch.maximum(surface.signed_distance(grid), outside)
        distances[start : start + slab] = values.reshape(-1, resolution, resolution).cpu().numpy()
    if not distances.min() < 0 < distances.max():
        raise ValueError("load: the field has no surface inside the ball; fit it again, with more steps.")
    vertices, faces, _, _ = marching_cubes(distances, 0.0)
    return SurfaceMesh(vertices / (resolution - 1) * 2.0 - 1, faces.astype(np.int64))


def without_floaters(mesh: SurfaceMesh) -> tuple[SurfaceMesh, int]:
    """The mesh without small connected parts in free space, of which fits leave a few, and how many they were."""
    parts = connected_parts(mesh)
    areas = np.bincount(parts, np.linalg.norm(mesh.normals, axis=1))
    small = areas < FLOATER * areas.max()
    used, faces = np.unique(mesh.faces[~small[parts]], return_inverse=True)
    return SurfaceMesh(mesh.vertices[used], faces.reshape(-1, 3)), int(small.sum())


def simplify(mesh: SurfaceMesh, max_faces: int) -> SurfaceMesh:
    """At most `max_faces` triangles, by quadric decimation; colours and uv coordinates are dropped."""
    if len(mesh.faces) <= max_faces:
        return mesh
    return SurfaceMesh.of_open3d(mesh.open3d().simplify_quadric_decimation(max_faces).remove_unreferenced_vertices())


def make_atlas(mesh: SurfaceMesh) -> Float[np.ndarray, "faces 3 2"]:
    """Every triangle gets a place of its own on one picture (xatlas)."""
    atlas = xatlas.Atlas()
    atlas.add_mesh(mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32))
    options = xatlas.PackOptions()
    options.padding, options.bilinear, options.resolution = 4, True, 1024
    atlas.generate(pack_options=options)
    _, indices, uvs = atlas[0]
    return uvs[indices].astype(np.float64)


Layout = Literal["one place each", "overlapping", "several pictures", "none"]


def judge_layout(mesh: SurfaceMesh) -> Layout:
    """Whether a mesh's own places in its texture can be painted: no texel may belong to two of them."""
    if mesh.corner_uvs is None:
        return "none"
    if mesh.materials is not None and len(np.unique(mesh.materials)) > 1:
        return "several pictures"
    if _tiles(mesh.corner_uvs)[1].prod(1).sum() > MAX_REPEATS * len(mesh.faces):
        return "overlapping"
    texels = (np.arange(PROBE) + 0.5) / PROBE
    # Off the middles of texels, through which the edges of many layouts go.
    across, up = (grid.ravel() for grid in np.meshgrid(texels + 0.137 / PROBE, texels + 0.311 / PROBE))
    down = np.tile([0.0, 0.0, 1.0, 0.0, 0.0, -1.0], (len(across), 1))
    down[:, 0], down[:, 1] = across, up
    counts = TextureLayout(mesh.corner_uvs, apart=True).scene.count_intersections(down.astype(np.float32)).numpy()
    if not counts.any():
        return "none"
    return "overlapping" if (counts > 1).sum() > MAX_OVERLAP * (counts > 0).sum() else "one place each"


class TextureLayout:
    """Finds the triangle of each texel of a texture; the texture repeats outside [0, 1].

    `apart`: each at a height of its own, so that a ray from above meets all that lie over each other.
    """

    def __init__(self, corner_uvs: Float[np.ndarray, "faces 3 2"], apart: bool = False) -> None:
        first, spans = _tiles(corner_uvs)
        numbers = spans.prod(1)
        self.faces = np.repeat(np.arange(len(corner_uvs)), numbers)
        place = np.arange(len(self.faces)) - np.repeat(np.cumsum(numbers) - numbers, numbers)
        tiles = first[self.faces] + np.stack(np.divmod(place, spans[self.faces, 1]), axis=1)
        corners = (corner_uvs[self.faces] - tiles[:, None]).reshape(-1, 2)
        lift = np.repeat(np.linspace(0, 0.5, len(corners) // 3), 3) * apart
        flat = np.concatenate([corners, lift[:, None]], axis=1).astype(np.float32)
        self.scene = o3d.t.geometry.RaycastingScene()
        self.scene.add_triangles(flat, np.arange(len(flat), dtype=np.uint32).reshape(-1, 3))

    def at(
        self, uvs: Float[np.ndarray, "texels 2"]
    ) -> tuple[Int[np.ndarray, " texels"], Float[np.ndarray, "texels 3"], Float[np.ndarray, " texels"]]:
        """(triangle, what its corners weigh, how far away) of texels in [0, 1]; of those outside all, the nearest's."""
        flat = np.concatenate([uvs, np.zeros((len(uvs), 1))], axis=1)
        found = self.scene.compute_closest_points(flat.astype(np.float32))
        away = np.linalg.norm(found["points"].numpy() - flat, axis=1)
        faces = self.faces[found["primitive_ids"].numpy().astype(np.int64)]
        return faces, corner_weights(found["primitive_uvs"].numpy()), away


def _tiles(corner_uvs: Float[np.ndarray, "faces 3 2"]) -> tuple[Int[np.ndarray, "faces 2"], Int[np.ndarray, "faces 2"]]:
    """(first, how many) of the repeated pictures that each triangle lies on, rightwards and upwards."""
    first, last = (np.floor(end(corner_uvs, 1)).astype(np.int64) for end in (np.min, np.max))
    return first, last - first + 1
