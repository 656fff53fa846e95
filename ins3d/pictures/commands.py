"""Runs `ins3d picture fit`, `stylize` and `blend`: reads the pictures, trains a field, writes its folder."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio

from ins3d.extension.ranges import check_ranges
from ins3d.files.fields import TRAINING
from ins3d.files.pictures import read_rgb, resize_long_side
from ins3d.perception.color_transfer import color_statistics
from ins3d.pictures.blending import PictureBlending
from ins3d.pictures.checkpoint import FieldSpec, PictureField, load_field, save_field
from ins3d.pictures.content import PICTURE_NETWORKS, PictureContent
from ins3d.pictures.fitting import PictureSource, fit_picture
from ins3d.pictures.painting import Look, SizedStages, WindowSampler, windows_of
from ins3d.pictures.rendering import StrengthMap, render_picture
from ins3d.pictures.settings import Blend, Fit, PaintedPicture, Stylize
from ins3d.pictures.sizes import COARSEST_SIDE, Sizes, plan_sizes, sides
from ins3d.pictures.stylized import BlendedPicture, StylizedPicture
from ins3d.pictures.windows import window_of_size
from ins3d.runs.objective import command_objective, torch_device
from ins3d.runs.record import CONSOLE, make_folder, say
from ins3d.runs.training import Losses, Training
from ins3d.runs.training_folder import fit_first, is_finished, paint_with, run_training
from ins3d.style.mix import Mix
from ins3d.style.objective import StyleObjective
from ins3d.style.settings import SMALLEST_STYLE
from ins3d.style.styles import find_styles
from ins3d.style.targets import refuse_small, style_target
from ins3d.style.windows import PatchSettings

FIT_POINTS = 16384
"""Places asked in each step of a fit."""
PAINTED_RATE = 0.3
"""To which share learning rates fall while a picture is painted: the finest planes join in late, and have far to go."""
LEAST_PSNR = 20.0
"""In dB. A fit that is further from the picture is another picture's."""


def run_fit(settings: Fit) -> None:
    """`fit`: fits a network to a picture."""
    check_ranges(settings)
    make_folder(settings.output)
    device = torch_device(settings.device)
    source, written = read_source(settings.content, settings.size, device)
    coarse = PICTURE_NETWORKS.find(settings.network, "network").knows_pixels
    side = source.long_side
    spec = FieldSpec("fit", settings.network, side, side, source.aspect, written=written, content_coarse=coarse)
    torch.manual_seed(settings.seed)
    field = spec.build().to(device)
    assert isinstance(field, PictureContent)
    steps = field.fit_steps if settings.steps is None else settings.steps
    training, losses = fit_picture(field, source, steps, FIT_POINTS, settings.seed)
    train(settings, spec, training, losses, source, Mix((1.0,)))


def run_stylize(settings: Stylize) -> None:
    """`stylize`: fits the picture where that has not been done, and paints it."""
    sizes, looks, written = prepared(settings)
    source, objective = looks[-1].source, looks[-1].objective
    names = tuple(style.name for style in objective.styles)
    mix = settings.mix_of(names)
    make_folder(settings.output)
    content, fitted, settings = fitted_content(settings, source)
    torch.manual_seed(settings.seed)
    spec = replace(
        fitted, kind="stylize", long_side=source.long_side, aspect=source.aspect, styles=names, colors=settings.colors,
        written=written, coarse=True,
    )  # fmt: skip
    field = StylizedPicture(content, len(names), spec.long_side, settings.colors).to(source.rgb.device)
    paint_with(
        settings, field, lambda mixes, steps: SizedStages(field, looks, sizes, mixes, steps), objective, mix,
        partial(train, settings, spec, source=source, mix=mix), PAINTED_RATE,
    )  # fmt: skip


def run_blend(settings: Blend) -> None:
    """`blend`: one network learns content and style, and all between."""
    if settings.colors == "style":
        raise ValueError("colors: a blend has no colour map; use none, or content, or stylize.")
    sizes, looks, written = prepared(settings)
    source, objective = looks[-1].source, looks[-1].objective
    if len(objective.styles) != 1:
        raise ValueError(f"styles: {len(objective.styles)} were given; blend takes one, stylize takes several.")
    name = objective.styles[0].name
    mix = settings.mix_of((name,))
    make_folder(settings.output)
    torch.manual_seed(settings.seed)
    side, coarse = source.long_side, settings.network == "planes"
    spec = FieldSpec("blend", settings.network, side, side, source.aspect, (name,), written=written, coarse=coarse)
    field = spec.build().to(source.rgb.device)
    assert isinstance(field, BlendedPicture)
    groups = [{"params": list(field.parameters()), "lr": field.learning_rate}]
    training = Training(field, groups, settings.fit_steps + settings.steps, settings.seed)
    blending = PictureBlending(field, looks, sizes, settings.fit_steps, settings.steps)
    blending.begin()
    train(settings, spec, training, blending.losses, source, mix, encoder=objective.features.source)


# ---- what they share


def read_source(path: Path, size: int | None, device: torch.device) -> tuple[PictureSource, int]:
    """The picture at the size at which it is learned, and the long side at which it is written (`pictures.sizes`)."""
    rgb = read_rgb(path, "content", say=say)
    learned, written = sides(max(rgb.shape[1:]), size)
    return PictureSource(resize_long_side(rgb, learned).to(device), rgb.shape[2] / rgb.shape[1]), written


