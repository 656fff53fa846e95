"""All training pictures in one 8-bit store, whatever their sizes: pixels by (camera, row, column)."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from nerfstudio.data.datasets.base_dataset import InputDataset
from torch import Tensor

from ins3d.perception.color_transfer import ColorStatistics, color_statistics

READ_AHEAD = 8
"""Pictures that are read, or wait to be copied to their place, at most; fewer of large ones."""
PIXELS_AHEAD = 2**24
"""Of theirs, as they lie in their files."""


class PictureStore:
    """Pictures as bytes: four times smaller than the host's floats. RGB, or RGB and alpha when any picture has it."""

    def __init__(
        self, sizes: list[tuple[int, int]], pictures: Iterable[tuple[Tensor, Tensor | None]], device: torch.device
    ) -> None:
        """`sizes`: (height, width) of each; `pictures`: (height, width, 3 or 4), with a mask (height, width, 1) or none.

        They are taken one by one, and nothing else is kept of them.
        """
        counts = torch.tensor([height * width for height, width in sizes])
        ends = counts.cumsum(0)
        self.sizes = torch.tensor(sizes, device=device)
        self.first = (ends - counts).to(device)
        self.pixels = torch.empty(int(ends[-1]), 3, dtype=torch.uint8)
        self.mask: Tensor | None = None
        """Where False, a pixel must not be learned from (nerfstudio's masks)."""
        for end, count, (picture, mask) in zip(ends.tolist(), counts.tolist(), pictures, strict=True):
            self._put(slice(end - count, end), picture.reshape(count, -1), mask)
        self.pixels, self.mask = self.pixels.to(device), None if self.mask is None else self.mask.to(device)

    def _put(self, where: slice, picture: Tensor, mask: Tensor | None) -> None:
        if picture.shape[1] > self.pixels.shape[1]:
            self.pixels = _with_channels(self.pixels, picture.shape[1])
        self.pixels[where] = _with_channels(picture, self.pixels.shape[1])
        if mask is not None and self.mask is None:
            self.mask = torch.ones(len(self.pixels), dtype=torch.bool)
        if mask is not None and self.mask is not None:
            self.mask[where] = mask.reshape(-1).bool()

    @classmethod
    def of(cls, dataset: InputDataset, device: torch.device) -> "PictureStore":
        """Reads all pictures of a data set, whose cameras say how large they are."""
        sizes = torch.cat([dataset.cameras.height, dataset.cameras.width], dim=-1).tolist()
        return cls([(height, width) for height, width in sizes], _read(dataset), device)

    @property
    def has_alpha(self) -> bool:
        """Whether any picture has."""
        return self.pixels.shape[1] == 4

    def reduced(self, factor: int) -> "PictureStore":
        """Pictures of a `factor`-th of the size: pixels are means, of colours by their alpha; a pixel is masked where any
        of those that it is the mean of is."""
        sizes, pictures = [], []
        for number, (height, width) in enumerate(self.sizes.tolist()):
            size = (max(height // factor, 1), max(width // factor, 1))
            pixels = slice(int(self.first[number]), int(self.first[number]) + height * width)
            colors = self.pixels[pixels].float().reshape(1, height, width, -1).permute(0, 3, 1, 2)
            alpha = colors[:, 3:] if self.has_alpha else torch.full_like(colors[:, :1], 255)
            less = F.interpolate(alpha, size=size, mode="area")
            rgb = F.interpolate(colors[:, :3] * alpha, size=size, mode="area") / less.clamp(min=1)
            picture = torch.cat([rgb, less], dim=1)[0, : colors.shape[1]].permute(1, 2, 0).round().byte()
            mask = None if self.mask is None else self.mask[pixels].float().reshape(1, 1, height, width)
            kept = None if mask is None else F.interpolate(mask, size=size, mode="area")[0, 0, :, :, None] > 0.999
            sizes.append(size)
            pictures.append((picture.cpu(), None if kept is None else kept.cpu()))
        return PictureStore(sizes, pictures, self.pixels.device)

    def __len__(self) -> int:
        return len(self.sizes)

    def without(self, pictures: Iterable[int]) -> "PictureStore":
        """The same pictures, of which some are masked."""
        fewer = copy(self)
        for name in ("_learnable", "_solid"):
            vars(fewer).pop(name, None)
        fewer.mask = torch.ones(len(self.pixels), dtype=torch.bool, device=self.pixels.device)
        if self.mask is not None:
            fewer.mask &= self.mask
        for picture in pictures:
            first, pixels = int(self.first[picture]), int(self.sizes[picture].prod())
            fewer.mask[first : first + pixels] = False
        return fewer

    def draw_pixels(self, count: int, generator: torch.Generator) -> Int[Tensor, "{count} 3"]:
        """(camera, row, column) of pixels drawn uniformly from all that may be learned from.

        Of pictures with alpha, three quarters are drawn from what is not empty: most of such a picture often is, and is
        soon learned.
        """
        device = self.pixels.device  # the generator is the CPU's on every machine: runs move between them
        on_object = 3 * count // 4 if self.has_alpha else 0
        draws = torch.randint(self._num_learnable, (count - on_object,), generator=generator).to(device)
        flat = draws if self._learnable is None else self._learnable.at(draws)
        if on_object:
            draws = torch.randint(len(self._solid), (on_object,), generator=generator).to(device)
            flat = torch.cat([flat, self._solid.at(draws)])
            flat = flat[torch.randperm(len(flat), generator=generator).to(device)]
        camera = torch.searchsorted(self.first, flat, right=True) - 1
        within = flat - self.first[camera]
        width = self.sizes[camera, 1]
        return torch.stack([camera, within // width, within % width], dim=-1)

    @cached_property
    def _learnable(self) -> "Marked | None":
        """The pixels that no mask excludes; None without masks: then it is all of them."""
        if self.mask is None:
            return None
        if not bool(self.mask.any()):
            raise ValueError("data: the masks leave nothing to learn from; white in them what is to be learned.")
        return Marked(self.mask)

    @property
    def _num_learnable(self) -> int:
        return len(self.pixels) if self._learnable is None else len(self._learnable)

    @cached_property
    def _solid(self) -> "Marked":
        """The learnable pixels that show something."""
        solid = self.pixels[:, 3] > 0
        solid = solid if self.mask is None else solid & self.mask
        if not bool(solid.any()):
            raise ValueError("data: the pictures' alpha is 0 everywhere that may be learned from; check alpha and masks.")
        return Marked(solid)

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


def _read(dataset: InputDataset) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Pictures and masks in their order, of which a few are read beforehand."""
    pixels = float((dataset.cameras.height * dataset.cameras.width).max()) / dataset.scale_factor**2
    at_once = int(min(max(PIXELS_AHEAD // pixels, 1), READ_AHEAD))
    with ThreadPoolExecutor(at_once) as pool:
        for first in range(0, len(dataset), at_once):
            some = range(first, min(first + at_once, len(dataset)))
            for data in pool.map(lambda index: dataset.get_data(index, image_type="uint8"), some):
                yield data["image"], data.get("mask")


class Marked:
    """Numbers of the places that are marked, without a list of them: a byte for each place instead of eight."""

    BLOCK = 256

    def __init__(self, marks: Bool[Tensor, " places"]) -> None:
        whole = len(marks) - len(marks) % self.BLOCK
        self.blocks = marks[:whole].reshape(
            -1, self.BLOCK
        )  # where they lie: of many large pictures they are half a gigabyte
        self.rest = F.pad(marks[whole:], (0, self.BLOCK - len(marks) + whole))
        # In pieces: torch sums marks as a copy of eight bytes for each.
        self.counts = torch.cat([part.sum(1) for part in (*self.blocks.split(2**16), self.rest[None])])
        self.ends = self.counts.cumsum(0)

    def __len__(self) -> int:
        return int(self.ends[-1])

    def at(self, ranks: Int[Tensor, " ranks"]) -> Int[Tensor, " ranks"]:
        """`marks.nonzero()[ranks]`.

        >>> Marked(torch.tensor([False, True, True, False, True])).at(torch.tensor([0, 2])).tolist()
        [1, 4]
        """
        block = torch.searchsorted(self.ends, ranks, right=True)
        within = ranks - (self.ends[block] - self.counts[block])
        marks = self.rest.expand(len(ranks), -1).clone()
        marks[block < len(self.blocks)] = self.blocks[block[block < len(self.blocks)]]
        before = marks.cumsum(1, dtype=torch.int32) <= within[:, None]
        return block * self.BLOCK + before.sum(1)


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
