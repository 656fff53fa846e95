"""All training pictures in one 8-bit store, whatever their sizes: pixels by (camera, row, column)."""

from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from nerfstudio.data.datasets.base_dataset import InputDataset
from torch import Tensor

from ins3d.perception.color_transfer import ColorStatistics, color_statistics


class PictureStore:
    """Pictures as bytes: four times smaller than the host's floats. RGB, or RGB and alpha when any picture has it."""

    def __init__(self, pictures: list[Tensor], masks: list[Tensor], device: torch.device) -> None:
        """`pictures`: (height, width, 3 or 4); `masks`: none, or (height, width, 1) for each of them."""
        self.has_alpha = any(picture.shape[-1] == 4 for picture in pictures)
        channels = 4 if self.has_alpha else 3
        self.sizes = torch.tensor([picture.shape[:2] for picture in pictures], device=device)
        pixels = [_with_channels(picture, channels).reshape(-1, channels) for picture in pictures]
        counts = torch.tensor([len(picture) for picture in pixels])
        self.first = (counts.cumsum(0) - counts).to(device)
        self.pixels = torch.cat(pixels).to(device)
        self.mask = torch.cat([mask.reshape(-1).bool() for mask in masks]).to(device) if masks else None
        """Where False, a pixel must not be learned from (nerfstudio's masks)."""

    @classmethod
    def of(cls, dataset: InputDataset, device: torch.device) -> "PictureStore":
        """Reads all pictures of a data set."""
        with ThreadPoolExecutor() as pool:
            data = list(pool.map(lambda index: dataset.get_data(index, image_type="uint8"), range(len(dataset))))
        return cls([item["image"] for item in data], [item["mask"] for item in data if "mask" in item], device)

    def reduced(self, factor: int) -> "PictureStore":
        """Pictures of a `factor`-th of the size: pixels are means, of colours by their alpha; a pixel is masked where any
        of those that it is the mean of is."""
        pictures, masks = [], []
        for number, (height, width) in enumerate(self.sizes.tolist()):
            size = (max(height // factor, 1), max(width // factor, 1))
            pixels = slice(int(self.first[number]), int(self.first[number]) + height * width)
            colors = self.pixels[pixels].float().reshape(1, height, width, -1).permute(0, 3, 1, 2)
            alpha = colors[:, 3:] if self.has_alpha else torch.full_like(colors[:, :1], 255)
            less = F.interpolate(alpha, size=size, mode="area")
            rgb = F.interpolate(colors[:, :3] * alpha, size=size, mode="area") / less.clamp(min=1)
            pictures.append(torch.cat([rgb, less], dim=1)[0, : colors.shape[1]].permute(1, 2, 0).round().byte())
            if self.mask is not None:
                mask = self.mask[pixels].float().reshape(1, 1, height, width)
                masks.append(F.interpolate(mask, size=size, mode="area")[0, 0, :, :, None] > 0.999)
        return PictureStore(pictures, masks, self.pixels.device)

    def __len__(self) -> int:
        return len(self.sizes)

    def draw_pixels(self, count: int, generator: torch.Generator) -> Int[Tensor, "{count} 3"]:
        """(camera, row, column) of pixels drawn uniformly from all that may be learned from.

        Of pictures with alpha, three quarters are drawn from what is not empty: most of such a picture often is, and is
        soon learned.
        """
        device = self.pixels.device  # the generator is the CPU's on every machine: runs move between them
        on_object = 3 * count // 4 if self.has_alpha else 0
        draws = torch.randint(self._num_learnable, (count - on_object,), generator=generator).to(device)
        flat = draws if self._learnable is None else self._learnable[draws]
        if on_object:
            draws = torch.randint(len(self._solid), (on_object,), generator=generator).to(device)
            flat = torch.cat([flat, self._solid[draws]])
            flat = flat[torch.randperm(len(flat), generator=generator).to(device)]
        camera = torch.searchsorted(self.first, flat, right=True) - 1
        within = flat - self.first[camera]
        width = self.sizes[camera, 1]
        return torch.stack([camera, within // width, within % width], dim=-1)

    @cached_property
    def _learnable(self) -> Tensor | None:
        """Numbers of the pixels that no mask excludes; None without masks: then it is all of them."""
        if self.mask is None:
            return None
        if not bool(self.mask.any()):
            raise ValueError("data: the masks leave nothing to learn from; white in them what is to be learned.")
        return self.mask.nonzero()[:, 0]

    @property
    def _num_learnable(self) -> int:
        return len(self.pixels) if self._learnable is None else len(self._learnable)

    @cached_property
    def _solid(self) -> Tensor:
        """Numbers of the learnable pixels that show something."""
        solid = self.pixels[:, 3] > 0
        solid = solid if self.mask is None else solid & self.mask
        if not bool(solid.any()):
            raise ValueError("data: the pictures' alpha is 0 everywhere that may be learned from; check alpha and masks.")
        return solid.nonzero()[:, 0]

    def _flat(self, pixel_indices: Tensor) -> Tensor:
        camera, row, column = pixel_indices.unbind(-1)
        return self.first[camera] + row * self.sizes[camera, 1] + column

    def colors(self, pixel_indices: Int[Tensor, "*batch 3"]) -> Float[Tensor, "*batch channels"]:
        """RGB (and alpha, not multiplied in) in [0, 1]."""
        return self.pixels[self._flat(pixel_indices)].float() / 255

    def color_statistics(self, seed: int) -> ColorStatistics:
        """Mean and covariance of the pictures' colours, where there is something to see."""
        indices = self.draw_pixels(50_000, torch.Generator().manual_seed(seed))
        return color_statistics(self.colors(indices)[:, :3], self.counts(indices))

    def counts(self, pixel_indices: Int[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 1"]:
        """How much a pixel matters to the style: its alpha, and 0 where a mask excludes it."""
        flat = self._flat(pixel_indices)
        weight = self.pixels[flat, 3].float() / 255 if self.has_alpha else torch.ones(flat.shape, device=flat.device)
        return (weight if self.mask is None else weight * self.mask[flat])[..., None]


def _with_channels(picture: Tensor, channels: int) -> Tensor:
    if picture.shape[-1] == channels:
        return picture
    return torch.cat([picture, torch.full_like(picture[..., :1], 255)], dim=-1)


def over_background(
    image: Float[Tensor, "*batch channels"], background: Float[Tensor, "*#batch 3"]
) -> Float[Tensor, "*batch 3"]:
    """RGB as it is; RGB and alpha laid over a background."""
    if image.shape[-1] == 3:
        return image
    rgb, alpha = image.split([3, 1], dim=-1)
    return rgb * alpha + (1 - alpha) * background
