"""Bakes a surface's colours into a mesh: at its vertices, or into a texture."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float

from ins3d.meshes.triangles import SurfaceMesh
from ins3d.runs.record import progress
from ins3d.surfaces.stylized import ShownSurface
from ins3d.surfaces.triangulation import TextureLayout

POINTS_AT_ONCE = 2**17


def color_vertices(mesh: SurfaceMesh, surface: ShownSurface, device: torch.device) -> SurfaceMesh:
    """The mesh with a colour at every vertex."""
    return replace(mesh, vertex_colors=_colors(mesh.vertices, surface, device), textures=())


def bake_texture(mesh: SurfaceMesh, surface: ShownSurface, size: int, device: torch.device) -> SurfaceMesh:
    """The mesh, which has places on a picture, with that picture of `size` x `size` texels.

    Texels that belong to no triangle get the colour of the nearest: whatever blurs the picture finds no other colour.
    """
    assert mesh.corner_uvs is not None
    layout = TextureLayout(mesh.corner_uvs)
    texture = np.empty((size, size, 3), np.float32)
    texels = (np.arange(size) + 0.5) / size
    rows_at_once = max(POINTS_AT_ONCE // size, 1)
    for top in progress(range(0, size, rows_at_once), "painting the texture"):
        rows = texels[top : top + rows_at_once]
        across, down = np.meshgrid(texels, rows)
        faces, weights = layout.at(np.stack([across, 1 - down], axis=-1).reshape(-1, 2))
        positions = mesh.positions_at(faces, weights)
        texture[top : top + rows_at_once] = _colors(positions, surface, device).reshape(len(rows), size, 3)
    return replace(mesh, textures=(texture,), vertex_colors=None, materials=None)


def _colors(
    positions: Float[np.ndarray, "points 3"], surface: ShownSurface, device: torch.device
) -> Float[np.ndarray, "points 3"]:
    parts = torch.from_numpy(positions).float().split(POINTS_AT_ONCE)
    with torch.inference_mode():
        colors = torch.cat([surface.rgb(part.to(device)).clamp(0, 1).cpu() for part in parts])
    return colors.numpy().astype(np.float64)
