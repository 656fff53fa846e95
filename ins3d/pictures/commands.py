"""Runs `ins3d picture fit`, `stylize` and `blend`: reads the pictures, trains a field, writes its folder."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio

from ins3d.extension.ranges import check_ranges
from ins3d.files.fields import TRAINING
from ins3d.files.pictures import read_rgb, resize_long_side
from ins3d.perception.color_transfer import color_statistics
from ins3d.pictures.blending import PictureBlending
from ins3d.pictures.checkpoint import FieldSpec, PictureField, load_field, save_field
from ins3d.pictures.content import PictureContent
from ins3d.pictures.fitting import PictureSource, PictureSubject, WindowSampler, fit_picture
from ins3d.pictures.rendering import StrengthMap, render_picture
from ins3d.pictures.settings import Blend, Fit, PaintedPicture, Stylize
from ins3d.pictures.stylized import BlendedPicture, StylizedPicture
from ins3d.runs.objective import command_objective, torch_device
from ins3d.runs.record import CONSOLE, make_folder
from ins3d.runs.training import Losses, Training
from ins3d.runs.training_folder import fit_first, is_finished, paint, run_training
from ins3d.style.mix import Mix
from ins3d.style.objective import StyleObjective
from ins3d.style.targets import refuse_small
from ins3d.style.windows import PatchSettings, plan_windows

FIT_POINTS = 16384
"""Places asked in each step of a fit."""
LEAST_PSNR = 20.0
"""In dB. A fit that is further from the picture is another picture's."""


def run_fit(settings: Fit) -> None:
    """`fit`: fits a network to a picture."""
    check_ranges(settings)
    make_folder(settings.output)
    device = torch_device(settings.device)
    source = read_source(settings.content, settings.size, device)
    spec = FieldSpec("fit", settings.network, settings.size, settings.size, source.aspect)
    torch.manual_seed(settings.seed)
    field = spec.build().to(device)
    assert isinstance(field, PictureContent)
    steps = field.fit_steps if settings.steps is None else settings.steps
    training, losses = fit_picture(field, source, steps, FIT_POINTS, settings.seed)
    train(settings, spec, training, losses, source, Mix((1.0,)))


def run_stylize(settings: Stylize) -> None:
    """`stylize`: fits the picture where that has not been done, and paints it."""
    settings, source, objective, windows = prepared(settings)
    names = tuple(style.name for style in objective.styles)
    mix = settings.mix_of(names)
    make_folder(settings.output)
    content, content_spec, settings = fitted_content(settings, source)
    torch.manual_seed(settings.seed)
    field = StylizedPicture(content, len(names), settings.size, settings.colors).to(source.rgb.device)
    spec = FieldSpec(
        "stylize", content_spec.network, settings.size, content_spec.long_side, source.aspect, names, settings.colors
    )
    subject = PictureSubject(field, source, windows)
    paint(settings, field, subject, objective, mix, partial(train, settings, spec, source=source, mix=mix))


def run_blend(settings: Blend) -> None:
    """`blend`: one network learns content and style, and all between."""
    if settings.colors == "style":
        raise ValueError("colors: a blend has no colour map; use none, or content, or stylize.")
    settings, source, objective, windows = prepared(settings)
    if len(objective.styles) != 1:
        raise ValueError(f"styles: {len(objective.styles)} were given; blend takes one, stylize takes several.")
    name = objective.styles[0].name
    mix = settings.mix_of((name,))
    make_folder(settings.output)
    torch.manual_seed(settings.seed)
    spec = FieldSpec("blend", settings.network, settings.size, settings.size, source.aspect, (name,))
    field = spec.build().to(source.rgb.device)
    assert isinstance(field, BlendedPicture)
    groups = [{"params": list(field.parameters()), "lr": field.learning_rate}]
    training = Training(field, groups, settings.fit_steps + settings.steps, settings.seed)
    blending = PictureBlending(field, source, objective, windows, settings.fit_steps)
    blending.begin()
    train(settings, spec, training, blending.losses, source, mix, encoder=objective.features.source)


# ---- what they share


def read_source(path: Path, size: int, device: torch.device) -> PictureSource:
    """The picture to learn from, at the size asked for."""
    return PictureSource(resize_long_side(read_rgb(path, "content"), size).to(device))


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


Painting = TypeVar("Painting", bound=PaintedPicture)


def prepared(settings: Painting) -> tuple[Painting, PictureSource, StyleObjective, WindowSampler]:
    """Settings that are checked, the picture, the losses, and where the steps look."""
    check_ranges(settings)
    device = torch_device(settings.device)
    source = read_source(settings.content, settings.size, device)
    if not settings.patches.size and (settings.patches.strides or settings.patches.rule != PatchSettings.rule):
        raise ValueError("patches.strides and .rule: all of the picture is seen in every step; give a patches.size as well.")
    plan = plan_windows(source.rgb.shape[1:], 0, settings.patches) if settings.patches.size else None  # type: ignore[arg-type]
    objective = command_objective(settings, device, color_statistics(source.rgb.flatten(1).T), settings.size)
    height, width = source.rgb.shape[1:]
    seen = settings.patches.size or min(height, width)
    what = f"patches.size: {seen} places are" if plan else f"size: {width}x{height} pixels are"
    least = refuse_small(what, seen, objective.features, settings.style_scales, "use more")
    coarse = settings.steps // 2 if min(height, width) >= 2 * least else 0
    return settings, source, objective, WindowSampler(source, plan, coarse)


def train(
    settings: Fit | Stylize | Blend, spec: FieldSpec, training: Training, losses: Losses, source: PictureSource,
    mix: Mix, end: Callable[[], None] = lambda: None, **about: Any,
) -> Tensor:  # fmt: skip
    """Runs or resumes the training of a picture's field, and says how near to its source the picture came."""
    field = cast(PictureField, training.field)

    def measure(picture: Tensor) -> dict[str, Any]:
        apart = float(peak_signal_noise_ratio(picture, source.rgb.cpu(), data_range=1.0))
        if spec.kind == "fit":
            CONSOLE.print(f"PSNR {apart:.2f} dB.")
        return {"psnr": apart}

    return run_training(
        settings, training, losses,
        save=lambda: save_field(settings.output, field, spec), show=lambda: _render(field, source, mix),
        begun_with={"styles": spec.styles}, end=end, measure=measure, **about,
    )  # fmt: skip


def _render(field: Any, source: PictureSource, mix: Mix) -> Tensor:
    return render_picture(field, source.whole, mix, StrengthMap(mix.strength))
