"""Frames of an evaluation on disk: what is compared, picture by picture, and the geometry that all of it shares."""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor

from ins3d.evaluation.geometry_warp import GeometryView
from ins3d.files.pictures import read_picture, write_rgb
from ins3d.files.whole import replace_file

CPU = torch.device("cpu")
RowKind = Literal["photographs", "unstylised", "stylised", "per-frame"]
PathName = Literal["held-out", "views", "smooth"]


@dataclass(frozen=True)
class Row:
    """What a table compares: one way to make the pictures."""

    kind: RowKind
    style: str = ""
    """Of the stylised ones."""
    network: str = ""
    """Of those painted frame by frame: which 2D network did."""

    @property
    def label(self) -> str:
        """As tables say it."""
        kind = f"{self.kind} {self.network}" if self.network else self.kind
        return f"{kind}: {self.style}" if self.style else kind

    @property
    def folder(self) -> str:
        """As files say it."""
        return self.label.replace(": ", "_").replace(" ", "_").replace("/", "_")


class FrameFolder:
    """The frames along one path: a folder of pictures for each row, and one of geometry.

    A frame is written whole or not at all, its numbers last: a frame that has them is finished.
    """

    def __init__(self, folder: Path, device: torch.device = CPU) -> None:
        """Pictures and views are given on `device`, where the networks are that judge them."""
        self.folder, self.device = folder, device
        self._picture = lru_cache(maxsize=256)(lambda path: read_picture(path, "output")[:3].to(device))

    def picture_path(self, row: Row, frame: int) -> Path:
        """Where a picture lies."""
        return self.folder / row.folder / f"{frame:03d}.png"

    def picture(self, row: Row, frame: int) -> Float[Tensor, "3 height width"]:
        """RGB in [0, 1], 8 bits."""
        return self._picture(self.picture_path(row, frame))

    def has(self, row: Row, frame: int = 0) -> bool:
        """Whether there is such a picture."""
        return self.picture_path(row, frame).is_file()

    def write_picture(self, row: Row, frame: int, rgb: Float[Tensor, "3 height width"]) -> None:
        """Whole or not at all."""
        replace_file(self.picture_path(row, frame), lambda aside: write_rgb(aside, rgb))

    def write_geometry(self, frame: int, view: GeometryView, numbers: dict[str, Any]) -> None:
        """What the frozen field says about a frame, and the numbers that were measured while it was rendered."""
        values = {name: value.cpu().contiguous() for name, value in vars(view).items()}
        replace_file(self.folder / "geometry" / f"{frame:03d}.safetensors", lambda aside: save_file(values, aside))
        replace_file(self._numbers(frame), lambda aside: aside.write_text(json.dumps(numbers)))

    def view(self, frame: int) -> GeometryView:
        """The frozen field's geometry of a frame."""
        return GeometryView(**load_file(self.folder / "geometry" / f"{frame:03d}.safetensors", str(self.device)))

    def numbers(self, frame: int) -> dict[str, Any] | None:
        """The numbers that `write_geometry` wrote; None where the frame is not finished."""
        return json.loads(self._numbers(frame).read_text()) if self._numbers(frame).is_file() else None

    def __len__(self) -> int:
        """Frames that are finished, from the first on."""
        frame = 0
        while self._numbers(frame).is_file():
            frame += 1
        return frame

    def _numbers(self, frame: int) -> Path:
        return self.folder / "geometry" / f"{frame:03d}.json"
