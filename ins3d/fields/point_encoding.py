"""Positions become numbers a small network can work with: sines and cosines, or features read from planes."""

from itertools import combinations
from typing import Literal, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ins3d.fields.precision import exact_product
from ins3d.fields.table_rows import KeptRows, mixed_rows, plane_corners


class FrequencyEncoding(nn.Module):
    """The input, then sin and cos at 1, 2, 4, ... times it, without the factor pi (INS, spec A.2).

    >>> FrequencyEncoding(num_inputs=3, num_frequencies=10).num_outputs
    63
    """

    def __init__(self, num_inputs: int, num_frequencies: int) -> None:
        super().__init__()
        self.num_frequencies = num_frequencies
        self.num_outputs = num_inputs * (1 + 2 * num_frequencies)

    def forward(
        self, positions: Float[Tensor, "*batch inputs"], spread: Float[Tensor, "*batch 1"] | None = None
    ) -> Float[Tensor, "*batch outputs"]:
        """[x, sin(x), cos(x), sin(2x), cos(2x), ...]; `spread` fades high frequencies as in `fade`."""
        parts = [positions]
        for power in range(self.num_frequencies):
            frequency = 2.0**power
            keep = 1.0 if spread is None else fade(spread, frequency)
            parts += [torch.sin(frequency * positions) * keep, torch.cos(frequency * positions) * keep]
        return torch.cat(parts, dim=-1)


def encoded_or_zero(
    encoding: FrequencyEncoding, directions: Float[Tensor, "*batch inputs"] | None, like: Float[Tensor, "*batch channels"]
) -> Float[Tensor, "*batch outputs"]:
    """Encoded view directions; zeros, as many as there are features `like` these, for a colour that has no direction."""
    if directions is None:
        return like.new_zeros(*like.shape[:-1], encoding.num_outputs)
    return encoding(directions)


def fade(spread: Float[Tensor, "*batch 1"], frequency: float) -> Float[Tensor, "*batch 1"]:
    """How much of a wave of angular `frequency` is left when it is averaged over a Gaussian of this standard deviation.

    The integrated encoding of mip-NeRF (Barron et al. 2021, eq. 8), for a spread that is the same in all directions.

    >>> fade(torch.zeros(1, 1), 8.0).item()
    1.0
    """
    return torch.exp(-0.5 * (frequency * spread) ** 2)


LEAST_KEPT = 0.5
"""A resolution of which a pixel keeps less than this is not read: Adam would move it as far as one that counts."""


class FeaturePlanes(nn.Module):
    """Features read from axis planes at several resolutions: summed over planes, concatenated over resolutions.

    Three planes hold a scene, one a picture (`num_inputs` 2). Positions lie in [-1, 1]. With `rotated`, every resolution
    looks along axes of its own, so that what is painted does not show the planes' axes; positions must then lie in the
    unit ball.
    """

    def __init__(
        self, resolutions: tuple[int, ...], channels: int, rotated: bool = False, num_inputs: Literal[2, 3] = 3
    ) -> None:
        super().__init__()
        self.resolutions = resolutions
        self.num_outputs = channels * len(resolutions)
        self.axes = list(combinations(range(num_inputs), 2))
        self.planes = nn.ParameterList(
            nn.Parameter(torch.randn(len(self.axes), channels, res, res) * 0.1) for res in resolutions
        )
        levels = range(len(resolutions))
        turns = [rotation(level, num_inputs) if rotated else torch.eye(num_inputs) for level in levels]
        self.register_buffer("turns", torch.stack(turns))
        self._rows = KeptRows()

    def forward(
        self, positions: Float[Tensor, "*batch inputs"], spread: Float[Tensor, "*batch 1"] | float | None = None
    ) -> Float[Tensor, "*batch outputs"]:
        """Bilinear look-up; a resolution whose cells are smaller than `spread` (same units as positions) fades out.

        With one number for all positions, resolutions that keep less than `LEAST_KEPT` are 0 and cost nothing.
        """
        flat = positions.reshape(-1, positions.shape[-1])
        turns = cast(Tensor, self.turns)
        levels = []
        for level, plane in enumerate(self.planes):
            kept = None if spread is None else self._kept(level, spread, flat)
            if isinstance(spread, float) and kept is not None and float(kept) < LEAST_KEPT:
                levels.append(flat.new_zeros(len(flat), plane.shape[1]))
                continue
            features = self._read(level, exact_product(flat, turns[level]))
            levels.append(features if kept is None else features * kept)
        return torch.cat(levels, dim=-1).reshape(*positions.shape[:-1], self.num_outputs)

    def _read(self, level: int, positions: Tensor) -> Tensor:
        if not torch.is_inference_mode_enabled():
            return _read_planes(self.planes[level], positions, self.axes)
        corners = plane_corners(positions.T.contiguous(), self.resolutions[level])
        return mixed_rows(self._rows(level, self.planes[level]), corners)

    def _kept(self, level: int, spread: Tensor | float, like: Tensor) -> Tensor:
        spreads = spread.reshape(-1, 1) if isinstance(spread, Tensor) else like.new_full((1, 1), spread)
        # The shortest wave a plane can hold is two cells long; a cell is 2 / (resolution - 1) wide.
        return fade(spreads, torch.pi * (self.resolutions[level] - 1) / 2)


def _read_planes(planes: Tensor, positions: Tensor, axes: list[tuple[int, int]]) -> Tensor:
    places = positions.unbind(-1)  # a tuple as an index would be copied to a GPU, which waits for it
    pairs = torch.stack([torch.stack([places[first], places[second]], dim=-1) for first, second in axes])[:, None]
    # torch's CPU kernel shares out pictures, not points, among threads: six half planes keep two threads busy, three
    # planes leave one of them waiting.
    parts = 2 if planes.shape[1] % 2 == 0 else 1
    pieces = planes.reshape(len(axes) * parts, -1, *planes.shape[2:])
    pairs = pairs.repeat_interleave(parts, 0)
    read = F.grid_sample(pieces, pairs, mode="bilinear", padding_mode="border", align_corners=True)
    return read.reshape(len(axes), planes.shape[1], len(positions)).sum(0).T


def rotation(level: int, num_inputs: int) -> Tensor:
    """A fixed rotation for each level; the seed is part of the file format, not a random draw."""
    random = torch.Generator().manual_seed(level)
    rotation, _ = torch.linalg.qr(torch.randn(num_inputs, num_inputs, generator=random, dtype=torch.float64))
    return rotation.float()
