"""The subcommands of `ins3d picture` that make fields: from what they are told to files."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio

from ins3d.files.fields import TRAINING
from ins3d.files.pictures import read_rgb, resize_long_side
from ins3d.perception.color_transfer import color_statistics
from ins3d.pictures.blending import PictureBlending
from ins3d.pictures.checkpoint import FieldSpec, PictureField, load_field, save_field
from ins3d.pictures.content import PictureContent
from ins3d.pictures.fitting import PictureSource, PictureStyling, WindowDraws, fit_picture
from ins3d.pictures.rendering import StrengthMap, render_picture
from ins3d.pictures.settings import Blend, Fit, Stylize
from ins3d.pictures.stylized import BlendedPicture, StylizedPicture
from ins3d.runs.objective import command_objective, torch_device
from ins3d.runs.record import CONSOLE, make_folder
from ins3d.runs.settings import check_settings
from ins3d.runs.training import Losses, Training
from ins3d.runs.training_folder import run_training
from ins3d.style.draws import StyleDraws
from ins3d.style.losses import GATYS_LAYERS
from ins3d.style.mix import StyleMix, make_mix
from ins3d.style.objective import StyleObjective

FIT_STEPS = {"planes": 500, "siren": 1500, "fourier": 1500}
SHALLOW_LAYERS = ("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1")
"""INR-st's `shallow_relu` (spec B)."""
LEAST_PSNR = 20.0
"""In dB. A fit that is further from the picture is another picture's."""


def run_fit(settings: Fit) -> None:
    """`fit`: a picture becomes a field of its own."""
    check_settings(settings)
    make_folder(settings.output)
    device = torch_device(settings.device)
    source = read_source(settings.content, settings.size, device)
    spec = FieldSpec("fit", settings.network, settings.size, settings.size, source.aspect)
    torch.manual_seed(settings.seed)
    field = spec.build().to(device)
    assert isinstance(field, PictureContent)
    steps = FIT_STEPS[settings.network] if settings.steps is None else settings.steps
    training, losses = fit_picture(field, source, steps, settings.points, settings.seed)
    train(settings, spec, training, losses, source, StyleMix((1.0,)))


def run_stylize(settings: Stylize) -> None:
    """`stylize`: fits the picture where that has not been done, and paints it."""
    check_settings(settings)
    device = torch_device(settings.device)
    source = read_source(settings.content, settings.size, device)
    scene = color_statistics(source.rgb.flatten(1).T) if settings.colors == "content" else None
    objective = command_objective(settings, GATYS_LAYERS, device, scene)
    windows = window_draws(settings, source, objective)
    names = tuple(style.name for style in objective.styles)
    mix = make_mix(settings.mix, settings.strength, names, "mix", "strength")
    make_folder(settings.output)
    content, content_spec, settings = fitted_content(settings, source, device)
    torch.manual_seed(settings.seed)
    field = StylizedPicture(content, len(names), settings.size, settings.colors).to(device)
    spec = FieldSpec(
        "stylize", content_spec.network, settings.size, content_spec.long_side, source.aspect, names, settings.colors
    )
    steps = settings.steps + settings.steps * (len(names) - 1) // 2
    training = Training(field, field.groups(), steps, settings.seed)
    draws = StyleDraws(len(names), range(len(names)), settings.seed, settings.strength_share, settings.mix_share)
    styling = PictureStyling(field, source, objective, windows, draws)
    styling.begin()
    picture = train(settings, spec, training, styling.losses, source, mix, styling.end, encoder=objective.features.source)
    shown = max(range(len(names)), key=lambda style: mix.weights[style])
    distances = [float(objective.gram_distance(each[None], shown)) for each in (source.rgb, picture.to(device))]
    CONSOLE.print(f"Gram distance to {names[shown]}: {distances[0]:.3f} -> {distances[1]:.3f}.")


