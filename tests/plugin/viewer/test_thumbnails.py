import base64
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from ins3d.plugin.viewer.thumbnails import SIZE, strip, strips
from ins3d.style.stroke_sizes import StrokeDial


def shown(markdown: str) -> Image.Image:
    return Image.open(BytesIO(base64.b64decode(markdown.split("base64,")[1].rstrip(")"))))


def test_a_strip_is_cut_from_the_part_that_is_the_style(tmp_path: Path):
    halves = np.zeros((60, 80, 3), np.uint8)
    halves[:, 40:] = (250, 10, 10)
    Image.fromarray(halves).save(tmp_path / "halves.png")
    picture = shown(strip(f"red={tmp_path / 'halves.png'}@.5,0,1,1") or "")
    assert picture.size == SIZE and np.allclose(np.asarray(picture).mean((0, 1)), (250, 10, 10), atol=3)


def test_a_painting_at_several_sizes_has_one_and_a_file_that_is_gone_none(tmp_path: Path):
    Image.fromarray(np.full((40, 40, 3), 200, np.uint8)).save(tmp_path / "wave.png")
    words = [f"wave x1={tmp_path / 'wave.png'}", f"wave x4={tmp_path / 'wave.png'}@x4", str(tmp_path / "gone.png")]
    found = strips(words, StrokeDial(("wave x1", "wave x4", "gone")))
    assert list(found) == ["wave", "gone"] and found["gone"] is None and shown(found["wave"] or "").size == SIZE
