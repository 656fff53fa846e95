"""A finished run becomes three videos: a walk through all styles, a sweep of strength, and all styles side by side."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from nerfstudio.cameras.cameras import Cameras
from torchvision.utils import make_grid

from ins3d.plugin.code_renders import render_codes
from ins3d.plugin.model import InsStylizeModel
from ins3d.plugin.previews import Picture, labelled_picture
from ins3d.style.mix import Mix, round_trip


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
        codes = torch.stack([here, strength * full, *torch.eye(len(names))])
        different, which = codes.unique(dim=0, return_inverse=True)
        renders = render_codes(model, path[index : index + 1], different)
        morph, swept, *styles = (renders.rgb[each] for each in which)
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
