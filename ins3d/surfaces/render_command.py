"""Runs `ins3d object render`: a film or stills of a field."""

from collections.abc import Iterator

import torch
from torch import Tensor

from ins3d.extension.ranges import check_ranges
from ins3d.files.pictures import write_rgb
from ins3d.files.videos import open_video
from ins3d.placement.cameras import ObjectCameras, turntable, walk
from ins3d.runs.objective import torch_device
from ins3d.runs.record import CONSOLE, make_folder, progress
from ins3d.surfaces.checkpoint import SurfaceField, SurfaceSpec, load_surface, show_field
from ins3d.surfaces.rendering import SurfaceView, render_view
from ins3d.surfaces.settings import RenderSurface

MOVING = (".mp4", ".gif")


def run_render_surface(settings: RenderSurface) -> None:
    """`render`: a film, or a folder of stills."""
    check_render_surface(settings)
    device = torch_device(settings.device)
    field, spec = load_surface(settings.load, "load", device)
    codes = style_codes(settings, spec.styles or ("content",))
    cameras = render_cameras(settings, spec).to(device)
    if settings.output.suffix.lower() in MOVING:
        make_folder(settings.output.parent)
        with open_video(settings.output, settings.fps) as add:
            for view in _views(field, cameras, codes, settings):
                add(torch.cat([view.picture(what, settings.background) for what in settings.pictures], dim=2))
        CONSOLE.print(f"Wrote {settings.output}, {settings.frames} frames.", soft_wrap=True)
        return
    make_folder(settings.output)
    for number, view in enumerate(_views(field, cameras, codes, settings)):
        for what in settings.pictures:
            write_rgb(settings.output / f"{number:03d}_{what}.png", view.picture(what, settings.background))
    CONSOLE.print(f"Wrote {settings.frames} views into {settings.output}.", soft_wrap=True)


def check_render_surface(settings: RenderSurface) -> None:
    """Refuses what cannot be written or looked at."""
    check_ranges(settings)
    suffix = settings.output.suffix.lower()
    if suffix and suffix not in MOVING:
        raise ValueError(
            f"output: {settings.output} is no .mp4 or .gif, and no folder; name a film, or a folder for stills."
        )
    if suffix in MOVING and settings.output.is_dir():
        raise ValueError(f"output: {settings.output} is a folder; name a film that can be written.")
    if not settings.pictures:
        raise ValueError("pictures: none is given; use one or more of rgb, normals, depth.")


def render_cameras(settings: RenderSurface, spec: SurfaceSpec) -> ObjectCameras:
    """One for each frame."""
    given = spec.object_cameras()
    if settings.path == "cameras" and given is None:
        raise ValueError(f"path: {settings.load} was not made from photographs, and has no cameras; use turntable.")
    if given is None or settings.path == "turntable":
        return turntable(settings.frames, spec.up, settings.size, settings.elevation)
    return walk(given.resized(settings.size), settings.frames)


def style_codes(settings: RenderSurface, names: tuple[str, ...]) -> list[Tensor]:
    """One for each frame."""
    path = settings.path_of(names)
    return [path.code(frame / max(settings.frames - 1, 1)) for frame in range(settings.frames)]


def _views(
    field: SurfaceField, cameras: ObjectCameras, codes: list[Tensor], settings: RenderSurface
) -> Iterator[SurfaceView]:
    for frame in progress(range(settings.frames), "rendering"):
        surface = show_field(field, codes[frame].to(cameras.intrinsics.device))
        yield render_view(surface, cameras, frame, settings.supersampling)
