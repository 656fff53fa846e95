"""Cuts polygons into triangles."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def fan(vertices: Float[np.ndarray, "vertices 3"], polygon: Sequence[int]) -> list[tuple[int, int, int]]:
    """Triangles, by the numbers of the polygon's corners; by cutting off ears where a fan would leave the polygon.

    >>> fan(np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]), [0, 1, 2, 3])
    [(0, 1, 2), (0, 2, 3)]
    """
    count = len(polygon)
    plain = [(0, corner, corner + 1) for corner in range(1, count - 1)]
    if count == 3 or max(polygon) >= len(vertices):
        return plain
    places = vertices[list(polygon)]
    spokes = places[1:] - places[0]
    normals = np.cross(spokes[:-1], spokes[1:])
    whole = normals.sum(0)  # of the whole polygon, by Newell
    return plain if (normals @ whole >= 0).all() else _ears(places, whole)


def _ears(places: Float[np.ndarray, "corners 3"], normal: Float[np.ndarray, " 3"]) -> list[tuple[int, int, int]]:
    left, triangles = list(range(len(places))), []
    while len(left) > 3:
        ear = next((spot for spot in range(len(left)) if _is_ear(places, normal, left, spot)), 0)
        triangles.append((left[ear - 1], left[ear], left[(ear + 1) % len(left)]))
        del left[ear]
    return [*triangles, (left[0], left[1], left[2])]


def _is_ear(places: np.ndarray, normal: np.ndarray, left: list[int], spot: int) -> bool:
    """Whether a corner sticks out, and no other one lies in the triangle that it makes with its neighbours."""
    corners = [left[spot - 1], left[spot], left[(spot + 1) % len(left)]]
    triangle = places[corners]
    if np.cross(triangle[1] - triangle[0], triangle[2] - triangle[1]) @ normal <= 0:
        return False
    others = places[[corner for corner in left if corner not in corners]]
    edges = np.roll(triangle, -1, axis=0) - triangle
    sides = np.cross(edges[None], others[:, None] - triangle[None]) @ normal
    return not (sides >= 0).all(1).any()
