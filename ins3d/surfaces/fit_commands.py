"""Runs `ins3d object fit-mesh` and `fit-images`: reads the object, trains its field, writes the folder."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor

from ins3d.extension.ranges import check_ranges
from ins3d.meshes.example import example_mesh
from ins3d.meshes.files import read_mesh
from ins3d.meshes.queries import SHELL, MeshQueries, turned_outwards
from ins3d.meshes.triangles import MeshPlacement, SurfaceMesh
from ins3d.placement.cameras import ObjectCameras, turntable
from ins3d.runs.objective import torch_device
from ins3d.runs.record import CONSOLE, make_folder
from ins3d.runs.training import Training
from ins3d.runs.training_folder import run_training
from ins3d.style.mix import Mix
from ins3d.surfaces.checkpoint import SurfaceField, SurfaceSpec, cameras_words, save_surface, show_field
from ins3d.surfaces.content import SurfaceContent
from ins3d.surfaces.mesh_fitting import mesh_losses, sample_mesh
from ins3d.surfaces.photo_fitting import PhotoLosses, compare_views
from ins3d.surfaces.photographs import EXAMPLE_SIZE, ObjectPictures, picture_mesh, read_object_pictures
from ins3d.surfaces.rendering import render_view
from ins3d.surfaces.settings import FitImages, FitMesh, FitSurface, StylizeSurface

PLACES = 400_000
"""On a mesh, at which it is asked before the fit."""
POINTS = 4096
"""Of a mesh, asked in each step."""
PREVIEW_SIZE, PICTURE_SIZE, PREVIEW_VIEWS = 192, 512, 4
"""Long sides of the views that are shown on the way, and of those at the end; how many."""
SMOOTH = 3
"""Rays, across and down, of a pixel at an edge, in the latter."""


def run_fit_mesh(settings: FitMesh) -> None:
    """`fit-mesh`: fits signed distance and colours to a mesh."""
    check_ranges(settings)
    mesh, placement = placed_mesh(settings.mesh, settings.up, settings.clay)
    device = torch_device(settings.device)
    make_folder(settings.output)
    queries = MeshQueries(mesh)
    if queries.inside == "shell":
        CONSOLE.print(
            f"The mesh encloses nothing: it is fitted as a sheet {2 * SHELL * placement.scale:.3g} thick, in its own units; "
            "close its holes if it should be solid.",
            soft_wrap=True,
        )
    elif has_holes(mesh):
        CONSOLE.print(
            "The mesh has holes: its inside is told by the winding number, so the fit is closed over them.", soft_wrap=True
        )
    torch.manual_seed(settings.seed)
    spec = SurfaceSpec("fit-mesh", settings.network, settings.up, placement, source_word(settings.mesh))
    field = cast(SurfaceContent, spec.build().to(device))
    with Progress(console=CONSOLE, transient=True, disable=not CONSOLE.is_terminal) as bar:
        task = bar.add_task("asking the mesh what is inside")
        samples = sample_mesh(
            queries, PLACES, settings.seed, device, lambda done, total: bar.update(task, completed=done, total=total)
        )
    losses = mesh_losses(field, samples, POINTS, queries.inside == "shell")
    train(settings, spec, new_training(field, settings), losses, Mix((1.0,)))


def has_holes(mesh: SurfaceMesh) -> bool:
    """Whether some edge belongs to one triangle alone."""
    shape = mesh.open3d()
    edges = (np.asarray(shape.get_non_manifold_edges(allow_boundary_edges=allowed)) for allowed in (False, True))
    return len(next(edges)) > len(next(edges))


def source_word(path: Path | None) -> str:
    """For `SurfaceSpec.source`."""
    return "" if path is None else str(path.resolve())


def placed_mesh(path: Path | None, up: str, clay: str) -> tuple[SurfaceMesh, MeshPlacement]:
    """A mesh in the unit ball, facing outwards and with colours, and where it comes from."""
    mesh = example_mesh() if path is None else read_mesh(path, "mesh")
    for note in mesh.notes:
        CONSOLE.print(note, soft_wrap=True, markup=False)
    placement = MeshPlacement.of(mesh.vertices)
    mesh, turned = turned_outwards(placement.inward(mesh))
    if turned:
        CONSOLE.print(f"{turned} of {len(mesh.faces)} triangles faced inwards, and were turned around.")
    if not mesh.has_color and clay == "lit":
        mesh = lit_clay(mesh, up)
    return mesh, placement


def lit_clay(mesh: SurfaceMesh, up: str) -> SurfaceMesh:
    """The colour of clay, darker the further a corner is turned away from above."""
    normals = np.asarray(mesh.open3d().compute_vertex_normals().vertex_normals)
    brightness = 0.45 + 0.55 * (0.5 + 0.5 * normals[:, "xyz".index(up)])
    colors = np.asarray(mesh.colors[0]) * brightness[:, None]
    return replace(mesh, vertex_colors=colors, corner_uvs=None, textures=())


def run_fit_images(settings: FitImages) -> None:
    """`fit-images`: fits signed distance and colours to photographs with masks."""
    check_ranges(settings)
    device = torch_device(settings.device)
    seen = read_pictures(settings).to(device)
    learned, held = seen.split(settings.hold_out)
    if not len(learned.pictures):
        raise ValueError(f"hold-out: {settings.hold_out} leaves no picture to learn from; use 2 or more, or 0.")
    make_folder(settings.output)
    torch.manual_seed(settings.seed)
    cameras = cameras_words(seen.cameras.to(torch.device("cpu")))
    spec = SurfaceSpec(
        "fit-images", settings.network, settings.up or seen.up, seen.placement, source_word(settings.images), cameras=cameras
    )
    field = cast(SurfaceContent, spec.build().to(device))
    training = new_training(field, settings)
    losses = PhotoLosses(field, learned, settings.steps, settings.rays, settings.mask_weight, settings.eikonal_weight)

    def measure(picture: Tensor) -> dict[str, Any]:
        found = compare_views(field, held)
        if not found:
            return {}
        CONSOLE.print(
            f"On {found['views']} pictures that were held out: PSNR {found['psnr']:.2f} dB where the object is, "
            f"silhouettes agree to {found['silhouette_iou']:.4f} (IoU).",
            soft_wrap=True,
        )
        return found

    train(settings, spec, training, losses, Mix((1.0,)), measure=measure)


def read_pictures(settings: FitImages) -> ObjectPictures:
    """Those that are named, or pictures of the project's own shape."""
    if settings.images is not None:
        found = read_object_pictures(settings.images, settings.size)
        for note in found.notes:
            CONSOLE.print(note, soft_wrap=True, markup=False)
        return found
    mesh, _ = placed_mesh(None, "y", "flat")
    return picture_mesh(MeshQueries(mesh), size=settings.size or EXAMPLE_SIZE)


