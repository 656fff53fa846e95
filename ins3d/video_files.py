"""Pictures become frames of a file, one by one: a video of any length in the memory of a frame."""

from pathlib import Path
from types import TracebackType

import imageio.v2 as imageio
from jaxtyping import Float
from torch import Tensor

from ins3d.image_files import rgb_bytes


class VideoFile:
    """An .mp4 (H.264) or a .gif that is shown again and again."""

    def __init__(self, path: Path, fps: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() == ".gif":
            self.writer = imageio.get_writer(path, duration=1000 / fps, loop=0)
        else:
            # imageio would scale pictures to multiples of 16.
            self.writer = imageio.get_writer(path, fps=fps, macro_block_size=1, quality=8)

    def add(self, picture: Float[Tensor, "3 height width"]) -> None:
        """One frame more; an odd row or column is cut off."""
        height, width = picture.shape[1:]
        self.writer.append_data(rgb_bytes(picture[:, : height // 2 * 2, : width // 2 * 2]))  # H.264 wants even sides

    def __enter__(self) -> "VideoFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.writer.close()
