"""Pictures that say what counts in another picture: what they show, and how they are told from photographs."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool
from PIL import Image

from ins3d.files.pictures import LOSSY, open_picture, orientation_of, turned, turned_size

HALF = 128
THUMBNAIL = 64
NEAR = 12
"""In levels of 255: what is as near to black or white is that."""


def read_mask(
    path: Path, setting: str, size: tuple[int, int] | None = None, orientation: int | None = None
) -> Bool[np.ndarray, "height width"]:
    """What a mask shows: where it is opaque, if it is a cut-out; else where it is light; of masks that are as dark as 0 and
    1 or numbers of classes, where it is not black. In another size, (width, height), by the nearest pixel. `orientation` and
    errors as those of `read_pixels`."""
    with open_picture(path, setting) as picture:
        orientation = orientation_of(picture) if orientation is None else orientation
        lossy, transparent = picture.format in LOSSY, picture.has_transparency_data
        if not picture.mode.startswith(("1", "L", "I", "F")) or transparent:
            picture = picture.convert("RGBA")
        wanted = picture.size if size is None else turned_size(size, orientation)
        values = np.asarray(picture if wanted == picture.size else picture.resize(wanted, Image.Resampling.NEAREST))
    if values.ndim == 3 and transparent and values[..., 3].min() < HALF:
        shown = values[..., 3] >= HALF
    else:
        light = values[..., :3].max(-1) if values.ndim == 3 else values
        brightest = light.max()
        shown = light > brightest / 2 if brightest > 255 else light >= (HALF if lossy or brightest >= HALF else 1)
    return np.array(turned(Image.fromarray(shown), orientation))


def looks_like_a_mask(path: Path, setting: str) -> bool:
    """Whether a picture is black and white, or two values, as no photograph is. Errors as `read_pixels`."""
    with open_picture(path, setting) as picture:
        picture.draft("RGB", (THUMBNAIL, THUMBNAIL))
        small = picture.convert("RGB").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.NEAREST)
    pixels = np.asarray(small).reshape(-1, 3).astype(int)
    if len(np.unique(pixels, axis=0)) <= 2:
        return True
    black, white = ((pixels <= NEAR).all(1).mean(), (pixels >= 255 - NEAR).all(1).mean())
    return bool(black + white > 0.9 and min(black, white) > 0.01)
