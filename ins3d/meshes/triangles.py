"""`SurfaceMesh`: triangles with a texture, vertex colours or materials; joining, merging, placing in the unit ball."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import open3d as o3d
import torch
from jaxtyping import Bool, Float, Int
from kornia.color import linear_rgb_to_rgb, rgb_to_linear_rgb
from scipy.ndimage import map_coordinates

CLAY = (0.72, 0.68, 0.63)
"""The colour of what has none."""


@dataclass(frozen=True)
class SurfaceMesh:
    """A triangle mesh in coordinates of its own. Colours are sRGB in [0, 1]."""

    vertices: Float[np.ndarray, "vertices 3"]
    faces: Int[np.ndarray, "faces 3"]
    corner_uvs: Float[np.ndarray, "faces 3 2"] | None = None
    """Places in the texture of each triangle's corners: rightwards and upwards, the whole picture is [0, 1]."""
    textures: tuple[Float[np.ndarray, "_ _ 3"] | None, ...] = ()
    """One for each material; None: the material's colour."""
    colors: tuple[tuple[float, float, float], ...] = (CLAY,)
    """One for each material."""
    materials: Int[np.ndarray, " faces"] | None = None
    """Each triangle's; None: all have the first."""
    vertex_colors: Float[np.ndarray, "vertices 3"] | None = None
    """Seen where there is no texture."""
    corner_tints: Float[np.ndarray, "faces 3 3"] | None = None
    """Of each triangle's corners: multiplies (in linear light) what material and texture say, as in glTF."""
    notes: tuple[str, ...] = ()
    """What a user should know of its file."""

    @property
    def has_color(self) -> bool:
        """Whether there is more to be seen than clay."""
        textured = any(texture is not None for texture in self.textures)
        return textured or self.vertex_colors is not None or self.corner_tints is not None or set(self.colors) != {CLAY}

    @property
    def diagonal(self) -> float:
        """Of the bounding box."""
        return float(np.linalg.norm(self.vertices.max(0) - self.vertices.min(0)))

    @property
    def normals(self) -> Float[np.ndarray, "faces 3"]:
        """Of the triangles; their length is twice the triangle's area."""
        corners = self.vertices[self.faces]
        return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])

    @classmethod
    def of_open3d(cls, shape: o3d.geometry.TriangleMesh) -> "SurfaceMesh":
        """Its vertices, triangles, places in a texture and vertex colours."""
        uvs = np.asarray(shape.triangle_uvs).reshape(-1, 3, 2) if shape.has_triangle_uvs() else None
        colors = np.asarray(shape.vertex_colors) if shape.has_vertex_colors() else None
        faces = np.asarray(shape.triangles).astype(np.int64)
        return cls(np.asarray(shape.vertices), faces, uvs, vertex_colors=colors)

    def open3d(self) -> o3d.geometry.TriangleMesh:
        """Its vertices, triangles and vertex colours, as open3d takes them."""
        shape = o3d.geometry.TriangleMesh(
            o3d.utility.Vector3dVector(self.vertices), o3d.utility.Vector3iVector(self.faces.astype(np.int32))
        )
        if self.vertex_colors is not None:
            shape.vertex_colors = o3d.utility.Vector3dVector(self.vertex_colors)
        return shape

    def positions_at(
        self, faces: Int[np.ndarray, " points"], weights: Float[np.ndarray, "points 3"]
    ) -> Float[np.ndarray, "points 3"]:
        """Places on triangles, given by what their corners weigh."""
        return np.einsum("pc,pcd->pd", weights, self.vertices[self.faces[faces]])

    def colors_at(
        self, faces: Int[np.ndarray, " points"], weights: Float[np.ndarray, "points 3"]
    ) -> Float[np.ndarray, "points 3"]:
        """Colours of places on triangles, given by what their corners weigh."""
        if self.vertex_colors is not None and not any(texture is not None for texture in self.textures):
            return np.einsum("pc,pcd->pd", weights, self.vertex_colors[self.faces[faces]])
        materials = np.zeros(len(faces), int) if self.materials is None else self.materials[faces]
        found = np.asarray(self.colors, float)[materials]
        for material, texture in enumerate(self.textures):
            here = materials == material
            if texture is not None and self.corner_uvs is not None and here.any():
                uvs = np.einsum("pc,pcd->pd", weights[here], self.corner_uvs[faces[here]])
                found[here] = read_texture(texture, uvs)
        if self.corner_tints is None:
            return found
        return times(found, np.einsum("pc,pcd->pd", weights, self.corner_tints[faces]))

    def chosen(self, which: Bool[np.ndarray, " faces"]) -> "SurfaceMesh":
        """With some of its triangles only."""
        uvs = None if self.corner_uvs is None else self.corner_uvs[which]
        materials = None if self.materials is None else self.materials[which]
        tints = None if self.corner_tints is None else self.corner_tints[which]
        return replace(self, faces=self.faces[which], corner_uvs=uvs, materials=materials, corner_tints=tints)

    def flipped(self, which: np.ndarray) -> "SurfaceMesh":
        """With some triangles turned around."""
        order = np.where(which[:, None], [[0, 2, 1]], [[0, 1, 2]])
        uvs, tints = (
            None if values is None else np.take_along_axis(values, order[..., None], 1)
            for values in (self.corner_uvs, self.corner_tints)
        )  # fmt: skip
        return replace(self, faces=np.take_along_axis(self.faces, order, 1), corner_uvs=uvs, corner_tints=tints)


