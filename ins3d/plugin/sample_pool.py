"""What a frozen content knows about training pixels, kept: windows of pixels, and tensors about each."""

import errno
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ins3d.plugin.memory import free_memory
from ins3d.plugin.pixel_sampler import LEAST_FOREGROUND, MAX_DRAWS, WindowSampler
from ins3d.style.patches import drawn_start
from ins3d.style.windows import Extent

Progress = Callable[[int, int], None]
SHARE_OF_MEMORY = 0.25
"""A cache larger than this share of the free memory is kept in a file beside the run and mapped."""


class PoolSettings:
    """Named by config.yml of runs from before 0.3; see `saved_runs`."""


@dataclass
class Window:
    """Rays (down, across) `extent` of pictures reduced by `stride`; the first is ray number `first` of the cache."""

    stride: int
    extent: Extent
    first: int


class SampleCache:
    """Windows at every stride; patches are cut from them at any offset."""

    def __init__(self, windows: list[Window], pixel_indices: Tensor, counts: Tensor, kept: dict[str, Tensor]) -> None:
        self.windows = windows
        self.pixel_indices = pixel_indices
        self.counts = counts
        self.kept = kept

    def draw_patch(self, extent: Extent, stride: int, generator: torch.Generator) -> Tensor:
        """Places, in the cache, of the pixels of one patch that sees more than background."""
        windows = [window for window in self.windows if window.stride == stride]
        device = self.pixel_indices.device

        places = torch.empty(0)
        for _ in range(MAX_DRAWS):
            window = windows[int(torch.randint(len(windows), (), generator=generator))]
            height, width = window.extent
            row = drawn_start(height - extent[0], extent[0], generator)
            column = drawn_start(width - extent[1], extent[1], generator)
            down, across = (torch.arange(side, device=device) for side in extent)
            places = (window.first + (row + down)[:, None] * width + column + across).reshape(-1)
            if float(self.counts[places].mean()) >= LEAST_FOREGROUND:
                break
        return places


def fill_cache(
    sampler: WindowSampler,
    points_of: Callable[[int, Tensor], dict[str, Tensor]],
    folder: Path,
    generator: torch.Generator,
    progress: Progress,
) -> SampleCache:
    """Draws the windows of the sampler's plan, looks at their pixels in chunks, and keeps what `points_of` says of them."""
    windows, chunks, counts = [], [], []
    first, plan = 0, sampler.plan
    pictures = torch.randperm(len(sampler.pyramid[1].store), generator=generator).tolist()  # one after the other
    for stride, number in plan.counts.items():
        extent = plan.window_at(stride)
        number = min(number, len(pictures)) if stride in plan.whole else number
        # A window is larger than a patch: as much foreground as one patch needs is enough.
        least = LEAST_FOREGROUND * math.prod(plan.patch_at(stride)) / math.prod(extent)
        for index in range(number):
            windows.append(Window(stride, extent, first))
            chunks.append(sampler.draw_window(extent, stride, generator, least, pictures[index % len(pictures)]))
            counts.append(sampler.pyramid[stride].store.counts(chunks[-1]))
            first += math.prod(extent)
    pixel_indices = torch.cat(chunks)
    kept: dict[str, Tensor] = {}
    done = 0
    for window, indices in zip(windows, chunks, strict=True):
        for part in indices.split(16384):
            for name, values in points_of(window.stride, part).items():
                if name not in kept:
                    kept[name] = _empty(len(pixel_indices), values, folder / f"pool_{name}.bin")
                kept[name][done : done + len(part)] = values
            done += len(part)
            progress(done, len(pixel_indices))
    return SampleCache(windows, pixel_indices, torch.cat(counts), kept)


def _empty(count: int, like: Tensor, file: Path) -> Tensor:
    """Memory for `count` rows; a mapped file when memory is short."""
    shape = (count, *like.shape[1:])
    size, free = count * like[0].numel() * like.element_size(), free_memory(like.device)
    if like.device.type != "cpu" and size > free:
        raise ValueError(
            f"pipeline.patches.max-rays: keeping {count} samples takes more than the {free / 1e9:.1f} GB that are free on "
            f"{like.device}; lower it."
        )
    if like.device.type != "cpu" or size < SHARE_OF_MEMORY * free:
        return torch.empty(shape, dtype=like.dtype, device=like.device)
    reserve_file(file, size)
    flat = torch.from_file(str(file), shared=True, size=size // like.element_size(), dtype=like.dtype)
    if os.name == "posix":
        file.unlink()  # the mapping keeps it; whatever ends the run, nothing stays behind
    return flat.reshape(shape)


def reserve_file(file: Path, size: int) -> None:
    """Reserves the bytes now: a full disk is a sentence here, and a crash when a mapped page is written."""
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(file, "wb") as handle:
            os.posix_fallocate(handle.fileno(), 0, size)
    except OSError as error:
        file.unlink(missing_ok=True)
        if error.errno != errno.ENOSPC:
            raise
        raise ValueError(
            f"pipeline.patches.max-rays: keeping samples needs {size / 1e9:.1f} GB in {file.parent}, and the disk is full; "
            "lower it, or choose another --output-dir."
        ) from error
