"""One network learns a picture, its stylised version, and all strengths between."""

import math

import torch
from torch import Tensor

from ins3d.pictures.fitting import PictureSource, WindowSampler, fit_losses
from ins3d.pictures.stylized import BlendedPicture
from ins3d.style.losses import loss_of
from ins3d.style.objective import StyleObjective

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
        self, field: BlendedPicture, source: PictureSource, objective: StyleObjective, windows: WindowSampler,
        num_fit_steps: int, num_points: int = FIT_POINTS, fit_weight: float = FIT_WEIGHT,
    ) -> None:  # fmt: skip
        self.field, self.source, self.objective, self.windows = field, source, objective, windows
        self.num_fit_steps, self.num_points, self.fit_weight = num_fit_steps, num_points, fit_weight

    @torch.no_grad()
    def begin(self) -> None:
        """What each loss is divided by."""
        photographs = self.windows.fixed_photographs()
        found = self.objective.measure_normalisers(photographs, photographs, 0, torch.Generator().manual_seed(0))
        self.objective.normalisers = found[None]

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """One step's, weighted."""
        drawn = torch.rand(self.num_points, 1, generator=generator).to(self.source.rgb)
        if step < self.num_fit_steps:
            return fit_losses(lambda positions: self.field(positions, drawn), self.source, self.num_points)(step, generator)
        fit = fit_losses(lambda positions: self.field(positions, 0 * drawn), self.source, self.num_points)(step, generator)
        strength = float(drawn[0])
        window, shift = self.windows(step - self.num_fit_steps, generator)
        positions = window.positions(slice(None), shift).to(self.source.rgb)
        rgb = self.field(positions, positions.new_full((len(positions), 1), strength))
        patches = rgb.T.reshape(1, 3, window.height, window.width)
        found = self.objective.losses(patches, self.source.look(window, shift), 0, generator)
        weights = {
            name: weight * inr_st_factor(1 - strength if loss_of(name).pulls_to == "content" else strength)
            for name, weight in self.objective.weights.items()
        }
        weighted = {name: weights[name] * value for name, value in found.items()}
        return weighted | {"fit_loss": self.fit_weight * fit["fit_loss"], "psnr": fit["psnr"]}


def inr_st_factor(share: float) -> float:
    """r(a) = -a ln(1 - a), with a kept from 0 and 1, where it ends or grows without bound (INR-st; spec B).

    >>> round(inr_st_factor(0.5), 4)
    0.3466
    """
    share = min(max(share, 1e-4), 1 - 1e-4)
    return -share * math.log1p(-share)
