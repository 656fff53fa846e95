"""A scene's pictures at the size they are worked on at: reduced while they are read, and their cameras with them."""

from copy import deepcopy

import numpy as np
import numpy.typing as npt
import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from nerfstudio.data.datasets.base_dataset import InputDataset
from PIL import Image

PIXELS = {"cpu": 130_000, "cuda": 1_000_000}
"""Of one picture, by kind of device: what the stages have the time to paint."""
NOT_WORTH_IT = 1.25
"""Pictures with up to so many times as many pixels stay as they are: to reduce them by little costs more than it gains."""


def working_size(cameras: Cameras, device: str) -> int:
    """Long side, in pixels, of the largest picture when none has more than `PIXELS`; what it is where that is less."""
    pixels = float((cameras.height * cameras.width).max())
    long_side = int(torch.cat([cameras.height, cameras.width]).max())
    budget = PIXELS.get(device, PIXELS["cuda"])
    return long_side if pixels <= NOT_WORTH_IT * budget else int(long_side * (budget / pixels) ** 0.5)


def reduced_cameras(cameras: Cameras, share: float) -> Cameras:
    """Cameras of pictures that are `share` as large, in whole pixels; each lens by what its own picture became."""
    reduced = deepcopy(cameras)
    for side, lens in (("width", ("fx", "cx")), ("height", ("fy", "cy"))):
        before = getattr(cameras, side)
        after = (before.double() * share).long().clamp(min=1)  # as the host rounds the sizes of masks
        setattr(reduced, side, after)
        for name in lens:
            setattr(reduced, name, getattr(cameras, name) * (after / before))
    return reduced


class ScenePictures(InputDataset):
    """The host's data set with pictures reduced by a box filter, each to the size of its camera."""

    def __init__(self, outputs: DataparserOutputs, share: float) -> None:
        """`share`: of the pictures' sides, at most 1."""
        super().__init__(outputs)
        if share < 1:
            self.cameras = reduced_cameras(self.cameras, share)
            self.scale_factor = share
        self._sizes = torch.cat([self.cameras.width, self.cameras.height], dim=-1).tolist()

    def get_numpy_image(self, image_idx: int) -> npt.NDArray[np.uint8]:
        """Shape (height, width, 3 or 4)."""
        if self.scale_factor == 1:
            return super().get_numpy_image(image_idx)
        width, height = self._sizes[image_idx]
        with Image.open(self._dataparser_outputs.image_filenames[image_idx]) as picture:
            picture.draft("RGB", (2 * width, 2 * height))  # a JPEG is decoded no larger than it has to be
            reduced = np.array(picture.resize((width, height), Image.Resampling.BOX), dtype="uint8")
        return reduced[..., None].repeat(3, axis=2) if reduced.ndim == 2 else reduced
