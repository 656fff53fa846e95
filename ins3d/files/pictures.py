"""Reads and writes pictures: RGB in [0, 1], channels first."""

from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor

MIN_SIDE = 16
"""Below this no perceptual layer deeper than the third block has a value to compare."""
MAX_PIXELS = 50_000_000
"""Above this the floats of a picture alone fill a gigabyte, and no style picture is looked at in a fiftieth of that."""


def read_rgb(path: Path, setting: str, behind: float = 1.0) -> Float[Tensor, "3 height width"]:
    """Reads a picture as `read_picture` does; what is transparent shows what is `behind`, else white."""
    values = read_picture(path, setting)
    if min(values.shape[1:]) < MIN_SIDE:
        height, width = values.shape[1:]
        raise ValueError(
            f"{setting}: {path} is {width}x{height} pixels; use a picture of at least {MIN_SIDE} pixels a side."
        )
    alpha = values[3:] if len(values) == 4 else torch.ones(())
    return values[:3] * alpha + behind * (1 - alpha)


def read_picture(path: Path, setting: str) -> Float[Tensor, "channels height width"]:
    """Reads a picture of 8 or 16 bits, grey or coloured: RGB in [0, 1], and how opaque it is where the file says so.

    `setting` is the option that the path came from: errors name it. Of an animation the first frame is read.
    """
    if not path.is_file():
        what = "is a folder, not a picture" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"{setting}: {path} {what}; give the path of a picture (png, jpg, webp, tiff).")
    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            values = _to_channels(picture)
    except Image.DecompressionBombError as error:
        raise ValueError(
            f"{setting}: {path} has more than {MAX_PIXELS:,} pixels; shrink it to a long side of 4000 or so."
        ) from error
    except (OSError, ValueError, SyntaxError) as error:  # decoders raise any of these
        raise ValueError(f"{setting}: {path} is not a picture that can be read; save it as png or jpg.") from error
    if not bool(((values >= 0) & (values <= 1)).all()):
        raise ValueError(f"{setting}: {path} holds numbers outside 0 to 1; save it with 8 or 16 bits, as png or jpg.")
    return values


def _to_channels(picture: Image.Image) -> Tensor:
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith(("I", "F")):
        # Pillow would clip 16-bit grey to 8 bits; everything else it converts well: palettes, inks, transparency.
        pixels = np.asarray(picture).astype(np.float32)
        return torch.from_numpy(pixels / (1.0 if picture.mode == "F" else 65535.0)).expand(3, -1, -1).contiguous()
    channels = "RGBA" if picture.has_transparency_data else "RGB"
    return torch.from_numpy(np.array(picture.convert(channels))).permute(2, 0, 1).float() / 255


def resize_long_side(rgb: Float[Tensor, "3 height width"], long_side: int) -> Float[Tensor, "3 new_height new_width"]:
    """Bilinear with antialiasing, aspect kept. Differs from INS: the release squashes pictures to 224x224, nearest.

    >>> resize_long_side(torch.zeros(3, 100, 200), 50).shape
    torch.Size([3, 25, 50])
    """
    height, width = rgb.shape[1:]
    scale = long_side / max(height, width)
    size = (max(round(height * scale), 1), max(round(width * scale), 1))
    return F.interpolate(rgb[None], size=size, mode="bilinear", antialias=True, align_corners=False)[0].clamp(0, 1)


def write_rgb(path: Path, rgb: Float[Tensor, "3 height width"]) -> None:
    """Writes an 8-bit picture; the folder is made when it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    imageio.imwrite(path, rgb_bytes(rgb))


def rgb_bytes(rgb: Float[Tensor, "3 height width"]) -> np.ndarray:
    """Height x width x 3 in 0 to 255, as picture and video libraries take it.

    >>> rgb_bytes(torch.tensor([[[0.0]], [[0.5]], [[1.5]]])).tolist()
    [[[0, 128, 255]]]
    """
    return (rgb.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