def new_training(field: SurfaceContent, settings: FitSurface) -> Training:
    """All of the field learns, at its own rate."""
    rate = field.learning_rate if isinstance(settings, FitMesh) else field.photo_learning_rate
    groups = [{"params": list(field.parameters()), "lr": rate}]
    return Training(field, groups, settings.steps, settings.seed)


def train(
    settings: FitSurface | StylizeSurface, spec: SurfaceSpec, training: Training, losses: Any, mix: Mix,
    **about: Any,
) -> Tensor:  # fmt: skip
    """Runs or resumes; the picture that is shown on the way is four views, and the shape below them."""
    field = cast(SurfaceField, training.field)
    begun_with = {"styles": spec.styles, "bound": spec.bound}
    return run_training(
        settings, training, losses,
        save=lambda: save_surface(settings.output, field, spec), show=lambda: preview(field, spec, mix, PREVIEW_SIZE, 1),
        show_last=lambda: preview(field, spec, mix, PICTURE_SIZE, SMOOTH),
        begun_with=begun_with, **about,
    )  # fmt: skip


@torch.no_grad()
def preview(field: SurfaceField, spec: SurfaceSpec, mix: Mix, size: int, finer: int) -> Tensor:
    """Colours above normals, from four sides, `size` pixels each; `finer`: see `render_view`."""
    device = next(field.parameters()).device
    given = spec.object_cameras()
    seen = turntable(PREVIEW_VIEWS, spec.up, size) if given is None else spread(given, PREVIEW_VIEWS).resized(size)
    surface = show_field(field, mix.code().to(device))
    views = [render_view(surface, seen.to(device), camera, finer) for camera in range(len(seen))]
    rows = [torch.cat([view.picture(what) for view in views], dim=2) for what in ("rgb", "normals")]
    return torch.cat(rows, dim=1).cpu()


def spread(cameras: ObjectCameras, number: int) -> ObjectCameras:
    """A few of them, evenly."""
    places = torch.linspace(0, len(cameras) - 1, min(number, len(cameras)))
    return cameras[places.round().long().tolist()]
