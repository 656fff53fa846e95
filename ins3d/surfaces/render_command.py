"""`render`: a field, cameras and mixes become a film or stills."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from rich.progress import track
from torch import Tensor

from ins3d.files.pictures import write_rgb
from ins3d.files.videos import open_video
from ins3d.runs.objective import torch_device
from ins3d.runs.record import CONSOLE, make_folder
from ins3d.runs.settings import check_settings
from ins3d.style.mix import make_mix
from ins3d.surfaces.cameras import ObjectCameras, turntable, walk
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
    check_settings(settings)
    suffix = settings.output.suffix.lower()
    if suffix and suffix not in MOVING:
        raise ValueError(
            f"output: {settings.output} is no .mp4 or .gif, and no folder; name a film, or a folder for stills."
        )
    if suffix in MOVING and settings.output.is_dir():
        raise ValueError(f"output: {settings.output} is a folder; name a film that can be written.")
    if not settings.pictures:
        raise ValueError("pictures: none is given; use one or more of rgb, normals, depth.")
    if not abs(settings.elevation) <= 90:
        raise ValueError(f"elevation: {settings.elevation:g} degrees is beyond straight above; use -90 to 90.")
    if not 0 <= settings.background <= 1:
        raise ValueError(f"background: {settings.background:g} is no grey; use 0 (black) to 1 (white).")


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
    if not settings.keyframes:
        mix = make_mix(settings.mix, settings.strength, names, "mix", "strength")
        return [mix.code()] * settings.frames
    if settings.mix or settings.strength != 1.0:
        raise ValueError("keyframes: mix or strength is given too; say them in the keyframes.")
    keys = sorted((read_keyframe(text, names) for text in settings.keyframes), key=lambda key: key.time)
    times = torch.linspace(0, 1, settings.frames).tolist() if settings.frames > 1 else [0.0]
    return [_code_between(keys, time) for time in times]


@dataclass(frozen=True)
class Keyframe:
    """A mix at a time."""

    time: float
    code: Tensor


def read_keyframe(text: str, names: tuple[str, ...]) -> Keyframe:
    """TIME:WEIGHTS@STRENGTH; without a strength it is 1.

    >>> read_keyframe("0.5:1,3@0.5", ("wave", "candy")).code.tolist()
    [0.125, 0.375]
    """
    time_word, _, rest = text.partition(":")
    weights_word, _, strength_word = rest.partition("@")
    try:
        time, strength = float(time_word), float(strength_word or 1)
        weights = [float(word) for word in weights_word.split(",")]
    except ValueError as error:
        raise ValueError(
            f"keyframes: {text!r} is not TIME:WEIGHTS@STRENGTH, such as 0.5:{','.join('1' for _ in names)}@0.8."
        ) from error
    if not 0 <= time <= 1:
        raise ValueError(f"keyframes: the time of {text!r} is outside 0 (the first frame) to 1 (the last).")
    return Keyframe(time, make_mix(weights, strength, names, f"keyframes: {text!r}").code())


def _code_between(keys: list[Keyframe], time: float) -> Tensor:
    before = [key for key in keys if key.time <= time]
    after = [key for key in keys if key.time > time]
    if not before or not after:
        return (before[-1] if before else after[0]).code
    span = after[0].time - before[-1].time
    return torch.lerp(before[-1].code, after[0].code, (time - before[-1].time) / span)


def _views(
    field: SurfaceField, cameras: ObjectCameras, codes: list[Tensor], settings: RenderSurface
) -> Iterator[SurfaceView]:
    for frame in track(range(settings.frames), "rendering", console=CONSOLE, transient=True):
        surface = show_field(field, codes[frame].to(cameras.intrinsics.device))
        yield render_view(surface, cameras, frame, settings.finer)