def merged(mesh: SurfaceMesh, order: Float[np.ndarray, "places 3"] | None = None) -> SurfaceMesh:
    """Vertices of one place become one, those of no triangle are left out: readers part and shuffle them at every seam.

    They follow `order`, the places in which the file has them, if each is found there; else the triangles, as they come to
    use them.
    """
    used = mesh.vertices[mesh.faces.ravel()]
    _, first, where = np.unique(used, axis=0, return_index=True, return_inverse=True)
    found = None if order is None else _first_places(used[first], order)
    sequence = np.argsort(first if found is None else found, kind="stable")
    rank = np.empty_like(sequence)
    rank[sequence] = np.arange(len(sequence))
    vertices, faces, colors = used[first[sequence]], rank[where.ravel()].reshape(mesh.faces.shape), None
    if mesh.vertex_colors is not None:
        colors = np.zeros_like(vertices)
        colors[faces.ravel()] = mesh.vertex_colors[mesh.faces.ravel()]
    return replace(mesh, vertices=vertices, faces=faces, vertex_colors=colors)


def _first_places(
    vertices: Float[np.ndarray, "vertices 3"], places: Float[np.ndarray, "places 3"]
) -> Int[np.ndarray, " vertices"] | None:
    """The first of `places` at which each vertex lies; None if one lies at none."""
    both = np.concatenate([vertices, places]) + 0.0  # one zero, without a sign
    _, where = np.unique(both, axis=0, return_inverse=True)
    where = where.ravel()
    first = np.full(len(both), -1)
    first[where[len(vertices) :][::-1]] = np.arange(len(places))[::-1]
    found = first[where[: len(vertices)]]
    return found if (found >= 0).all() else None


def times(one: Float[np.ndarray, "*colors 3"], other: Float[np.ndarray, "*#colors 3"]) -> Float[np.ndarray, "*colors 3"]:
    """The product of two colours, which are sRGB, as light multiplies them.

    >>> times(np.array([[1.0, 0.5, 0.0]]), np.array([[0.5, 1.0, 0.5]])).round(6).tolist()
    [[0.5, 0.5, 0.0]]
    """
    light = converted(one, rgb_to_linear_rgb) * converted(np.broadcast_to(other, one.shape).copy(), rgb_to_linear_rgb)
    return converted(light, linear_rgb_to_rgb)


def converted(
    values: Float[np.ndarray, "*colors 3"], convert: Callable[[torch.Tensor], torch.Tensor]
) -> Float[np.ndarray, "*colors 3"]:
    """Colours by a function of kornia's, which takes pictures."""
    return convert(torch.from_numpy(values).reshape(-1, 3).T[..., None])[..., 0].T.reshape(values.shape).numpy()


@dataclass(frozen=True)
class MeshPlacement:
    """Maps an object's coordinates to the unit ball of the fields: (coordinates - center) / scale."""

    center: tuple[float, float, float]
    scale: float

    FILLED = 0.9
    """Share of the ball's radius that the object reaches."""

    @classmethod
    def of(cls, vertices: Float[np.ndarray, "vertices 3"]) -> "MeshPlacement":
        """The middle of the bounding box becomes 0, the furthest vertex lies at `FILLED`."""
        center = (vertices.max(0) + vertices.min(0)) / 2
        reach = np.linalg.norm(vertices - center, axis=1).max()
        return cls(tuple(center.tolist()), float(reach / cls.FILLED))

    def inward(self, mesh: SurfaceMesh) -> SurfaceMesh:
        """The mesh in the ball."""
        return replace(mesh, vertices=(mesh.vertices - np.asarray(self.center)) / self.scale)

    def outward(self, positions: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "points 3"]:
        """Places of the ball in the object's own coordinates."""
        return positions * self.scale + np.asarray(self.center)


def corner_weights(uvs: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "points 3"]:
    """Barycentric weights of a triangle's three corners, from open3d's pair (those of the second and the third)."""
    return np.concatenate([1 - uvs.sum(1, keepdims=True), uvs], axis=1).astype(np.float64)


def read_texture(texture: Float[np.ndarray, "_ _ 3"], uvs: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "points 3"]:
    """Bilinear; outside [0, 1] the picture is repeated.

    >>> read_texture(np.array([[[0.0] * 3, [1.0] * 3]]), np.array([[0.5, 0.5], [1.25, 0.0]]))[:, 0].tolist()
    [0.5, 0.0]
    """
    height, width = texture.shape[:2]
    places = np.stack([(1 - uvs[:, 1]) * height - 0.5, uvs[:, 0] * width - 0.5])
    read = [map_coordinates(texture[..., color], places, float, order=1, mode="grid-wrap") for color in range(3)]
    return np.stack(read, axis=-1)
