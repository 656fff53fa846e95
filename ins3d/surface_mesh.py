"""Triangles and what they are painted with: the mesh that a user brings, and the one that goes back."""

from dataclasses import dataclass, replace

import numpy as np
import open3d as o3d
from jaxtyping import Float, Int

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

    @property
    def has_color(self) -> bool:
        """Whether there is more to be seen than clay."""
        textured = any(texture is not None for texture in self.textures)
        return textured or self.vertex_colors is not None or self.colors != (CLAY,)

    @property
    def diagonal(self) -> float:
        """Of the bounding box."""
        return float(np.linalg.norm(self.vertices.max(0) - self.vertices.min(0)))

    @property
    def normals(self) -> Float[np.ndarray, "faces 3"]:
        """Of the triangles; their length is twice the triangle's area."""
        corners = self.vertices[self.faces]
        return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])

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
        return found

    def flipped(self, which: np.ndarray) -> "SurfaceMesh":
        """With some triangles turned around."""
        order = np.where(which[:, None], [[0, 2, 1]], [[0, 1, 2]])
        uvs = None if self.corner_uvs is None else np.take_along_axis(self.corner_uvs, order[..., None], 1)
        return replace(self, faces=np.take_along_axis(self.faces, order, 1), corner_uvs=uvs)


@dataclass(frozen=True)
class MeshPlacement:
    """Where an object lies in the unit ball, in which fields are asked: (coordinates - center) / scale."""

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
    """What a triangle's corners weigh, of open3d's shares of its second and third."""
    return np.concatenate([1 - uvs.sum(1, keepdims=True), uvs], axis=1).astype(np.float64)


def read_texture(texture: Float[np.ndarray, "_ _ 3"], uvs: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "points 3"]:
    """Bilinear; outside [0, 1] the picture is repeated.

    >>> read_texture(np.array([[[0.0] * 3, [1.0] * 3]]), np.array([[0.5, 0.5], [1.25, 0.0]]))[:, 0].tolist()
    [0.5, 0.0]
    """
    height, width = texture.shape[:2]
    across, down = uvs[:, 0] * width - 0.5, (1 - uvs[:, 1]) * height - 0.5
    left, top = np.floor(across).astype(int), np.floor(down).astype(int)
    right_share, low_share = (across - left)[:, None], (down - top)[:, None]
    (left, right), (top, low) = ((start % size, (start + 1) % size) for start, size in ((left, width), (top, height)))
    upper = texture[top, left] * (1 - right_share) + texture[top, right] * right_share
    lower = texture[low, left] * (1 - right_share) + texture[low, right] * right_share
    return upper * (1 - low_share) + lower * low_share
