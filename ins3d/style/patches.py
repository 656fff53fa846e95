"""Strided patches: pixel indices of their rays, and values of rays as pictures (INS, sampling stride)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def patch_extent(size: int, stride: int) -> int:
    """Picture pixels along one side of a crop that holds `size` rays, `stride` pixels apart (spec A.6: size * stride).

    >>> patch_extent(64, 2)
    128
    """
    return size * stride


def largest_stride_that_fits(size: int, height: int, width: int) -> int:
    """The largest stride with which a patch of `size` rays lies inside the picture; 0 when not even stride 1 does.

    >>> largest_stride_that_fits(64, 240, 135), largest_stride_that_fits(64, 40, 135)
    (2, 0)
    """
    return min(height, width) // size


def doubling_strides(size: int, height: int, width: int) -> tuple[int, ...]:
    """1, 2, 4, ... as long as the patch lies inside the picture: from fine strokes to large motifs.

    >>> doubling_strides(64, 378, 504)
    (1, 2, 4)
    """
    largest = largest_stride_that_fits(size, height, width)
    return tuple(2**power for power in range(largest.bit_length()))


def drawn_start(room: int, length: int, generator: torch.Generator, edges: bool = True) -> int:
    """Where a stretch of `length` begins, in [0, room]; with `edges` at the ends more often, else they lie in hardly any.

    Drawn then from a range that reaches half of the length over both ends, and moved in.
    """
    margin = min(length // 2, room) if edges else 0
    return min(max(int(torch.randint(room + 1 + 2 * margin, (), generator=generator)) - margin, 0), room)


def check_patch_fits(size: int, stride: int, height: int, width: int, setting: str) -> None:
    """Raises ValueError, with the remedy, when the crop is larger than the picture; `setting` is the option's name."""
    if patch_extent(size, stride) <= min(height, width):
        return
    largest = largest_stride_that_fits(size, height, width)
    remedy = f"use a stride of {largest} or less" if largest else f"use a patch size of {min(height, width)} or less"
    raise ValueError(
        f"{setting}: a patch of {size} rays at stride {stride} covers {patch_extent(size, stride)} pixels, "
        f"more than the {width}x{height} picture has; {remedy}."
    )


def window_pixel_indices(camera: int, row: int, column: int, extent: tuple[int, int]) -> Int[Tensor, "rays 3"]:
    """(camera, row, column) of every pixel of a window of (height, width) `extent`, row by row.

    >>> window_pixel_indices(4, 5, 7, (1, 2)).tolist()
    [[4, 5, 7], [4, 5, 8]]
    """
    rows, columns = torch.arange(row, row + extent[0]), torch.arange(column, column + extent[1])
    return torch.cartesian_prod(torch.tensor([camera]), rows, columns)


def rays_to_pictures(values: Float[Tensor, "rays channels"], extent: tuple[int, int]) -> Float[Tensor, "_ channels _ _"]:
    """Answers of rays, in the order of `window_pixel_indices`, as pictures of (height, width) `extent`, channels first.

    >>> rays_to_pictures(torch.arange(4.0)[:, None], (1, 4)).tolist()
    [[[[0.0, 1.0, 2.0, 3.0]]]]
    """
    return values.reshape(-1, *extent, values.shape[-1]).permute(0, 3, 1, 2).contiguous()


def rays_to_patches(values: Float[Tensor, "rays channels"], size: int) -> Float[Tensor, "_ channels {size} {size}"]:
    """Answers of rays, in the order of `window_pixel_indices`, as square pictures with channels first.

    >>> rays_to_patches(torch.arange(4.0)[:, None], size=2).tolist()
    [[[[0.0, 1.0], [2.0, 3.0]]]]
    """
    return rays_to_pictures(values, (size, size))
