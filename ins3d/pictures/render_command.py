"""Runs `ins3d picture render`: a picture or an animation of a field, written to a file."""

from dataclasses import replace
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import torch
from rich.progress import Progress

from ins3d.extension.ranges import check_ranges
from ins3d.files.pictures import read_rgb, rgb_bytes
from ins3d.files.videos import open_video
from ins3d.files.whole import replace_file
from ins3d.pictures.checkpoint import FieldSpec, PictureField, load_field
from ins3d.pictures.rendering import StrengthMap, render_picture, render_rows
from ins3d.pictures.settings import Render
from ins3d.pictures.windows import PictureWindow, window_of_size
from ins3d.runs.objective import torch_device
from ins3d.runs.record import CONSOLE, make_folder, progress
from ins3d.style.mix import Mix, MixPath, round_trip

STYLE_ONLY = ("mix", "strength", "keyframes", "mask", "strength_map", "gradation", "bands")
MOVING = (".mp4", ".gif")


def run_render(settings: Render) -> None:
    """`render`: a picture or an animation of a field."""
    check_ranges(settings)
    device, strengths = torch_device(settings.device), strength_map(settings)
    field, spec = load_field(settings.load, "load", device)
    moving = check_render(settings, spec)
    mixes = film_mixes(settings, spec.styles) if moving else [settings.mix_of(spec.styles or ("content",))]
    size = spec.size if settings.size is None else settings.size
    window = window_of_size(size, spec.aspect, settings.window)
    make_folder(settings.output.parent)
    if moving and min(window.height, window.width) < 2:
        raise ValueError(f"size: a film of {window.width}x{window.height} pixels is none; use a larger size or window.")
    if moving:
        write_animation(settings, field, window, mixes, strengths)
    else:
        write_picture(settings.output, field, window, mixes[0], strengths)
    CONSOLE.print(f"Wrote {settings.output}, {window.width}x{window.height}.", soft_wrap=True)


def check_render(settings: Render, spec: FieldSpec) -> bool:
    """Whether it is an animation; refuses what cannot be written, and settings that would be without effect."""
    suffix = settings.output.suffix.lower()
    if suffix not in (".png", *MOVING):
        raise ValueError(f"output: {settings.output} is no .png, .mp4 or .gif; name the file to write.")
    if spec.kind == "fit":
        said = [name for name in STYLE_ONLY if getattr(settings, name) != getattr(Render(), name)]
        if said:
            raise ValueError(
                f"{said[0].replace('_', '-')}: {settings.load} holds a picture without a style, of which there is no more "
                "or less; name the output of stylize or blend."
            )
        if suffix in MOVING:
            raise ValueError(f"load: {settings.load} holds a picture without a style, which does not move; write a .png.")
    if settings.keyframes and suffix not in MOVING:
        raise ValueError("keyframes: a .png shows one mix; write an .mp4 or .gif, or give mix and strength instead.")
    if suffix in MOVING and len(spec.styles) > 1 and settings.mix and not settings.keyframes:
        raise ValueError(
            f"mix: an animation goes through all {len(spec.styles)} styles; leave it out, give keyframes, or write a .png."
        )
    return suffix in MOVING


def strength_map(settings: Render) -> StrengthMap:
    """How strong where. What is transparent in a mask or map is not painted."""
    read = {
        name: None if path is None else read_rgb(path, name, behind=0.0).mean(0)
        for name, path in (("strength-map", settings.strength_map), ("mask", settings.mask))
    }
    return StrengthMap(
        settings.strength, read["strength-map"], read["mask"], settings.gradation, settings.bands, settings.band_direction
    )


def write_picture(path: Path, field: PictureField, window: PictureWindow, mix: Mix, strengths: StrengthMap) -> None:
    """Row by row, kept in 8 bits: 8192 x 8192 pixels take 330 MB more than 1024 x 1024 do."""
    pixels, top = np.empty((window.height, window.width, 3), np.uint8), 0
    with Progress(console=CONSOLE, transient=True) as bar:
        task = bar.add_task("rendering", total=window.height)
        for rows in render_rows(field, window, mix, strengths):
            pixels[top : top + rows.shape[1]] = rgb_bytes(rows)
            top += rows.shape[1]
            bar.update(task, completed=top)
    replace_file(path, lambda aside: imageio.imwrite(aside, pixels))


def write_animation(
    settings: Render, field: PictureField, window: PictureWindow, mixes: list[Mix], strengths: StrengthMap
) -> None:
    """A mix for each frame; its strength is one more factor of the strength map."""
    with open_video(settings.output, settings.fps) as add:
        for mix in progress(mixes, "rendering"):
            here = replace(strengths, strength=mix.strength * strengths.strength)
            add(render_picture(field, window, mix, here))


def film_mixes(settings: Render, styles: tuple[str, ...]) -> list[Mix]:
    """One for each frame: along the keyframes; else a loop, whose last frame comes before its first."""
    path = settings.path_of(styles, otherwise=_loop(len(styles)))
    last = settings.frames - 1 if settings.keyframes else settings.frames
    return [Mix.of_code(path.code(frame / last)) for frame in range(settings.frames)]


def _loop(num_styles: int) -> MixPath:
    """Through all styles and back; with one style, from the content to full strength and back."""
    return MixPath((0.0, 0.5, 1.0), torch.tensor([[0.0], [1.0], [0.0]])) if num_styles == 1 else round_trip(num_styles)
