"""The subcommands of `ins3d picture` that optimise pixels: from what they are told to files."""

from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from ins3d.files.pictures import read_rgb
from ins3d.perception.features import PerceptualFeatures
from ins3d.pictures.pixel_optimization import gatys, texture
from ins3d.pictures.settings import Gatys, Pixels, Texture
from ins3d.runs.objective import command_encoder, torch_device
from ins3d.runs.record import PictureRecord

WRITE_EVERY = 25
"""Steps between two writings of the picture."""


def run_gatys(settings: Gatys) -> None:
    """`gatys`: reads both pictures, optimises."""
    content, style = read_rgb(settings.content, "content"), read_rgb(only_style(settings), "styles")
    pixels = settings.pixel_settings(
        content_weight=settings.content_weight,
        content_layers=settings.content_layers,
        colors=settings.colors,
        scales=settings.scales,
    )
    device = torch_device(settings.device)
    features = command_encoder(settings, pixels.all_layers, device)
    with PixelRecord(settings, features) as record:
        record.end(gatys(content.to(device), style.to(device), features, pixels, record))


def run_texture(settings: Texture) -> None:
    """`texture`: reads the source, optimises noise."""
    source = read_rgb(only_style(settings), "styles")
    pixels = settings.pixel_settings(content_layers=(), scales=settings.scales)
    device = torch_device(settings.device)
    features = command_encoder(settings, pixels.all_layers, device)
    with PixelRecord(settings, features) as record:
        record.end(texture(source.to(device), features, pixels, settings.height, settings.width, record))


def only_style(settings: Pixels) -> Path:
    """The style picture, where one network per picture cannot be: pixels take one style."""
    if len(settings.styles) != 1:
        raise ValueError(f"styles: {len(settings.styles)} pictures were given; pixels take one, stylize takes several.")
    return settings.styles[0]


class PixelRecord(PictureRecord):
    """A report for the optimiser of pixels, which keeps its best picture so far."""

    def __init__(self, settings: Pixels, features: PerceptualFeatures) -> None:
        about = {"settings": asdict(settings), "encoder": features.source, "precision": str(features.precision)}
        super().__init__(settings.output, settings.steps, WRITE_EVERY, **about, threads=torch.get_num_threads())

    def __call__(self, step: int, losses: dict[str, float], picture) -> None:
        """See `PictureRecord`; when it is stopped by hand, what was reached is written."""

        def stop() -> None:
            reached: Tensor = picture()
            self.end(reached)

        self.on_stop = stop
        super().__call__(step, losses, picture)
