"""Whether a content shows pictures that it has not learned from; where it does not, the scene was read wrongly.

PSNR of what is learned from looks healthy then, too: a field that is large enough learns pictures by heart.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.datasets.base_dataset import InputDataset
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio

from ins3d.plugin.rays.picture_store import PictureStore, over_background
from ins3d.plugin.rays.pixel_rays import PixelRays

RAYS = 4096
"""Of the pictures that were learned from, and of those that were not."""
MOST_HELD = 8
"""Pictures that are looked at of those that were not learned from, as they have to be read."""
FIRST_STEPS, EVERY = 200, 8
"""Where no picture is held out, every eighth is left out of so many steps at the beginning."""
WORTH_IT = 4
"""Of so many times as many steps altogether, at least."""
CELLS = 8
"""The blurred mean has so many across and down."""
LITTLE = 1.0
"""In dB above a blurred mean: what is shown better by less is guessed, and by more is learned. Scenes that are read rightly
show other pictures 2 or more better from the 200th step on (`docs/inputs.md`)."""


@dataclass(frozen=True)
class Generalisation:
    """PSNR in dB."""

    learned: float
    """Of pixels that were learned from."""
    held: float
    """Of pixels of other pictures."""
    learned_blurred: float
    """Of pixels that were learned from, if they are told by a blurred mean of their pictures."""
    held_blurred: float
    """Of the others, by the same."""

    @property
    def fails(self) -> bool:
        """Whether other pictures are shown no better than by guessing, and those that were learned from are."""
        gain, others_gain = self.learned - self.learned_blurred, self.held - self.held_blurred
        return gain > LITTLE > others_gain and others_gain < gain / 2

    @property
    def complaint(self) -> str:
        """What a user should look for."""
        return (
            f"The scene seems to be read wrongly: held-out pictures are shown at {self.held:.1f} dB, where a blurred mean "
            f"of the others has {self.held_blurred:.1f} dB, and those that were learned from at {self.learned:.1f} dB. "
            "Poses that belong to other pictures or have other axes (OpenCV's, COLMAP's), a focal length of another size, "
            "pictures that were cropped after their cameras were found, or colours that change from picture to picture look "
            "like that."
        )


@dataclass(frozen=True)
class SeenPictures:
    """Pictures and the rays of their pixels."""

    store: PictureStore
    rays: PixelRays

    @classmethod
    def of(cls, dataset: InputDataset, device: torch.device) -> "SeenPictures":
        """At most `MOST_HELD` of a data set, evenly."""
        chosen = torch.linspace(0, len(dataset) - 1, min(len(dataset), MOST_HELD)).round().long()
        cameras, read = dataset.cameras[chosen], [dataset.get_data(index, image_type="uint8") for index in chosen.tolist()]
        sizes = [(int(each["image"].shape[0]), int(each["image"].shape[1])) for each in read]
        store = PictureStore(sizes, [(each["image"], each.get("mask")) for each in read], device)
        return cls(store, PixelRays(cameras.to(device)))


def left_out(number: int) -> list[int]:
    """Every eighth of so many pictures, from the middle of the first ones on.

    >>> left_out(3), left_out(9), left_out(13)
    ([1], [4], [4, 12])
    """
    return list(range(min(EVERY // 2, number // 2), number, EVERY))


@torch.no_grad()
def generalisation(
    learned: SeenPictures, others: SeenPictures, render: Callable[[RayBundle], Tensor], background: Float[Tensor, " 3"],
    seed: int = 0,
) -> Generalisation:  # fmt: skip
    """`render` gives the colours (rays 3) of rays over the background."""
    generator = torch.Generator().manual_seed(seed)
    blurred = blurred_mean(learned.store, background, generator)
    (of_learned, learned_blurred), (held, held_blurred) = (
        likeness(pictures, render, background, blurred, generator) for pictures in (learned, others)
    )
    return Generalisation(of_learned, held, learned_blurred, held_blurred)


@torch.no_grad()
def likeness(
    pictures: SeenPictures, render: Callable[[RayBundle], Tensor], background: Float[Tensor, " 3"],
    blurred: Float[Tensor, "cells 3"], generator: torch.Generator,
) -> tuple[float, float]:  # fmt: skip
    """PSNR, in dB, of some pixels: as they are rendered, and told by a blurred mean of pictures."""
    pixels = pictures.store.draw_pixels(RAYS, generator)
    truth = over_background(pictures.store.colors(pixels), background)
    shown = render(pictures.rays(pixels)), blurred[cell_of(pictures.store, pixels)]
    ours, theirs = (float(peak_signal_noise_ratio(each.clamp(0, 1), truth, data_range=1.0)) for each in shown)
    return ours, theirs


def blurred_mean(
    store: PictureStore, background: Float[Tensor, " 3"], generator: torch.Generator
) -> Float[Tensor, "cells 3"]:
    """The mean colour of each cell of all pictures."""
    pixels = store.draw_pixels(16 * RAYS, generator)
    colors, cells = over_background(store.colors(pixels), background), cell_of(store, pixels)
    sums = torch.zeros(CELLS**2, 3, device=colors.device).index_add_(0, cells, colors)
    counts = torch.bincount(cells, minlength=CELLS**2)[:, None]
    return torch.where(counts > 0, sums / counts.clamp(min=1), colors.mean(0))


def cell_of(store: PictureStore, pixels: Int[Tensor, "pixels 3"]) -> Int[Tensor, " pixels"]:
    """In which cell of its picture a pixel (camera, row, column) lies."""
    row, column = ((pixels[:, 1:] + 0.5) / store.sizes[pixels[:, 0]] * CELLS).long().unbind(-1)
    return row * CELLS + column
