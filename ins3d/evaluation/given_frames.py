"""Frames of any program, painted and not: matched, brought to one size, and read one at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ins3d.evaluation.frames import CPU, FrameFolder, Row
from ins3d.evaluation.geometry_warp import GeometryView
from ins3d.evaluation.posed_depth import SHAPE, PosedDepth, Size
from ins3d.files.sequences import FrameSequence

CONTENT = Row("unstylised")
MIN_SIDE = 32
"""Pixels: LPIPS, and the judge of brushwork, see nothing in smaller frames."""
KEPT = 16
"""Pictures that are kept in memory."""


@dataclass(frozen=True)
class Matched:
    """Which content frame each painted one shows."""

    painted: FrameSequence
    content: FrameSequence
    numbers: tuple[int, ...]
    """Of the content's frames."""
    notes: tuple[str, ...]
    """What was done to make them match: lines to print and record."""


def match(painted: FrameSequence, content: FrameSequence) -> Matched:
    """By name where all painted frames have the name of a content frame, else one after the other.

    ValueError for other numbers of frames, other shapes, and frames that are too small.
    """
    notes = []
    by_name = {name: number for number, name in enumerate(content.names)}
    if painted.named and content.named and all(name in by_name for name in painted.names):
        numbers = tuple(by_name[name] for name in painted.names)
        if len(content) > len(painted):
            notes.append(f"Of the content's {len(content)} frames the {len(painted)} of the stylised ones' names are used.")
    elif len(painted) == len(content):
        numbers = tuple(range(len(painted)))
        if painted.named and content.named:
            notes.append(f"Names differ: stylised frame {painted.names[0]} is taken for {content.names[0]}, and so on.")
    else:
        raise ValueError(
            f"content: there are {len(content)} frames in {content.path} and {len(painted)} in {painted.path}, whose names "
            "do not say which belong together; give as many of both, or name them alike."
        )
    (width, height), (columns, rows) = painted.size, content.size
    if abs(width * rows / (height * columns) - 1) > SHAPE:
        raise ValueError(
            f"content: frames of {columns}x{rows} pixels have another shape than the stylised ones of {width}x{height}; "
            "crop one of them."
        )
    if min(width, height, columns, rows) < MIN_SIDE:
        raise ValueError(
            f"stylised: frames of {width}x{height} pixels (content {columns}x{rows}) are too small to judge; give frames of "
            f"{MIN_SIDE} pixels a side or more."
        )
    if painted.size != content.size:
        notes.append(
            f"Stylised frames have {width}x{height} pixels, the content's {columns}x{rows}: the larger are reduced."
        )
    return Matched(painted, content, numbers, tuple(notes))


def working_size(matched: Matched, long_side: int) -> Size:
    """(width, height) at which frames are compared: of the smaller ones, and no longer than `long_side`."""
    width, height = min(matched.painted.size, matched.content.size)  # of one shape: the narrower is the smaller
    factor = min(long_side / max(width, height), 1)
    return max(round(width * factor), 1), max(round(height * factor), 1)


class GivenFrames(FrameFolder):
    """What `FrameFolder` gives, from files that lie elsewhere: the content's row, one that is painted, views if posed."""

    def __init__(
        self, matched: Matched, row: Row, size: Size, posed: PosedDepth | None = None, device: torch.device = CPU
    ) -> None:
        super().__init__(matched.painted.path, device)
        self.matched, self.row, self.size, self.posed = matched, row, size, posed
        self._read = lru_cache(maxsize=KEPT)(self._resized)

    def picture(self, row: Row, frame: int) -> Float[Tensor, "3 height width"]:
        """RGB in [0, 1], reduced to the frames' one size."""
        return self._read(row, frame)

    def view(self, frame: int) -> GeometryView:
        """Of a frame's camera and depth map; there must be some."""
        assert self.posed is not None
        view = self.posed.view(frame, self.size)
        return GeometryView(**{name: value.to(self.device) for name, value in vars(view).items()})

    def __len__(self) -> int:
        return len(self.matched.numbers)

    def _resized(self, row: Row, frame: int) -> Tensor:
        painted = row == self.row
        source = self.matched.painted if painted else self.matched.content
        picture = source.read(frame if painted else self.matched.numbers[frame])
        width, height = self.size
        if picture.shape[1:] != (height, width):
            picture = F.interpolate(picture[None], size=(height, width), mode="bilinear", antialias=True)[0].clamp(0, 1)
        return picture.to(self.device)


def evenly(number: int, most: int) -> Sequence[int]:
    """At most `most` of so many frames, evenly spaced, from the first to the last.

    >>> evenly(12, 3), evenly(2, 5)
    ([0, 6, 11], [0, 1])
    """
    return torch.linspace(0, number - 1, min(most, number)).round().long().unique().tolist()
