"""Small pictures of the paintings, as markdown holds them."""

import base64
from collections.abc import Sequence
from io import BytesIO

from PIL import Image, ImageOps

from ins3d.files.pictures import rgb_bytes
from ins3d.style.stroke_sizes import StrokeDial
from ins3d.style.styles import find_styles

SIZE = (560, 96)
"""(width, height) in pixels: a strip as wide as the panel, on screens of two pixels to one."""


def strip(word: str) -> str | None:
    """A strip of a painting that is written as `find_styles` reads it, in markdown; None where its file is gone."""
    try:
        rgb, _ = find_styles([word])[0].sources[0].read("styles")
    except (ValueError, OSError):
        return None
    cut, data = ImageOps.fit(Image.fromarray(rgb_bytes(rgb)), SIZE), BytesIO()
    cut.save(data, "JPEG", quality=80)
    return f"![](data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()})"


def strips(words: Sequence[str], dial: StrokeDial) -> dict[str, str | None]:
    """By painting; `words` are of all styles, in the order of the dial's names."""
    return {painting: strip(words[min(sizes.values())]) for painting, sizes in dial.sizes.items()}
