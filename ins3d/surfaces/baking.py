"""Bakes a surface's colours into a mesh: at its vertices, or into a texture."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import distance_transform_edt

from ins3d.meshes.triangles import SurfaceMesh
from ins3d.runs.record import progress
from ins3d.surfaces.stylized import ShownSurface
from ins3d.surfaces.triangulation import TextureLayout

POINTS_AT_ONCE = 2**17
MARGIN = 8
"""Texels beyond a triangle that are asked themselves; those further away are copied from the nearest of them."""


def color_vertices(mesh: SurfaceMesh, surface: ShownSurface, device: torch.device) -> SurfaceMesh:
    """The mesh with a colour at every vertex; strokes finer than vertices are apart fade out."""
    corners = mesh.vertices[mesh.faces]
    apart = float(np.median(np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=-1)))
    colors = _colors(mesh.vertices, np.full((len(mesh.vertices), 1), apart), surface, device)
    return replace(mesh, vertex_colors=colors, textures=())


def bake_texture(mesh: SurfaceMesh, surface: ShownSurface, size: int, device: torch.device) -> SurfaceMesh:
    """The mesh, which has places on a picture, with that picture of `size` x `size` texels.

    Texels that belong to no triangle get the colour of the nearest: whatever blurs the picture finds no other colour.
    """
    assert mesh.corner_uvs is not None
    layout, widths = TextureLayout(mesh.corner_uvs), _texel_widths(mesh, size)
    texture = np.zeros((size, size, 3), np.float32)
    empty = np.ones((size, size), bool)
    texels = (np.arange(size) + 0.5) / size
    rows_at_once = max(POINTS_AT_ONCE // size, 1)
    for top in progress(range(0, size, rows_at_once), "painting the texture"):
        across, down = np.meshgrid(texels, texels[top : top + rows_at_once])
        uvs = np.stack([across, 1 - down], axis=-1).reshape(-1, 2)
        faces, weights, away = layout.at(uvs)
        near = away <= MARGIN / size
        positions = mesh.positions_at(faces[near], weights[near])
        rows = np.zeros((len(uvs), 3), np.float32)
        rows[near] = _colors(positions, widths[faces[near], None], surface, device)
        texture[top : top + rows_at_once] = rows.reshape(-1, size, 3)
        empty[top : top + rows_at_once] = ~near.reshape(-1, size)
    nearest = np.asarray(distance_transform_edt(empty, return_distances=False, return_indices=True))
    return replace(mesh, textures=(texture[tuple(nearest)],), vertex_colors=None, materials=None)


def _texel_widths(mesh: SurfaceMesh, size: int) -> Float[np.ndarray, " faces"]:
    """How wide a texel is on each triangle; 0 on one without a place."""
    assert mesh.corner_uvs is not None
    first, second = (mesh.corner_uvs[:, corner] - mesh.corner_uvs[:, 0] for corner in (1, 2))
    covered = np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]) * size**2
    return np.sqrt(np.linalg.norm(mesh.normals, axis=1) / np.where(covered > 0, covered, np.inf))


def _colors(
    positions: Float[np.ndarray, "points 3"], widths: Float[np.ndarray, "points 1"], surface: ShownSurface,
    device: torch.device,
) -> Float[np.ndarray, "points 3"]:  # fmt: skip
    asked = zip(*(torch.from_numpy(values).float().split(POINTS_AT_ONCE) for values in (positions, widths)), strict=True)
    with torch.inference_mode():
        colors = torch.cat([surface.rgb(at.to(device), wide.to(device)).clamp(0, 1).cpu() for at, wide in asked])
    return colors.numpy().astype(np.float64)