def run_blend(settings: Blend) -> None:
    """`blend`: one network learns content and style, and all between."""
    check_settings(settings)
    if len(settings.styles) != 1:
        raise ValueError(f"styles: {len(settings.styles)} pictures were given; blend takes one, stylize takes several.")
    device = torch_device(settings.device)
    source = read_source(settings.content, settings.size, device)
    objective = command_objective(settings, SHALLOW_LAYERS, device)
    windows = window_draws(settings, source, objective)
    name = objective.styles[0].name
    mix = make_mix((), settings.strength, (name,), "mix", "strength")
    make_folder(settings.output)
    torch.manual_seed(settings.seed)
    spec = FieldSpec("blend", settings.network, settings.size, settings.size, source.aspect, (name,))
    field = spec.build().to(device)
    assert isinstance(field, BlendedPicture)
    groups = [{"params": list(field.parameters()), "lr": field.learning_rate}]
    training = Training(field, groups, settings.fit_steps + settings.steps, settings.seed)
    blending = PictureBlending(field, source, objective, windows, settings.fit_steps, settings.points, settings.fit_weight)
    blending.begin()
    train(settings, spec, training, blending.losses, source, mix, encoder=objective.features.source)


# ---- what they share


def read_source(path: Path, size: int, device: torch.device) -> PictureSource:
    """The picture to learn from, at the size asked for."""
    return PictureSource(resize_long_side(read_rgb(path, "content"), size).to(device))


def fitted_content(
    settings: Stylize, source: PictureSource, device: torch.device
) -> tuple[PictureContent, FieldSpec, Stylize]:
    """The fitted picture, from where it was told to be, or fitted now; --resume goes on with a fit that was stopped.

    And the settings: a run that was stopped while it fitted the picture has nothing else to resume.
    """
    painted = settings.output / TRAINING
    folder = settings.fit or settings.output / "fit"
    if settings.fit is None:
        resume = settings.resume and (folder / TRAINING).is_file()
        if settings.resume and not resume and not painted.is_file():
            raise FileNotFoundError(
                f"resume: there is no {TRAINING} in {settings.output}; leave out --resume, or name its output."
            )
        if not settings.resume:
            painted.unlink(missing_ok=True)
        CONSOLE.print(f"The picture is fitted first, into {folder}.", soft_wrap=True)
        run_fit(Fit(folder, settings.seed, settings.device, settings.content, settings.size, resume=resume))
        settings = replace(settings, resume=settings.resume and painted.is_file())
    content, spec = load_field(folder, "fit", device)
    if not isinstance(content, PictureContent):
        raise ValueError(f"fit: {folder} was made by {spec.kind}; give the output folder of fit, or leave it out.")
    alike = float(peak_signal_noise_ratio(_render(content, source, StyleMix((1.0,))), source.rgb.cpu(), data_range=1.0))
    if settings.fit is not None and alike < LEAST_PSNR:
        raise ValueError(
            f"fit: {folder} is {alike:.1f} dB from {settings.content}, less than {LEAST_PSNR:g}; give the folder of a fit "
            "of that picture, or leave it out."
        )
    return content, spec, settings


def window_draws(settings: Stylize | Blend, source: PictureSource, objective: StyleObjective) -> WindowDraws:
    """Where the steps look; refuses patches that are larger than the picture, or too small for the encoder."""
    height, width = source.rgb.shape[1:]
    extent = settings.patch * max(settings.strides)
    if extent > min(height, width):
        raise ValueError(
            f"patch: {settings.patch} places at stride {max(settings.strides)} cover {extent} pixels, and the picture has "
            f"{width}x{height}; use a smaller patch, smaller strides, or 0 for all of the picture."
        )
    least = objective.features.smallest_side * max(objective.view.scales)
    if (settings.patch or min(height, width)) < least:
        what = f"patch: {settings.patch} places are" if settings.patch else f"size: {width}x{height} pixels are"
        raise ValueError(
            f"{what} too few for the encoder's deepest layer, which needs {least} a side; use more, or style and content "
            "layers less deep."
        )
    coarse = int(settings.coarse_share * settings.steps) if min(height, width) >= 2 * least else 0
    return WindowDraws(source, settings.patch, settings.strides, coarse)


def train(
    settings: Fit | Stylize | Blend, spec: FieldSpec, training: Training, losses: Losses, source: PictureSource,
    mix: StyleMix, end: Callable[[], None] = lambda: None, **about: Any,
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


def _render(field: Any, source: PictureSource, mix: StyleMix) -> Tensor:
    return render_picture(field, source.whole, mix, StrengthMap(mix.strength), source.rgb.device)
