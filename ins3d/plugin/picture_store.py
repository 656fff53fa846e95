"""All training pictures in one 8-bit store, whatever their sizes: pixels by (camera, row, column)."""

from concurrent.futures import ThreadPoolExecutor

import torch
from jaxtyping import Float, Int
from nerfstudio.data.datasets.base_dataset import InputDataset
from torch import Tensor


class PictureStore:
    """Pictures as bytes: four times smaller than the host's floats. RGB, or RGB and alpha when any picture has it."""

    def __init__(self, dataset: InputDataset, device: torch.device) -> None:
        with ThreadPoolExecutor() as pool:
            data = list(pool.map(lambda index: dataset.get_data(index, image_type="uint8"), range(len(dataset))))
        self.has_alpha = any(item["image"].shape[-1] == 4 for item in data)
        channels = 4 if self.has_alpha else 3
        self.sizes = torch.tensor([item["image"].shape[:2] for item in data], device=device)
        pixels = [_with_channels(item["image"], channels).reshape(-1, channels) for item in data]
        counts = torch.tensor([len(picture) for picture in pixels])
        self.first = (counts.cumsum(0) - counts).to(device)
        self.pixels = torch.cat(pixels).to(device)
        masks = [item["mask"].reshape(-1).bool() for item in data if "mask" in item]
        self.mask = torch.cat(masks).to(device) if masks else None
        """Where False, a pixel must not be learned from (nerfstudio's masks)."""

    def __len__(self) -> int:
        return len(self.sizes)

    def draw_pixels(self, count: int, generator: torch.Generator) -> Int[Tensor, "count 3"]:
        """(camera, row, column) of pixels drawn uniformly from all that may be learned from."""
        device = self.pixels.device
        if self.mask is None:
            flat = torch.randint(len(self.pixels), (count,), generator=generator, device=device)
        else:
            allowed = self._allowed()
            flat = allowed[torch.randint(len(allowed), (count,), generator=generator, device=device)]
        camera = torch.searchsorted(self.first, flat, right=True) - 1
        within = flat - self.first[camera]
        width = self.sizes[camera, 1]
        return torch.stack([camera, within // width, within % width], dim=-1)

    def _allowed(self) -> Tensor:
        if not hasattr(self, "_allowed_pixels"):
            assert self.mask is not None
            self._allowed_pixels = self.mask.nonzero()[:, 0]
        return self._allowed_pixels

    def _flat(self, pixel_indices: Tensor) -> Tensor:
        camera, row, column = pixel_indices.unbind(-1)
        return self.first[camera] + row * self.sizes[camera, 1] + column

    def colors(self, pixel_indices: Int[Tensor, "*batch 3"]) -> Float[Tensor, "*batch channels"]:
        """RGB (and alpha, not multiplied in) in [0, 1]."""
        return self.pixels[self._flat(pixel_indices)].float() / 255

    def counts(self, pixel_indices: Int[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 1"]:
        """How much a pixel matters to the style: its alpha, and 0 where a mask excludes it."""
        flat = self._flat(pixel_indices)
        weight = self.pixels[flat, 3].float() / 255 if self.has_alpha else torch.ones(flat.shape, device=flat.device)
        return (weight if self.mask is None else weight * self.mask[flat])[..., None]


def _with_channels(picture: Tensor, channels: int) -> Tensor:
    if picture.shape[-1] == channels:
        return picture
    return torch.cat([picture, torch.full_like(picture[..., :1], 255)], dim=-1)
