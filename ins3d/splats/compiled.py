"""The compositor of `loops`, with gradients: what `compositing` does where numba is installed."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse import csr_matrix
from torch import Tensor

from ins3d.splats import loops
from ins3d.splats.projection import Ellipses
from ins3d.splats.views import View

if TYPE_CHECKING:
    from ins3d.splats.crossings import Cells

NO_PAIRS = np.zeros(0, np.int32), np.zeros(0, np.float32)
"""Where only their number is wanted."""


class Tiles(NamedTuple):
    """Which splats each tile of a picture has to draw, nearest first."""

    starts: np.ndarray
    entries: np.ndarray
    across: int
    """Tiles side by side."""


def tiles_of(view: View, ellipses: Ellipses) -> Tiles:
    """The tiles of a picture, row by row."""
    order = ellipses.seen.nonzero()[:, 0]
    order = order[ellipses.depths.detach()[order].argsort()]
    middles, reach = ellipses.middles.detach()[order], ellipses.reach[order]
    across, down = -(-view.width // loops.TILE), -(-view.height // loops.TILE)
    limits = middles.new_tensor([across, down])
    low = ((middles - reach) / loops.TILE).floor().clamp(min=0).minimum(limits).long()
    high = (((middles + reach) / loops.TILE).floor() + 1).minimum(limits).clamp(min=0).long()
    wide, tall = (high - low).clamp(min=0).unbind(-1)
    counts = wide * tall
    rank = torch.repeat_interleave(torch.arange(len(order)), counts)
    within = torch.arange(len(rank)) - (counts.cumsum(0) - counts)[rank]
    row = torch.div(within, wide[rank], rounding_mode="floor")
    tile = (row + low[rank, 1]) * across + within - row * wide[rank] + low[rank, 0]
    tile, sorting = torch.sort(tile.int(), stable=True)
    ends = torch.bincount(tile, minlength=across * down).cumsum(0)
    return Tiles(np.append(0, ends.numpy()), order.int()[rank[sorting]].numpy(), across)


class Composite(torch.autograd.Function):
    """Ellipses to a picture; as `compositing.composite`."""

    @staticmethod
    def forward(
        ctx: Any,
        middles: Tensor,
        conics: Tensor,
        opacities: Tensor,
        rgb: Tensor,
        background: Tensor,
        view: View,
        tiles: Tiles,
    ) -> Float[Tensor, "height width channels"]:
        """The picture."""
        numbers = tuple(each.detach().contiguous().numpy() for each in (middles, conics, opacities.log(), rgb))
        picture = np.zeros((view.height, view.width, rgb.shape[1]), np.float32)
        left, (last, ends) = np.ones(view.shape, np.float32), np.full((2, *view.shape), -1, np.int64)
        loops.draw(*tiles, *numbers, picture, left, last, ends, *NO_PAIRS)
        ctx.kept = tiles, numbers, left, last
        ctx.save_for_backward(opacities, background)
        return torch.from_numpy(picture) + torch.from_numpy(left)[..., None] * background

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of all but the background."""
        tiles, numbers, left, last = ctx.kept
        opacities, background = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        behind = ((gradient @ background) * torch.from_numpy(left)).numpy()
        found = np.zeros((len(tiles.entries), 6 + gradient.shape[-1]), np.float32)
        loops.pull(*tiles, *numbers, gradient.numpy(), left.copy(), last, behind, found)
        summed = torch.zeros(len(opacities), found.shape[1])
        summed.index_add_(0, torch.from_numpy(tiles.entries), torch.from_numpy(found))
        by_middles, by_conics, by_logs, by_rgb = summed.split([2, 3, 1, gradient.shape[-1]], dim=-1)
        return by_middles, by_conics, by_logs[:, 0] / opacities, by_rgb, None, None, None


def weights(view: View, ellipses: Ellipses, opacities: Float[Tensor, " splats"]) -> tuple[csr_matrix, Tensor]:
    """As `compositing.weights_of`."""
    tiles = tiles_of(view, ellipses)
    numbers = tuple(each.contiguous().numpy() for each in (ellipses.middles, ellipses.conics, opacities.log()))
    ones, (last, ends) = np.ones(view.shape, np.float32), np.zeros((2, *view.shape), np.int64)
    nothing = np.zeros((len(opacities), 0), np.float32), np.zeros((*view.shape, 0), np.float32)
    loops.draw(*tiles, *numbers, *nothing, ones.copy(), last, ends, *NO_PAIRS)
    starts, found = _room_for(ends.ravel())
    loops.draw(*tiles, *numbers, *nothing, ones, last, starts[:-1].reshape(view.shape).copy(), *found)
    matrix = csr_matrix((found[1], found[0], starts.astype(np.int32)), (len(starts) - 1, len(opacities)))
    return matrix, torch.from_numpy(ones.ravel())


def marched(cells: "Cells") -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """As `crossings.march`; threads that ask at once do not wait for each other."""
    told = [
        each.contiguous().numpy()
        for each in (cells.rays, cells.ray_starts, cells.entries, cells.entry_starts, cells.points, cells.middles,
                     cells.conics, cells.opacities.log())
    ]  # fmt: skip
    left, counts = np.ones(len(cells.points), np.float32), np.zeros(len(cells.points), np.int64)
    loops.march(*told, left, counts, *NO_PAIRS)
    starts, (which, weights) = _room_for(counts)
    loops.march(*told, left, starts[:-1].copy(), which, weights)
    rays = torch.repeat_interleave(torch.arange(len(counts)), torch.from_numpy(counts))
    return rays, torch.from_numpy(which).long(), torch.from_numpy(weights), torch.from_numpy(left)


def _room_for(counts: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """(where the pairs of each begin, and the end; room for their splats and weights)."""
    starts = np.append(0, counts.cumsum())
    return starts, (np.empty(starts[-1], np.int32), np.empty(starts[-1], np.float32))
