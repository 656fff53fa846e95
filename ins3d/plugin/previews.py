"""The picture that a training ends with: photograph, painting, painted view and depth beside each other, with words."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from nerfstudio.utils.colormaps import ColormapOptions, apply_depth_colormap
from PIL import Image, ImageDraw, ImageFont, ImageOps
from torch import Tensor
from torchvision.transforms.functional import resize
from torchvision.utils import make_grid

from ins3d.files.pictures import rgb_bytes
from ins3d.plugin.code_renders import CodeRenders, render_codes
from ins3d.plugin.rays.picture_store import over_background
from ins3d.style.styles import find_styles

Picture = Float[Tensor, "3 _ _"]

MAX_PIXELS = 500_000
"""Of each picture, at most: they are there to be looked at, and take as long as a film's frame."""
COLUMNS = 4
NEAREST, FURTHEST = 0.02, 0.98
"""Shares of a view's pixels that have the ends of the depth's colours."""


def preview(pipeline: Any) -> Picture:
    """Of an `InsStylizePipeline` in evaluation mode: a held-out photograph, its view in every style with the painting before
    it, and its depth; without a style stage the content in the styles' place.
    """
    dataset = pipeline.datamanager.eval_dataset
    index = len(dataset) // 2
    camera = dataset.cameras[index : index + 1]
    camera.rescale_output_resolution(min(1.0, (MAX_PIXELS / float(camera.height * camera.width)) ** 0.5))
    renders = render_codes(pipeline.model, camera, torch.eye(len(pipeline.style.names)))
    size = list(renders.content_rgb.shape[1:])
    photograph = over_background(dataset.get_data(index)["image"], pipeline.model.background.cpu())
    first, *others = _painted(pipeline, renders)
    photograph, depth = resize(photograph.permute(2, 0, 1), size), _depth(renders)
    tiles = [("photograph", photograph), *first, ("depth", depth), *(tile for pair in others for tile in pair)]
    return make_grid([labelled_picture(picture.cpu(), word) for word, picture in tiles], nrow=COLUMNS, padding=0)


def _painted(pipeline: Any, renders: CodeRenders) -> Iterator[list[tuple[str, Picture]]]:
    """For each style what it is called, or says, and shows: its (first) painting, and the view."""
    if not pipeline.model.has_style:
        yield [("content", renders.content_rgb)]
        return
    height, width = renders.content_rgb.shape[1:]
    styles = find_styles(pipeline.config.model.styles)
    for style, rgb in zip(styles, renders.rgb, strict=True):
        painting = Image.fromarray(rgb_bytes(style.read("styles")[0][0]))
        name = style.name if len(styles) > 1 else "painting"
        yield [(name, _picture(ImageOps.pad(painting, (width, height), color="white"))), ("painted", rgb)]


def _depth(renders: CodeRenders) -> Picture:
    """Of the first style's view: near is light, as in pictures of objects."""
    depth, opacity = (values[0].permute(1, 2, 0) for values in (renders.depth, renders.opacity))
    near, far = (float(depth.quantile(share)) for share in (NEAREST, FURTHEST))
    return apply_depth_colormap(depth, opacity, near, far, ColormapOptions("magma", invert=True)).permute(2, 0, 1)


def labelled_picture(picture: Picture, text: str) -> Picture:
    """Words at the lower left, small against the picture, smaller where they would not fit."""
    image, text = Image.fromarray(rgb_bytes(picture)), text.replace("_", " ")
    size = max(10, picture.shape[1] // 22)
    room = (picture.shape[2] - size) / ImageFont.load_default(size).getlength(text)
    size = max(6, int(size * min(room, 1)))
    font = ImageFont.load_default(size)
    place = (size // 2, picture.shape[1] - size * 7 // 4)
    ImageDraw.Draw(image).text(place, text, fill="white", font=font, stroke_width=max(1, size // 12), stroke_fill="black")
    return _picture(image).to(picture)


def _picture(image: Image.Image) -> Picture:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255
