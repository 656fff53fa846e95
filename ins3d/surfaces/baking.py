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
    """The mesh with a colour at every vertex."""
    return replace(mesh, vertex_colors=_colors(mesh.vertices, surface, device), textures=())


def bake_texture(mesh: SurfaceMesh, surface: ShownSurface, size: int, device: torch.device) -> SurfaceMesh:
    """The mesh, which has places on a picture, with that picture of `size` x `size` texels.

    Texels that belong to no triangle get the colour of the nearest: whatever blurs the picture finds no other colour.
    """
    assert mesh.corner_uvs is not None
    layout = TextureLayout(mesh.corner_uvs)
    texture = np.zeros((size, size, 3), np.float32)
    empty = np.ones((size, size), bool)
    texels = (np.arange(size) + 0.5) / size
    rows_at_once = max(POINTS_AT_ONCE // size, 1)
    for top in progress(range(0, size, rows_at_once), "painting the texture"):
        across, down = np.meshgrid(texels, texels[top : top + rows_at_once])
        uvs = np.stack([across, 1 - down], axis=-1).reshape(-1, 2)
        faces, weights, away = layout.at(uvs)
        near = away <= MARGIN / size
        rows = np.zeros((len(uvs), 3), np.float32)
        rows[near] = _colors(mesh.positions_at(faces[near], weights[near]), surface, device)
        texture[top : top + rows_at_once] = rows.reshape(-1, size, 3)
        empty[top : top + rows_at_once] = ~near.reshape(-1, size)
    nearest = np.asarray(distance_transform_edt(empty, return_distances=False, return_indices=True))
    return replace(mesh, textures=(texture[tuple(nearest)],), vertex_colors=None, materials=None)


def _colors(
    positions: Float[np.ndarray, "points 3"], surface: ShownSurface, device: torch.device
) -> Float[np.ndarray, "points 3"]:
    parts = torch.from_numpy(positions).float().split(POINTS_AT_ONCE)
    with torch.inference_mode():
        colors = torch.cat([surface.rgb(part.to(device)).clamp(0, 1).cpu() for part in parts])
    return colors.numpy().astype(np.float64)
