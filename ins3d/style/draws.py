"""A step's number and random numbers become the mix of styles that the step trains."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ins3d.style.mix import StyleMix, single_style


@dataclass(frozen=True)
class StyleDraws:
    """Every style equally often; now and then a weaker one, or a blend of two."""

    num_styles: int
    learned: Sequence[int]
    """The styles that are trained; those of a finished run may stand before them, and are blended with."""
    seed: int
    strength_share: float
    """Share of the steps that train a random strength below 1."""
    mix_share: float
    """Share of the steps that train a random blend of two styles."""

    def mix(self, step: int, generator: torch.Generator) -> StyleMix:
        """What to train in this step."""
        style = self.turn(step)
        alone = single_style(style, self.num_styles, self._strength(generator))
        others = [other for other in range(self.num_styles) if other != style]
        if not others:
            return alone
        drawn, share, which = torch.rand(3, generator=generator).tolist()
        return alone.blend(others[int(which * len(others))], share) if drawn < self.mix_share else alone

    def turn(self, step: int) -> int:
        """Whose turn it is: in every round each style comes once, in an order of the round's own."""
        count = len(self.learned)
        generator = torch.Generator().manual_seed(self.seed + step // count)
        return self.learned[int(torch.randperm(count, generator=generator)[step % count])]

    def _strength(self, generator: torch.Generator) -> float:
        drawn, partial = torch.rand(2, generator=generator).tolist()
        return max(partial, 1e-3) if drawn < self.strength_share else 1.0
