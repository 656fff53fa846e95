"""Writes videos frame by frame."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imageio.v2 as imageio
from jaxtyping import Float
from torch import Tensor

from ins3d.files.pictures import rgb_bytes
from ins3d.files.whole import written_whole


@contextmanager
def open_video(path: Path, fps: int | float) -> Iterator[Callable[[Float[Tensor, "3 height width"]], None]]:
    """What to call with each frame of an .mp4 (H.264), or of a .gif that is shown again and again.

    H.264 wants even sides: of an .mp4 an odd row or column is cut off.
    """
    even = path.suffix.lower() != ".gif"
    # imageio would scale pictures to multiples of 16.
    options: dict[str, Any] = dict(fps=fps, macro_block_size=1, quality=8) if even else dict(duration=1000 / fps, loop=0)
    with written_whole(path) as aside, imageio.get_writer(aside, **options) as writer:

        def add(picture: Float[Tensor, "3 height width"]) -> None:
            height, width = picture.shape[1:]
            writer.append_data(rgb_bytes(picture[:, : height // 2 * 2, : width // 2 * 2] if even else picture))

        yield add
