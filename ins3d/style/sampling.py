"""Samples the mix that a step of the style stage trains."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ins3d.style.mix import Mix, single_style

PARTIAL = 0.2
"""Share of the steps that train a random strength below 1."""
BLENDED = 0.2
"""Share of the steps that train a random blend of two styles, where there are two."""
FURTHER_STYLE = 0.45
"""Steps that each further style adds, as a share of the first one's: styles share what they have in common."""


def steps_for(steps: int, num_styles: int) -> int:
    """Of a style stage that learns several styles.

    >>> steps_for(1000, 1), steps_for(1000, 3)
    (1000, 1900)
    """
    return round(steps * (1 + FURTHER_STYLE * (num_styles - 1)))


@dataclass(frozen=True)
class MixSampler:
    """Every style equally often; now and then a weaker one, or a blend of two."""

    num_styles: int
    learned: Sequence[int]
    """The styles that are trained; those of a finished run may stand before them, and are blended with."""
    seed: int
    partial: float = PARTIAL
    blended: float = BLENDED

    def mix(self, step: int, generator: torch.Generator) -> Mix:
        """What to train in this step."""
        style = self.turn(step)
        alone = single_style(style, self.num_styles, self._strength(generator))
        others = [other for other in range(self.num_styles) if other != style]
        if not others:
            return alone
        drawn, share, which = torch.rand(3, generator=generator).tolist()
        return alone.blend(others[int(which * len(others))], share) if drawn < self.blended else alone

    def turn(self, step: int) -> int:
        """Whose turn it is: in every round each style comes once, in an order of the round's own."""
        count = len(self.learned)
        generator = torch.Generator().manual_seed(self.seed + step // count)
        return self.learned[int(torch.randperm(count, generator=generator)[step % count])]

    def _strength(self, generator: torch.Generator) -> float:
        drawn, partial = torch.rand(2, generator=generator).tolist()
        return max(partial, 1e-3) if drawn < self.partial else 1.0
