"""A scene's pictures at the size they are worked on at: reduced while they are read, and their cameras with them."""

from copy import deepcopy
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from nerfstudio.data.datasets.base_dataset import InputDataset
from torch import Tensor

from ins3d.files.masks import read_mask
from ins3d.files.pictures import read_pixels
from ins3d.plugin.data.agreement import MASK_ORIENTATIONS, ORIENTATIONS
from ins3d.plugin.data.opened_run import VARIABLE

PICTURE_SIDE = "picture_side"
"""What models are told of the data: the long side, in pixels, of the largest picture as it is worked on."""
NOT_WORTH_IT = 1.25
"""Pictures with up to so many times as many pixels stay as they are: to reduce them by little costs more than it gains."""


def working_size(cameras: Cameras, most: int) -> int:
    """Long side, in pixels, of the largest picture when none has more than `most` pixels; what it is where that is less."""
    pixels = float((cameras.height * cameras.width).max())
    long_side = int(torch.cat([cameras.height, cameras.width]).max())
    return long_side if pixels <= NOT_WORTH_IT * most else int(long_side * (most / pixels) ** 0.5)


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
    """The host's data set with pictures and masks as people see them, each reduced to the size of its camera."""

    def __init__(self, outputs: DataparserOutputs, share: float) -> None:
        """`share`: of the pictures' sides, at most 1."""
        super().__init__(outputs)
        if share < 1:
            self.cameras = reduced_cameras(self.cameras, share)
            self.scale_factor = share
        self._sizes = torch.cat([self.cameras.width, self.cameras.height], dim=-1).tolist()
        self.metadata[PICTURE_SIDE] = max(map(max, self._sizes))
        as_stored = [1] * len(self._sizes)
        self._orientations = outputs.metadata.get(ORIENTATIONS, as_stored)
        self._mask_orientations = outputs.metadata.get(MASK_ORIENTATIONS, as_stored)

    def get_numpy_image(self, image_idx: int) -> npt.NDArray[np.uint8]:
        """sRGB (height, width, 3 or 4)."""
        width, height = self._sizes[image_idx]
        path = Path(self._dataparser_outputs.image_filenames[image_idx])
        if not path.is_file():
            raise FileNotFoundError(
                f"data: the photograph {path} is not there; say with {VARIABLE}=FOLDER (an environment variable) where the "
                "scene's data are now."
            )
        return read_pixels(path, "data", (width, height), self._orientations[image_idx])

    def get_data(self, image_idx: int, image_type: Literal["uint8", "float32"] = "float32") -> dict[str, Any]:
        """`image`, and `mask` (height, width, 1) where the scene has masks: all of a picture that has none."""
        image = self.get_image_uint8(image_idx) if image_type == "uint8" else self.get_image_float32(image_idx)
        data = {"image_idx": image_idx, "image": image}
        masks = self._dataparser_outputs.mask_filenames
        if masks is not None:
            data["mask"] = self._mask(image_idx, masks[image_idx])
        if self.mask_color:
            data["image"] = torch.where(data["mask"], image, torch.tensor(self.mask_color, dtype=image.dtype))
        return data | self.get_metadata(data)

    def _mask(self, image_idx: int, path: Path | None) -> Bool[Tensor, "height width 1"]:
        width, height = self._sizes[image_idx]
        if path is None:
            return torch.ones(height, width, 1, dtype=torch.bool)
        shown = read_mask(path, "data", (width, height), self._mask_orientations[image_idx])
        return torch.from_numpy(shown)[..., None]


class GonePictures(ScenePictures):
    """Pictures whose files are gone: the viewer shows their cameras with grey in them."""

    def __getitem__(self, image_idx: int) -> dict[str, Any]:
        """A grey picture; whoever needs a true one asks `get_data`, which says what is missing."""
        width, height = self._sizes[image_idx]
        return {"image_idx": image_idx, "image": torch.full((height, width, 3), 0.5)}
