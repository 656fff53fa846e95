"""Features read from tables as weighted sums of their rows: of the corners of the cells that positions lie in."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from scipy.sparse import csc_matrix
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

PRIMES = (1, -1_640_531_535, 805_459_861)
"""Of instant-ngp's hash (Mueller et al. 2022, eq. 4), as 32 bits with a sign: of a product the lower bits are the same."""
Corners = tuple[Int[Tensor, "*levels points corners"], Float[Tensor, "*levels points corners"]]
"""(rows of the table, weights that add up to 1, or for several planes to their number)."""


def mixed_rows(table: Float[Tensor, "rows channels"], corners: Corners) -> Float[Tensor, "points channels"]:
    """Weighted sums of rows. On a CPU it reads four times as many as `grid_sample`, whose channels lie far apart."""
    rows, shares = corners
    return F.embedding_bag(rows, table, per_sample_weights=shares, mode="sum")


def returned_rows(
    grad: Float[Tensor, "points channels"], corners: Corners, number: int
) -> Float[Tensor, "{number} channels"]:
    """The gradient of a table of `number` rows whose `mixed_rows` have the gradient `grad`.

    On a CPU by SciPy, whose product of a sparse matrix takes a twentieth of the time of torch's `index_add_`.
    """
    rows, shares = corners
    if grad.device.type == "cpu":
        ends = torch.arange(0, rows.numel() + 1, rows.shape[1], dtype=torch.int32)
        mixing = csc_matrix((shares.flatten().numpy(), rows.flatten().numpy(), ends.numpy()), shape=(number, len(rows)))
        return torch.from_numpy(mixing @ grad.numpy())
    spread = (grad[:, None] * shares[..., None]).flatten(0, 1)
    return grad.new_zeros(number, grad.shape[1]).index_add_(0, rows.flatten(), spread)


class KeptRows:
    """Planes laid out as tables of rows, until their parameters change."""

    def __init__(self) -> None:
        self._tables: dict[int, tuple[tuple[int, ...], Tensor]] = {}

    def __call__(self, index: int, planes: nn.Parameter) -> Float[Tensor, "rows channels"]:
        """Of planes (planes, channels, side, side), known by a number: rows of one pixel each."""
        state = parameter_state(planes)
        kept = self._tables.get(index)
        if kept is None or kept[0] != state:
            with torch.inference_mode(False), torch.no_grad():  # what is kept may be copied elsewhere
                kept = state, planes.permute(0, 2, 3, 1).reshape(-1, planes.shape[1]).contiguous()
            self._tables[index] = kept
        return kept[1]


class _Steps:
    """How many steps all optimizers have made: torch's fused Adam writes to parameters without counting it as a write."""

    number = 0

    @classmethod
    def count(cls, *_: Any) -> None:
        cls.number += 1


register_optimizer_step_post_hook(_Steps.count)


def parameter_state(*tensors: Tensor) -> tuple[int, ...]:
    """Differs once one of them was written to or moved or, where one learns, any optimizer has made a step."""
    steps = _Steps.number if any(tensor.requires_grad for tensor in tensors) else 0
    return steps, *(number for tensor in tensors for number in (tensor.data_ptr(), tensor._version))


def plane_corners(positions: Float[Tensor, "inputs points"], side: int) -> Corners:
    """Bilinear in planes along all pairs of axes, `side` pixels across; positions in [-1, 1], clamped."""
    place = ((positions + 1) * ((side - 1) / 2)).clamp(0, side - 1)
    low = place.int().clamp(max=side - 2)
    ends = torch.stack([1 - (place - low), place - low])
    across, down = torch.combinations(torch.arange(len(positions), device=low.device)).T
    to_corners = torch.tensor([[0, 1], [side, side + 1]], dtype=torch.int32, device=low.device)  # (down, across)
    planes = torch.arange(len(across), dtype=torch.int32, device=low.device) * side**2
    rows = (low[across] + side * low[down]) + (to_corners[..., None] + planes)[..., None]
    return _by_point(rows.flatten(0, -2)), _by_point((ends[:, None, down] * ends[None, :, across]).flatten(0, -2))


def hashed_corners(positions: Float[Tensor, "levels 3 points"], cells: Float[Tensor, " levels"], size: int) -> Corners:
    """Trilinear in `cells` along a side of [-1, 1], in tables of `size` rows, a power of 2; both are (levels, points, 8)."""
    place = (positions + 1) * (cells[:, None, None] / 2)
    low = place.floor()
    within = place - low
    x, y, z = torch.stack([1 - within, within], dim=1).unbind(2)  # each (levels, 2, points): the lower end and the upper
    primes = torch.tensor(PRIMES, dtype=torch.int32, device=low.device)[:, None]
    first = low.int() * primes
    across, down, away = torch.stack([first, first + primes], dim=1).unbind(2)
    rows = across[:, :, None, None] ^ down[:, None, :, None] ^ away[:, None, None]
    shares = x[:, :, None, None] * y[:, None, :, None] * z[:, None, None]
    return _by_point((rows & (size - 1)).flatten(1, 3)), _by_point(shares.flatten(1, 3))


def _by_point(corners: Float[Tensor, "*levels corners points"] | Int[Tensor, "*levels corners points"]) -> Tensor:
    return corners.transpose(-2, -1).contiguous()
