"""Pictures become frames of a file, one by one: a video of any length in the memory of a frame."""

from pathlib import Path
from types import TracebackType

import imageio.v2 as imageio
from jaxtyping import Float
from torch import Tensor

from ins3d.files.pictures import rgb_bytes


class VideoFile:
    """An .mp4 (H.264), or a .gif that is shown again and again. It is there under its name once it is whole."""

    def __init__(self, path: Path, fps: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.aside = path, path.with_name(f"{path.stem}.writing{path.suffix}")
        self.even = path.suffix.lower() != ".gif"
        if self.even:
            # imageio would scale pictures to multiples of 16.
            self.writer = imageio.get_writer(self.aside, fps=fps, macro_block_size=1, quality=8)
        else:
            self.writer = imageio.get_writer(self.aside, duration=1000 / fps, loop=0)

    def add(self, picture: Float[Tensor, "3 height width"]) -> None:
        """One frame more. H.264 wants even sides: of an .mp4 an odd row or column is cut off."""
        height, width = picture.shape[1:]
        self.writer.append_data(rgb_bytes(picture[:, : height // 2 * 2, : width // 2 * 2] if self.even else picture))

    def __enter__(self) -> "VideoFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.writer.close()
        if kind is None:
            self.aside.replace(self.path)
        else:
            self.aside.unlink(missing_ok=True)
