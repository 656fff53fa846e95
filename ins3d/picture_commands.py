"""The subcommands of fit_image.py that make and ask fields: from what they are told to files."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress, track
from torch import Tensor

from ins3d.color_transfer import color_statistics
from ins3d.image_files import read_rgb, resize_long_side, rgb_bytes
from ins3d.image_fitting import PictureBlending, PictureSource, PictureStyling, Training, WindowDraws, fit_picture, psnr_of
from ins3d.picture_checkpoint import FieldSpec, PictureField, load_field, load_training, read_spec, save_field, save_training
from ins3d.picture_content import PictureContent
from ins3d.picture_objective import picture_objective, torch_device
from ins3d.picture_record import CONSOLE, PictureRecord
from ins3d.picture_rendering import StrengthMap, render_picture, render_rows
from ins3d.picture_settings import Blend, Fit, Render, Stylize
from ins3d.picture_windows import PictureWindow, window_of_size
from ins3d.png_rows import PngRows
from ins3d.style_draws import StyleDraws
from ins3d.style_mix import StyleMix, make_mix, round_trip_codes
from ins3d.stylized_picture import BlendedPicture, StylizedPicture
from ins3d.video_files import VideoFile

TRAINING = "training.pt"
"""What --resume goes on from."""
FIT_STEPS = {"planes": 500, "siren": 1500, "fourier": 1500}
PREVIEWS = 10


def run_fit(settings: Fit) -> None:
    """`fit`: a picture becomes a field of its own."""
    device = torch_device(settings.device)
    source = read_source(settings.content, settings.size, device)
    spec = FieldSpec("fit", settings.network, settings.size, source.aspect)
    torch.manual_seed(settings.seed)
    field = spec.build().to(device)
    assert isinstance(field, PictureContent)
    steps = FIT_STEPS[settings.network] if settings.steps is None else settings.steps
    training, losses = fit_picture(field, source, steps, settings.points, settings.seed)
    picture = train(settings, spec, training, losses, source, StyleMix((1.0,)))
    error = ((picture - source.rgb.cpu()) ** 2).mean()
    CONSOLE.print(f"PSNR {float(psnr_of(error)):.2f} dB.")


def run_stylize(settings: Stylize) -> None:
    """`stylize`: fits the picture where that has not been done, and paints it."""
    device = torch_device(settings.device)
    source = read_source(settings.content, settings.size, device)
    objective = picture_objective(settings, color_statistics(source.rgb.flatten(1).T), device)
    names = tuple(style.name for style in objective.styles)
    mix = make_mix(settings.mix, settings.strength, names, "mix", "strength")
    content, content_spec = fitted_content(settings, source, device)
    torch.manual_seed(settings.seed)
    field = StylizedPicture(content, len(names), settings.size, settings.colors).to(device)
    spec = FieldSpec("stylize", content_spec.network, settings.size, source.aspect, names, settings.colors)
    steps = settings.steps + settings.steps * (len(names) - 1) // 2
    training = Training(field, field.groups(), steps, settings.seed)
    draws = StyleDraws(len(names), range(len(names)), settings.seed, settings.strength_share, settings.mix_share)
    styling = PictureStyling(field, source, objective, window_draws(settings, source), draws)
    styling.begin()
    picture = train(settings, spec, training, styling.losses, source, mix, styling.end, encoder=objective.features.source)
    shown = names.index(max(names, key=lambda name: mix.weights[names.index(name)]))
    distance = float(objective.gram_distance(picture[None].to(device), shown))
    before = float(objective.gram_distance(source.rgb[None], shown))
    CONSOLE.print(f"Gram distance to {names[shown]}: {before:.3f} -> {distance:.3f}.")


def run_blend(settings: Blend) -> None:
    """`blend`: one network learns content and style, and all between."""
    if len(settings.styles) != 1:
        raise ValueError(f"styles: {len(settings.styles)} pictures were given; blend takes one, stylize takes several.")
    device = torch_device(settings.device)
    source = read_source(settings.content, settings.size, device)
    objective = picture_objective(settings, color_statistics(source.rgb.flatten(1).T), device)
    mix = make_mix((), settings.strength, (objective.styles[0].name,), "mix", "strength")
    torch.manual_seed(settings.seed)
    spec = FieldSpec("blend", settings.network, settings.size, source.aspect, (objective.styles[0].name,))
    field = spec.build().to(device)
    assert isinstance(field, BlendedPicture)
    groups = [{"params": list(field.parameters()), "lr": field.learning_rate}]
    training = Training(field, groups, settings.fit_steps + settings.steps, settings.seed)
    blending = PictureBlending(
        field, source, objective, window_draws(settings, source), settings.fit_steps, settings.points, settings.fit_weight
    )
    blending.begin()
    train(settings, spec, training, blending.losses, source, mix, encoder=objective.features.source)


def run_render(settings: Render) -> None:
    """`render`: a picture or an animation of a field."""
    device = torch_device(settings.device)
    field, spec = load_field(settings.load, "load", device)
    mix = make_mix(settings.mix, settings.strength, spec.styles or ("content",), "mix", "strength")
    window = window_of_size(settings.size or spec.long_side, spec.aspect, settings.window)
    strengths = strength_map(settings)
    if settings.output.suffix.lower() == ".png":
        write_picture(settings.output, field, window, mix, strengths, device)
    elif settings.output.suffix.lower() in (".mp4", ".gif"):
        write_animation(settings, field, window, spec.styles, strengths, device)
    else:
        raise ValueError(f"output: {settings.output} is no .png, .mp4 or .gif; name the file to write.")
    CONSOLE.print(f"Wrote {settings.output}, {window.width}x{window.height}.", soft_wrap=True)


# ---- what they share


def read_source(path: Path, size: int, device: torch.device) -> PictureSource:
    """The picture to learn from, at the size asked for."""
    if size < 16:
        raise ValueError(f"size: {size} pixels are too few; use 16 or more.")
    return PictureSource(resize_long_side(read_rgb(path, "content"), size).to(device))


def fitted_content(settings: Stylize, source: PictureSource, device: torch.device) -> tuple[PictureContent, FieldSpec]:
    """The fitted picture, from where it was told to be, or fitted now; of an earlier run only with --resume."""
    folder = settings.fit or settings.output / "fit"
    if settings.fit is None and not (settings.resume and (folder / "field.json").is_file()):
        fit = Fit(output=folder, seed=settings.seed, device=settings.device, content=settings.content, size=settings.size)
        CONSOLE.print(f"The picture is fitted first, into {folder}.", soft_wrap=True)
        run_fit(fit)
    spec = read_spec(folder, "fit")
    if spec.kind != "fit" or abs(spec.aspect - source.aspect) > 0.05:
        what = f"was made by {spec.kind}" if spec.kind != "fit" else "is a picture of other proportions"
        raise ValueError(f"fit: {folder} {what}; give the output folder of fit for {settings.content}, or leave it out.")
    content, spec = load_field(folder, "fit", device)
    assert isinstance(content, PictureContent)
    return content, spec


def window_draws(settings: Stylize | Blend, source: PictureSource) -> WindowDraws:
    """Where the steps look; refuses patches that are larger than the picture."""
    height, width = source.rgb.shape[1:]
    least = settings.patch * max(settings.strides, default=0)
    if min(settings.strides, default=0) < 1:
        raise ValueError(f"strides: {' '.join(map(str, settings.strides)) or 'none'}; give whole numbers of 1 or more.")
    if settings.patch < 0 or least > min(height, width):
        raise ValueError(
            f"patch: {settings.patch} places at stride {max(settings.strides)} cover {least} pixels, and the picture has "
            f"{width}x{height}; use a smaller patch, smaller strides, or 0 for all of the picture."
        )
    return WindowDraws(source, settings.patch, settings.strides)


def train(
    settings: Fit | Stylize | Blend, spec: FieldSpec, training: Training, losses: Any, source: PictureSource, mix: StyleMix,
    end: Callable[[], None] = lambda: None, **about: Any,
) -> Tensor:  # fmt: skip
    """Runs or resumes, shows, writes; what it has reached is there whenever it is stopped."""
    output, field = settings.output, training.field
    if settings.resume:
        training.resume(load_training(output / TRAINING, asdict(settings)))
    ended = training.step == training.num_steps

    def keep() -> None:
        save_field(output, field, spec)
        save_training(output / TRAINING, training.state(), asdict(settings))

    def look() -> Tensor:
        keep()
        return render_picture(field, source.whole, mix, StrengthMap(mix.strength), source.rgb.device)

    every = max(training.num_steps // PREVIEWS, 1)
    record = PictureRecord(output, training.num_steps, every, training.step, settings=asdict(settings), **about)
    record.on_stop = lambda: record.end(look(), stopped=True)
    with record:
        training.run(losses, lambda step, values: record(step, values, look))
        if not ended:
            end()
        picture = look()
        record.end(picture)
    return picture


def strength_map(settings: Render) -> StrengthMap:
    """How strong where; refuses strengths outside 0 to 1."""
    wrong = [share for share in settings.bands if not 0 <= share <= 1]
    if wrong:
        raise ValueError(f"bands: {wrong[0]:g} is outside 0 (the content) to 1 (full style).")
    read = {
        name: None if path is None else read_rgb(path, name).mean(0)
        for name, path in (("strength-map", settings.strength_map), ("mask", settings.mask))
    }
    return StrengthMap(
        settings.strength, read["strength-map"], read["mask"], settings.gradation, settings.bands, settings.band_direction
    )


def write_picture(
    path: Path, field: PictureField, window: PictureWindow, mix: StyleMix, strengths: StrengthMap, device: torch.device
) -> None:
    """Row by row: memory does not grow with the picture."""
    bar = Progress(console=CONSOLE, transient=True)
    with PngRows(path, window.height, window.width) as file, bar:
        task = bar.add_task("rendering", total=window.height)
        for rows in render_rows(field, window, mix, strengths, device):
            file.add(rgb_bytes(rows))
            bar.advance(task, rows.shape[1])


def write_animation(
    settings: Render, field: PictureField, window: PictureWindow, styles: tuple[str, ...], strengths: StrengthMap,
    device: torch.device,
) -> None:  # fmt: skip
    """Through all styles and back; with one style, from the content to full strength and back."""
    if not styles:
        raise ValueError(f"load: {settings.load} holds a picture without a style, which does not move; write a .png.")
    if settings.frames < 2:
        raise ValueError(f"frames: {settings.frames} do not move; use 2 or more.")
    with VideoFile(settings.output, settings.fps) as file:
        for frame in track(range(settings.frames), "rendering", console=CONSOLE, transient=True):
            share = 1 - abs(2 * frame / settings.frames - 1) if len(styles) == 1 else 1.0
            mix = StyleMix(tuple(round_trip_codes(len(styles), settings.frames)[frame].tolist()))
            here = replace(strengths, strength=share * strengths.strength)
            file.add(render_picture(field, window, mix, here, device))
