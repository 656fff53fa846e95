"""Runs `ins3d object export`: writes a field, under a mix of styles, as mesh files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ins3d.extension.ranges import check_ranges
from ins3d.meshes.files import read_mesh, write_glb, write_obj, write_ply
from ins3d.meshes.triangles import SurfaceMesh
from ins3d.runs.objective import torch_device
from ins3d.runs.record import CONSOLE, make_folder
from ins3d.surfaces.baking import bake_texture, color_vertices
from ins3d.surfaces.checkpoint import SurfaceSpec, load_surface, show_field
from ins3d.surfaces.settings import Export, Format
from ins3d.surfaces.stylized import ShownSurface
from ins3d.surfaces.triangulation import FLOATER, extract_triangles, judge_layout, make_atlas, simplify, without_floaters

NAME = "painted"
MAX_FACES = 40_000
"""Triangles of a textured mesh out of marching cubes; those with vertex colours keep all."""
MAX_DISTANCE = 0.05
"""Median distance, in radii of the ball, of a mesh from the field's surface, beyond which it is another mesh."""


def run_export(settings: Export) -> None:
    """`export`: writes what was asked for, each file whole or not at all."""
    check_ranges(settings)
    if not settings.formats:
        raise ValueError("formats: none is given; use one or more of obj, glb, ply.")
    device = torch_device(settings.device)
    field, spec = load_surface(settings.load, "load", device)
    mix = settings.mix_of(spec.styles or ("content",))
    kept = kept_mesh(settings, spec)
    surface = show_field(field, mix.code().to(device))
    if kept is not None:
        check_kept(kept, surface, settings, device)
    cubes = not all(takes_kept(name, kept, settings) for name in settings.formats)
    dense = _extracted(surface, settings, device) if cubes else None
    make_folder(settings.output)
    for name in settings.formats:
        triangles = kept if takes_kept(name, kept, settings) else dense
        assert triangles is not None
        _write(name, triangles, surface, spec, settings, device)


def kept_mesh(settings: Export, spec: SurfaceSpec) -> SurfaceMesh | None:
    """The mesh that was fitted, in the ball, where it is to be painted itself; else None."""
    path = settings.mesh or (Path(spec.source) if spec.source and spec.cameras is None else None)
    if settings.surface == "field" or (settings.surface == "auto" and path is None):
        return None
    if path is None:
        raise ValueError(f"surface: {settings.load} was not made from a mesh file; use field, or name one with mesh.")
    if spec.bound and settings.surface == "mesh":
        raise ValueError(f"surface: the shape in {settings.load} has been distilled, and is the mesh's no more; use field.")
    if spec.bound:
        return None
    mesh = spec.placement.inward(read_mesh(path, "mesh"))
    if np.linalg.norm(mesh.vertices, axis=1).max() > 1:
        raise ValueError(f"mesh: {path} does not lie where the fitted mesh lay; name that one, or use surface field.")
    layout = judge_layout(mesh)
    if layout == "one place each":
        return mesh
    if settings.surface == "auto" and layout == "none":
        if "obj" in settings.formats:
            CONSOLE.print("The mesh has no places in a texture: painted.obj gets new triangles; --surface mesh keeps them.")
        return None
    if layout != "none":
        CONSOLE.print(
            f"The mesh's places in its texture cannot be painted ({layout}); new ones are made for it.", soft_wrap=True
        )
    return replace(mesh, corner_uvs=make_atlas(mesh), materials=None)


def check_kept(kept: SurfaceMesh, surface: ShownSurface, settings: Export, device: torch.device) -> None:
    """Refuses a mesh that does not lie where the field has its surface: its colours would mean nothing."""
    with torch.inference_mode():
        away = surface.signed_distance(torch.from_numpy(kept.vertices).float().to(device)).abs()
    if float(away.median()) > MAX_DISTANCE:
        raise ValueError(
            f"mesh: {settings.mesh or settings.load} is another mesh than was fitted (half of its corners lie "
            f"{float(away.median()):.2g} radii or more off the surface); name the one that was, or use surface field."
        )


def takes_kept(name: Format, kept: SurfaceMesh | None, settings: Export) -> bool:
    """Whether a file holds the mesh that was fitted. It has too few vertices for vertex colours: glb and ply hold it
    only where `surface` is mesh."""
    return kept is not None and (name == "obj" or settings.surface == "mesh")


def _extracted(surface: ShownSurface, settings: Export, device: torch.device) -> SurfaceMesh:
    mesh, dropped = without_floaters(extract_triangles(surface, settings.resolution, device))
    if dropped:
        CONSOLE.print(f"Left out {dropped} floaters in free space, each less than {FLOATER:.1%} of the largest part's area.")
    return mesh


def _write(
    name: Format, triangles: SurfaceMesh, surface: ShownSurface, spec: SurfaceSpec, settings: Export, device: torch.device
) -> None:
    if name == "obj":
        if triangles.corner_uvs is None:
            triangles = simplify(triangles, MAX_FACES)
            triangles = replace(triangles, corner_uvs=make_atlas(triangles))
        painted = bake_texture(triangles, surface, settings.texture, device)
    else:
        painted = color_vertices(triangles, surface, device)
    painted = replace(painted, vertices=spec.placement.outward(painted.vertices))
    path = settings.output / f"{NAME}.{name}"
    {"obj": write_obj, "glb": write_glb, "ply": write_ply}[name](path, painted)
    CONSOLE.print(f"Wrote {path}, {len(painted.faces)} triangles.", soft_wrap=True)
