"""Features at the corners of cubic cells, at several resolutions, kept in hash tables (instant-ngp)."""

from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ins3d.fields.point_encoding import fade, rotation
from ins3d.fields.precision import exact_product
from ins3d.fields.table_rows import hashed_corners, mixed_rows, returned_rows

INITIAL = 0.01
"""Standard deviation of what is drawn: cells that no step has touched say next to nothing, and show no speckle."""


class _Mixed(torch.autograd.Function):
    """Weighted sums of rows of a table. torch's own gradient of `embedding_bag` takes fifty times as long on a CPU."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: Tensor, shares: Tensor) -> Tensor:
        of_shares = ctx.needs_input_grad[2]
        ctx.save_for_backward(rows, shares, *([table] if of_shares else []))
        ctx.size = len(table)
        return mixed_rows(table, (rows, shares))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None, Tensor | None]:
        (grad,), (rows, shares, *table) = grads, ctx.saved_tensors
        of_table = returned_rows(grad, (rows, shares), ctx.size) if ctx.needs_input_grad[0] else None
        of_shares = (table[0][rows] @ grad[..., None])[..., 0] if table else None
        return of_table, None, of_shares


class FeatureHash(nn.Module):
    """Features read from the eight corners of a cell, at several resolutions (Mueller et al. 2022, section 3).

    Unlike a feature plane, which repeats what it holds all along its axis, a cell is one place: what is painted on surfaces
    shows no streaks, and no plaid where those of two planes cross. Positions lie in the unit ball; every resolution looks
    along axes of its own. Differs from instant-ngp in that, and in its first values.
    """

    def __init__(self, resolutions: tuple[int, ...], channels: int, log2_size: int) -> None:
        """Cells along a side of the cube around the ball; each resolution has 2 ** `log2_size` corners' features."""
        super().__init__()
        self.resolutions, self.size = resolutions, 2**log2_size
        self.num_outputs = channels * len(resolutions)
        self.tables = nn.ParameterList(nn.Parameter(torch.randn(self.size, channels) * INITIAL) for _ in resolutions)
        # With the module, and in no file: a list that becomes a tensor at every look is copied to a GPU, which waits for it.
        self.register_buffer("cells", torch.tensor(resolutions, dtype=torch.float32), persistent=False)
        self.register_buffer("turns", torch.stack([rotation(level, 3) for level in range(len(resolutions))]))

    def forward(
        self, positions: Float[Tensor, "*batch 3"], spread: Float[Tensor, "*batch 1"] | None = None
    ) -> Float[Tensor, "*batch outputs"]:
        """Trilinear; a resolution whose cells are smaller than `spread` (same units as positions) fades out."""
        flat = positions.reshape(-1, 3)
        levels = []
        for level, (table, rows, shares) in enumerate(zip(self.tables, *self._around(flat), strict=True)):
            features = cast(Tensor, _Mixed.apply(table, rows, shares))
            if spread is not None:
                # The shortest wave is two cells long; a cell is 2 / resolution wide.
                features = features * fade(spread.reshape(-1, 1), torch.pi * self.resolutions[level] / 2)
            levels.append(features)
        return torch.cat(levels, dim=-1).reshape(*positions.shape[:-1], self.num_outputs)

    def _around(
        self, positions: Float[Tensor, "points 3"]
    ) -> tuple[Int[Tensor, "levels points 8"], Float[Tensor, "levels points 8"]]:
        """(rows of the tables, weights that add up to 1) of the corners of the cells that positions lie in."""
        turned = exact_product(cast(Tensor, self.turns).transpose(1, 2).reshape(-1, 3), positions.T)
        return hashed_corners(turned.reshape(len(self.resolutions), 3, -1), cast(Tensor, self.cells), self.size)
