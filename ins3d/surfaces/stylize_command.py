"""Runs `ins3d object stylize`: fits the object unless that is done, paints it, writes it as a mesh."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ins3d.extension.ranges import check_ranges
from ins3d.perception.color_transfer import color_statistics
from ins3d.placement.cameras import cameras_around
from ins3d.runs.objective import command_objective, torch_device
from ins3d.runs.record import CONSOLE
from ins3d.runs.training_folder import fit_first, is_finished, paint
from ins3d.style.targets import refuse_small
from ins3d.style.windows import WindowPlan, plan_windows
from ins3d.surfaces.checkpoint import SurfaceSpec, load_surface, read_surface_spec
from ins3d.surfaces.content import SurfaceContent
from ins3d.surfaces.export_command import run_export
from ins3d.surfaces.fit_commands import run_fit_images, run_fit_mesh, source_word, train
from ins3d.surfaces.settings import Export, FitImages, FitMesh, StylizeSurface
from ins3d.surfaces.stylization import SurfaceSubject
from ins3d.surfaces.stylized import StylizedSurface
from ins3d.surfaces.windows import RayWeighting, SurfaceWindows


def run_stylize_surface(settings: StylizeSurface) -> None:
    """`stylize`: fits the object where that has not been done, paints it, and writes it as a mesh."""
    check_ranges(settings)
    given = [name for name in ("fit", "images", "mesh") if getattr(settings, name) is not None]
    if len(given) > 1:
        raise ValueError(f"{given[0]}: {given[1]} is given too; paint one object in a run.")
    device = torch_device(settings.device)
    objective = command_objective(settings, device, None, settings.view_size)
    names = tuple(style.name for style in objective.styles)
    mix = settings.mix_of(names)
    size = window_plan(settings, settings.view_size, settings.view_size).patch
    refuse_small(f"patches.size: {size} places are", size, objective.features, settings.style_scales, "use more")
    content, fitted, settings = fitted_surface(settings, device)
    windows = surface_windows(settings, content, fitted, device)
    if settings.colors == "content":
        scene = color_statistics(torch.cat([rays.rgb[rays.hit[..., 0] > 0] for rays in windows.windows.values()]))
        objective = command_objective(settings, device, scene, settings.view_size)
    torch.manual_seed(settings.seed)
    bound = settings.bound if settings.geometry == "distilled" else 0.0
    footprint = windows.cameras.footprint
    spec = replace(
        fitted, kind="stylize", styles=names, colors=settings.colors, bound=bound, footprint=footprint, mixes="colors"
    )
    field = StylizedSurface(content, len(names), settings.colors, bound, footprint).to(device)
    subject = SurfaceSubject(field, windows, objective, settings.seed)
    paint(settings, field, subject, objective, mix, partial(train, settings, spec, mix=mix))
    if settings.export:
        told = {name: getattr(settings, name) for name in ("texture", "mix", "strength", "device")}
        run_export(Export(load=settings.output, output=settings.output / "mesh", formats=settings.export, **told))


def window_plan(settings: StylizeSurface, height: int, width: int) -> WindowPlan:
    """Windows are centred on places of the object, and no larger than the pictures."""
    plan = plan_windows((height, width), settings.patches.rays_of((height, width)), settings.patches)
    if plan.whole:
        raise ValueError(f"patches.rule: {settings.patches.rule} looks at whole pictures, mostly empty ones; use squares.")
    return plan


def surface_windows(
    settings: StylizeSurface, content: SurfaceContent, spec: SurfaceSpec, device: torch.device
) -> SurfaceWindows:
    """Where the steps look."""
    given, size = spec.object_cameras(), settings.view_size
    cameras = cameras_around(settings.views, spec.up, size) if given is None else given.resized(size)
    plan = window_plan(settings, cameras.height, cameras.width)
    weighting = RayWeighting(settings.weigh_angle, settings.weigh_depth)
    generator = torch.Generator().manual_seed(settings.seed)
    with CONSOLE.status("tracing the rays that are kept"):
        return SurfaceWindows(content, cameras.to(device), plan, weighting, generator)


def fitted_surface(settings: StylizeSurface, device: torch.device) -> tuple[SurfaceContent, SurfaceSpec, StylizeSurface]:
    """The fitted object: from where it was told to be, from an earlier run into the same folder, or fitted now."""
    folder, settings = fit_first(
        settings, settings.fit, "object", partial(is_fitted, settings), partial(fit_object, settings)
    )
    content, spec = load_surface(folder, "fit", device)
    if not isinstance(content, SurfaceContent):
        raise ValueError(f"fit: {folder} was made by {spec.kind}; give the output folder of fit-mesh or fit-images.")
    return content, spec, settings


def is_fitted(settings: StylizeSurface, folder: Path) -> bool:
    """Whether a fit of the same object stands there, finished, and younger than the object."""
    if not is_finished(folder):
        return False
    spec = read_surface_spec(folder, "fit")
    source = settings.images or settings.mesh
    same = spec.source == source_word(source) and spec.kind == ("fit-images" if settings.images else "fit-mesh")
    newer = source is not None and source.exists() and source.stat().st_mtime > (folder / "run.json").stat().st_mtime
    up = settings.up or ("y" if settings.images is None else spec.up)
    return same and not newer and spec.up == up


def fit_object(settings: StylizeSurface, **told: Any) -> None:
    """`fit-images` or `fit-mesh` of what is painted."""
    if settings.images:
        run_fit_images(FitImages(images=settings.images, up=settings.up, **told))
    else:
        run_fit_mesh(FitMesh(mesh=settings.mesh, up=settings.up or "y", **told))