def fitted_content(settings: Stylize, source: PictureSource) -> tuple[PictureContent, FieldSpec, Stylize]:
    """The fitted picture, which is fitted now unless it was named or a painting of it is resumed; see `fit_first`."""

    def is_fitted(folder: Path) -> bool:
        return settings.resume and (settings.output / TRAINING).is_file() and is_finished(folder)

    def fit(**told: Any) -> None:
        run_fit(Fit(content=settings.content, size=settings.size, **told))

    folder, settings = fit_first(settings, settings.fit, "picture", is_fitted, fit)
    content, spec = load_field(folder, "fit", source.rgb.device)
    if not isinstance(content, PictureContent):
        raise ValueError(f"fit: {folder} was made by {spec.kind}; give the output folder of fit, or leave it out.")
    alike = float(peak_signal_noise_ratio(_render(content, source, Mix((1.0,))), source.rgb.cpu(), data_range=1.0))
    if settings.fit is not None and alike < LEAST_PSNR:
        raise ValueError(
            f"fit: {folder} is {alike:.1f} dB from {settings.content}, less than {LEAST_PSNR:g}; give the folder of a fit "
            "of that picture, or leave it out."
        )
    return content, spec, settings


def prepared(settings: PaintedPicture) -> tuple[Sizes, list[Look], int]:
    """At which sizes a picture is painted, what is seen there, and the long side at which it is written."""
    check_ranges(settings)
    device = torch_device(settings.device)
    source, written = read_source(settings.content, settings.size, device)
    patches = settings.patches
    if not patches.size and (patches.strides or patches.rule != PatchSettings.rule):
        raise ValueError("patches.strides and .rule: windows are as large as the machine says; give a patches.size as well.")
    windows = windows_of(source, patches)
    scene = color_statistics(source.rgb.flatten(1).T)
    objective = command_objective(settings, device, scene, source.long_side)
    sizes = plan_sizes(source.long_side, coarsest_side(settings, source, windows, objective))
    looks = []
    for side in sizes.long_sides[:-1]:
        small = source.reduced(side)
        looks.append(Look(small, windows_of(small, patches, finest=False), objective_at(side, settings, objective, source)))
    sizes.refuse_few(settings.steps)
    told = ", ".join(map(str, sizes.long_sides))
    height, width = source.rgb.shape[1:]
    CONSOLE.print(f"Learned at {told} pixels ({width}x{height} at last), written at {written}.", soft_wrap=True)
    return sizes, [*looks, Look(source, windows, objective)], written


def coarsest_side(settings: PaintedPicture, source: PictureSource, windows: WindowSampler, objective: StyleObjective) -> int:
    """Long side in pixels below which the encoder, or the share of it that strokes are, leaves nothing to be learned.

    Raises ValueError where the picture itself is too small for the encoder.
    """
    height, width = source.rgb.shape[1:]
    seen = windows.plan.patch if windows.plan else min(height, width)
    what = f"patches.size: {seen} places are" if windows.plan else f"size: {width}x{height} pixels are"
    least = refuse_small(what, seen, objective.features, settings.style_scales, "use more")
    thinnest = min(min(rgb.shape[1:]) for style in objective.styles for rgb, _ in style.pictures)
    shares = (2 * min(height, width) / least, 2 * thinnest / least, objective.view.long_side / SMALLEST_STYLE)
    return max(COARSEST_SIDE, math.ceil(source.long_side / min(shares)))


def objective_at(side: int, settings: PaintedPicture, finest: StyleObjective, source: PictureSource) -> StyleObjective:
    """The losses of the picture at a smaller size: the style pictures shrink with it."""
    device, colors = source.rgb.device, color_statistics(source.rgb.flatten(1).T)
    view = replace(finest.view, long_side=round(finest.view.long_side * side / source.long_side))
    recolored_to = colors if settings.colors == "content" else None
    targets = [style_target(style, finest.features, view, device, recolored_to) for style in find_styles(settings.styles)]
    return replace(finest, styles=targets, view=view)


def train(
    settings: Fit | Stylize | Blend, spec: FieldSpec, training: Training, losses: Losses, source: PictureSource,
    mix: Mix, end: Callable[[], None] = lambda: None, **about: Any,
) -> Tensor:  # fmt: skip
    """Runs or resumes the training of a picture's field, and says how near to its source the picture came."""
    field = cast(PictureField, training.field)

    def measure(picture: Tensor) -> dict[str, Any]:
        learned = resize_long_side(picture, source.long_side)
        apart = float(peak_signal_noise_ratio(learned, source.rgb.cpu(), data_range=1.0))
        if spec.kind == "fit":
            CONSOLE.print(f"PSNR {apart:.2f} dB.")
        return {"psnr": apart}

    return run_training(
        settings, training, losses,
        save=lambda: save_field(settings.output, field, spec), show=lambda: _render(field, source, mix),
        show_last=lambda: render_picture(field, window_of_size(spec.size, spec.aspect), mix, StrengthMap(mix.strength)),
        begun_with={"styles": spec.styles}, end=end, measure=measure, **about,
    )  # fmt: skip


def _render(field: Any, source: PictureSource, mix: Mix) -> Tensor:
    return render_picture(field, source.whole, mix, StrengthMap(mix.strength))
