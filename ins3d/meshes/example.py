"""The project's example shape: marching cubes of an analytic signed distance, with colours."""

import numpy as np
from jaxtyping import Float
from skimage.measure import marching_cubes

from ins3d.meshes.triangles import SurfaceMesh


def example_distance(positions: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, " points"]:
    """A ball that sits in a ring and wears a bead: a smooth union of two spheres and a torus. Not exact between them.

    >>> float(round(example_distance(np.array([[0.0, 0.0, 0.0]]))[0], 2))
    -0.5
    """
    x, y, z = positions.T
    ball = np.linalg.norm(positions, axis=1) - 0.5
    bead = np.linalg.norm(positions - np.array([0.0, 0.62, 0.0]), axis=1) - 0.24
    ring = np.hypot(np.hypot(x, z) - 0.66, y + 0.18) - 0.16
    return _smooth_union(_smooth_union(ball, bead, 0.08), ring, 0.1)


def example_mesh(resolution: int = 128) -> SurfaceMesh:
    """Marching cubes of `example_distance`, in terracotta, cream and blue stripes."""
    line = np.linspace(-1, 1, resolution)
    grid = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)
    vertices, faces, _, _ = marching_cubes(example_distance(grid).reshape([resolution] * 3), 0.0)
    vertices = vertices / (resolution - 1) * 2 - 1
    stripes = 0.5 + 0.5 * np.sin(14 * vertices[:, 1:2] + 3 * np.sin(2 * np.arctan2(vertices[:, 2:], vertices[:, :1])))
    height = np.clip(vertices[:, 1:2] + 0.5, 0, 1)
    low, high, line_color = (np.array(color) for color in ((0.66, 0.30, 0.20), (0.93, 0.87, 0.74), (0.16, 0.28, 0.47)))
    colors = (low + (high - low) * height) * (1 - 0.8 * stripes**4) + line_color * 0.8 * stripes**4
    return SurfaceMesh(vertices, faces.astype(np.int64), vertex_colors=colors)


def _smooth_union(one: np.ndarray, other: np.ndarray, width: float) -> np.ndarray:
    share = np.clip(0.5 + 0.5 * (other - one) / width, 0, 1)
    return other + (one - other) * share - width * share * (1 - share)
