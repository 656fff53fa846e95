"""Features read from tables as weighted sums of their rows: of the corners of the cells that positions lie in."""

from itertools import combinations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

PRIMES = (1, -1_640_531_535, 805_459_861)
"""Of instant-ngp's hash (Mueller et al. 2022, eq. 4), as 32 bits with a sign: of a product the lower bits are the same."""
Corners = tuple[Int[Tensor, "points corners"], Float[Tensor, "points corners"]]
"""(rows of the table, weights that add up to 1, or for several planes to their number)."""


def mixed_rows(table: Float[Tensor, "rows channels"], corners: Corners) -> Float[Tensor, "points channels"]:
    """Weighted sums of rows. On a CPU it reads four times as many as `grid_sample`, whose channels lie far apart."""
    rows, shares = corners
    return F.embedding_bag(rows, table, per_sample_weights=shares, mode="sum")


class KeptRows:
    """Planes laid out as tables of rows, until their parameters change."""

    def __init__(self) -> None:
        self._tables: dict[int, tuple[tuple[int, ...], Tensor]] = {}

    def __call__(self, index: int, planes: nn.Parameter) -> Float[Tensor, "rows channels"]:
        """Of planes (planes, channels, side, side), known by a number: rows of one pixel each."""
        state = parameter_state(planes)
        kept = self._tables.get(index)
        if kept is None or kept[0] != state:
            kept = state, planes.detach().permute(0, 2, 3, 1).reshape(-1, planes.shape[1]).contiguous()
            self._tables[index] = kept
        return kept[1]


def parameter_state(*tensors: Tensor) -> tuple[int, ...]:
    """Differs once one of them was written to or moved."""
    return tuple(number for tensor in tensors for number in (tensor.data_ptr(), tensor._version))


def plane_corners(positions: Float[Tensor, "inputs points"], side: int) -> Corners:
    """Bilinear in planes along all pairs of axes, `side` pixels across; positions in [-1, 1], clamped."""
    place = ((positions + 1) * ((side - 1) / 2)).clamp(0, side - 1)
    low = place.int().clamp(max=side - 2)
    ends = (1 - (place - low), place - low)
    pairs = list(combinations(range(len(positions)), 2))
    rows, shares = _empty_corners(positions, 4 * len(pairs))
    for index, (across, down) in enumerate(pairs):
        first = torch.add(low[across], low[down], alpha=side)
        for corner in range(4):
            right, below = corner % 2, corner // 2
            column = 4 * index + corner
            rows[:, column] = first + (index * side**2 + below * side + right)
            shares[:, column] = ends[below][down] * ends[right][across]
    return rows, shares


def hashed_corners(positions: Float[Tensor, "3 points"], cells: int, size: int) -> Corners:
    """Trilinear in `cells` along a side of [-1, 1], in a table of `size` rows, a power of 2."""
    place = (positions + 1) * (cells / 2)
    low = place.floor()
    within = place - low
    ends = (1 - within, within)
    hashed = [low[axis].int() * prime for axis, prime in enumerate(PRIMES)]
    sides = [(lower, lower + prime) for lower, prime in zip(hashed, PRIMES, strict=True)]
    rows, shares = _empty_corners(positions, 8)
    for right in range(2):
        for below in range(2):
            row = sides[0][right] ^ sides[1][below]
            share = ends[right][0] * ends[below][1]
            for behind in range(2):
                column = 4 * right + 2 * below + behind
                rows[:, column] = (row ^ sides[2][behind]) & (size - 1)
                shares[:, column] = share * ends[behind][2]
    return rows, shares


def _empty_corners(positions: Tensor, number: int) -> Corners:
    shares = positions.new_empty(positions.shape[1], number)
    return torch.empty_like(shares, dtype=torch.int32), shares
