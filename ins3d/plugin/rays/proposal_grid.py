"""The proposal network's density on a grid: it says where the network itself need not be asked."""

import torch
from jaxtyping import Float
from torch import Tensor

from ins3d.plugin.rays.proposals import PlaneDensity

SIDE = 192
"""Corners along a side of the scene's cube: 28 MB, whatever the scene. The network's planes have 128."""
LEAST = 1e-3
"""Of a ray's weight, that a step may have: of less the grid's density will do."""
CARE = (0.5, 4.0)
"""The grid is read at its nearest corner: what hides a step may be half as dense, and the step four times as dense."""


class ProposalGrid:
    """Of one state of a proposal network."""

    def __init__(self, proposal: PlaneDensity) -> None:
        self.proposal = proposal
        self.density = proposal.on_grid(SIDE).flatten()

    def __call__(
        self, positions: Float[Tensor, "3 steps rays"], lengths: Float[Tensor, "steps rays"]
    ) -> Float[Tensor, "steps rays"]:
        """Density at positions in the unit ball, per ball radius; `lengths` of steps in ball radii, those of a ray in order.

        The network's, but the grid's where nothing is, or where all that is lies behind something else: three of four steps.
        """
        x, y, z = ((positions + 1) * ((SIDE - 1) / 2) + 0.5).int()
        density = self.density.index_select(0, ((z * SIDE + y) * SIDE + x).flatten()).reshape(lengths.shape)
        optical = density * lengths
        hidden = torch.exp(-CARE[0] * (running_sums(optical) - optical))
        matters = (hidden * (1 - torch.exp(-CARE[1] * optical)) > LEAST).flatten().nonzero()[:, 0]
        asked = self.proposal(positions.flatten(1).index_select(1, matters).T)
        density.view(-1).index_copy_(0, matters, asked[:, 0])
        return density


def running_sums(values: Float[Tensor, "steps rays"]) -> Float[Tensor, "steps rays"]:
    """As `cumsum` down each column, which on a CPU takes five times as long."""
    return values.new_ones(len(values), len(values)).tril_() @ values
