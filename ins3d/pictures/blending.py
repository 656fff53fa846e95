"""One network learns a picture, its stylised version, and all strengths between."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ins3d.pictures.fitting import fit_losses
from ins3d.pictures.painting import Look
from ins3d.pictures.sizes import Sizes
from ins3d.pictures.stylized import BlendedPicture
from ins3d.runs.training import Losses
from ins3d.style.losses import loss_of

FIT_POINTS = 8192
"""Places at which the photograph is asked for in each step."""
FIT_WEIGHT = 150.0
"""How much the photograph counts at strength 0."""


class PictureBlending:
    """INR-st (spec B): a strength for each step, content and style weighed by it; at strength 0 it is the photograph.

    Differs from INR-st: steps come first that fit the picture at any strength; every step also asks for the photograph
    itself, at strength 0 and at random places, because features alone leave colours unsettled; losses are divided by
    their values at the start, instead of 1e5 times a sum of squared Gram differences; Adam has its usual betas, and its rate
    falls; and there are hundreds of steps, not 20,000.
    """

    def __init__(
        self, field: BlendedPicture, looks: Sequence[Look], sizes: Sizes, num_fit_steps: int, num_steps: int,
        num_points: int = FIT_POINTS, fit_weight: float = FIT_WEIGHT,
    ) -> None:  # fmt: skip
        """The first `num_fit_steps` fit; in `num_steps` after those the picture is seen at its `sizes`, coarse to fine."""
        self.field, self.looks, self.sizes = field, looks, sizes
        self.num_fit_steps, self.num_steps = num_fit_steps, num_steps
        self.num_points, self.fit_weight = num_points, fit_weight
        self.sources = [look.source for look in looks] if field.finest else [looks[-1].source]

    @torch.no_grad()
    def begin(self) -> None:
        """What each loss is divided by."""
        for look in self.looks:
            photographs = look.windows.fixed_photographs()
            found = look.objective.measure_normalisers(photographs, photographs, 0, torch.Generator().manual_seed(0))
            look.objective.normalisers = found[None]

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """One step's, weighted."""
        drawn = torch.rand(self.num_points, 1, generator=generator).to(self.sources[0].rgb)
        if step < self.num_fit_steps:
            return self._fit(drawn)(step, generator)
        fit = self._fit(0 * drawn)(step, generator)
        strength = float(drawn[0])
        look = self.looks[self.sizes.at(step - self.num_fit_steps, self.num_steps)]
        window, shift = look.windows(generator)
        positions = window.positions(slice(None), shift).to(drawn)
        rgb = self.field(positions, positions.new_full((len(positions), 1), strength), window.pixel)
        patches = rgb.T.reshape(1, 3, window.height, window.width)
        found = look.objective.losses(patches, look.source.look(window, shift), 0, generator)
        weights = {
            name: weight * inr_st_factor(1 - strength if loss_of(name).pulls_to == "content" else strength)
            for name, weight in look.objective.weights.items()
        }
        weighted = {name: weights[name] * value for name, value in found.items()}
        return weighted | {"fit_loss": self.fit_weight * fit["fit_loss"], "psnr": fit["psnr"]}

    def _fit(self, strengths: Tensor) -> Losses:
        return fit_losses(lambda positions, pixel: self.field(positions, strengths, pixel), self.sources, self.num_points)


def inr_st_factor(share: float) -> float:
    """r(a) = -a ln(1 - a), with a kept from 0 and 1, where it ends or grows without bound (INR-st; spec B).

    >>> round(inr_st_factor(0.5), 4)
    0.3466
    """
    share = min(max(share, 1e-4), 1 - 1e-4)
    return -share * math.log1p(-share)
