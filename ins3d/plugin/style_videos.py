"""A finished run becomes three videos: a walk through all styles, a sweep of strength, and all styles side by side."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.utils import make_grid

from ins3d.files.pictures import rgb_bytes
from ins3d.plugin.code_renders import render_codes
from ins3d.plugin.model import InsStylizeModel
from ins3d.style.mix import Mix, round_trip

Picture = Float[Tensor, "3 _ _"]


@dataclass
class StyleFrame:
    """What one place of the camera path adds to each video."""

    morph: Picture
    strength: Picture
    grid: Picture


def style_frames(model: InsStylizeModel, path: Cameras, mix: Mix) -> Iterator[StyleFrame]:
    """The camera goes along `path` once while the styles come round once, and the strength of `mix` rises and falls once."""
    names = model.controls.names
    trip = round_trip(len(names))
    full = Mix(mix.weights).code()
    for index in range(len(path)):
        strength = 1 - abs(2 * index / len(path) - 1)
        here = trip.code(index / len(path))
        codes = [here, strength * full, *torch.eye(len(names))]
        renders = render_codes(model, path[index : index + 1], codes)
        morph, swept, *styles = renders.rgb
        labelled = [
            labelled_picture(*pair) for pair in zip([renders.content_rgb, *styles], ["content", *names], strict=True)
        ]
        yield StyleFrame(
            labelled_picture(morph, Mix(tuple(here.tolist())).describe(names).rsplit(", ", 1)[0]),
            labelled_picture(swept, f"strength {strength:.2f}"),
            make_grid(torch.stack(labelled), nrow=columns_of(len(labelled)), padding=0),
        )


def columns_of(number: int) -> int:
    """Of a grid that is about as wide as high.

    >>> [columns_of(number) for number in (2, 3, 4, 5, 9)]
    [2, 3, 2, 3, 3]
    """
    return number if number <= 3 else int(np.ceil(number**0.5))


def labelled_picture(picture: Picture, text: str) -> Picture:
    """Words at the lower left, small against the picture, smaller where they would not fit."""
    image, text = Image.fromarray(rgb_bytes(picture)), text.replace("_", " ")
    size = max(10, picture.shape[1] // 22)
    room = (picture.shape[2] - size) / ImageFont.load_default(size).getlength(text)
    size = max(6, int(size * min(room, 1)))
    font = ImageFont.load_default(size)
    place = (size // 2, picture.shape[1] - size * 7 // 4)
    ImageDraw.Draw(image).text(place, text, fill="white", font=font, stroke_width=max(1, size // 12), stroke_fill="black")
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).to(picture) / 255
