"""Runs `ins3d picture gatys` and `texture`: reads the pictures, optimises pixels, writes the result and its record."""

from dataclasses import asdict

import torch
from torch import Tensor

from ins3d.extension.ranges import check_ranges
from ins3d.files.pictures import read_rgb
from ins3d.perception.features import PerceptualFeatures
from ins3d.pictures.pixel_optimization import gatys, texture
from ins3d.pictures.settings import Gatys, Pixels, Texture
from ins3d.runs.objective import command_encoder, torch_device
from ins3d.runs.record import PictureRecord, say
from ins3d.style.styles import find_styles

WRITE_EVERY = 25
"""Steps between two writings of the picture."""


def run_gatys(settings: Gatys) -> None:
    """`gatys`: reads both pictures, optimises."""
    check_ranges(settings)
    pixels = settings.pixel_settings()
    content, style = read_rgb(settings.content, "content", say=say), only_picture(settings)
    device = torch_device(settings.device)
    features = command_encoder(settings, pixels.all_layers, device)
    with pixel_record(settings, features) as record:
        record.end(gatys(content.to(device), style.to(device), features, pixels, record))


def run_texture(settings: Texture) -> None:
    """`texture`: reads the source, optimises noise."""
    check_ranges(settings)
    pixels = settings.pixel_settings(content_layers=())
    source = only_picture(settings)
    device = torch_device(settings.device)
    features = command_encoder(settings, pixels.all_layers, device)
    with pixel_record(settings, features) as record:
        record.end(texture(source.to(device), features, pixels, settings.height, settings.width, record))


def only_picture(settings: Pixels) -> Tensor:
    """The style picture; pixels take one, without a mask."""
    styles = find_styles(settings.styles)
    pictures = [picture for style in styles for picture in style.read("styles")]
    if len(pictures) != 1 or pictures[0][1] is not None:
        raise ValueError(
            f"styles: {len(pictures)} pictures or a mask were given; pixels take one, stylize takes several, and masks."
        )
    return pictures[0][0]


def pixel_record(settings: Pixels, features: PerceptualFeatures) -> PictureRecord:
    """The record of an optimisation of pixels."""
    about = {"settings": asdict(settings), "encoder": features.source, "precision": str(features.precision)}
    return PictureRecord(settings.output, settings.steps, WRITE_EVERY, **about, threads=torch.get_num_threads())
