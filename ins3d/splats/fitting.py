"""Splats are moved, turned, resized and coloured until they look as the field does (Kerbl et al. 2023, section 5)."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torchmetrics.functional.image import structural_similarity_index_measure as ssim

from ins3d.splats.compositing import composite
from ins3d.splats.field_views import FieldView
from ins3d.splats.gaussians import Gaussians
from ins3d.splats.harmonics import view_colors
from ins3d.splats.projection import project
from ins3d.splats.views import View, nearest_pixel

SSIM_SHARE = 0.2
RATES = {"moves": 0.28, "log_scales": 0.14, "logits": 0.28, "rotations": 0.056, "rgb": 0.028, "harmonics": 0.014}
"""Adam's; moves in pixels. They fall to a tenth, evenly in their logarithm."""
BETAS = (0.9, 0.99)
STYLES_AT_ONCE = 3
"""That a step compares beside the content; of more, others come in the next."""


@dataclass
class Fitted:
    """Splats, and their colours under every look."""

    splats: Gaussians
    """In the content's colours."""
    styles: Float[Tensor, "styles splats 3"]
    """Under each style alone, at full strength."""


class _Learned(nn.Module):
    """What is learned of splats: one shape for all looks, colours for each."""

    def __init__(
        self, splats: Gaussians, looks: Float[Tensor, "looks splats 3"], pixel: Float[Tensor, " splats"], degree: int
    ) -> None:
        super().__init__()
        self.start, self.pixel = splats.means, pixel[:, None]
        self.moves = nn.Parameter(torch.zeros_like(splats.means))
        self.log_scales = nn.Parameter(splats.scales.log())
        self.rotations = nn.Parameter(splats.rotations.clone())
        self.logits = nn.Parameter(torch.logit(splats.opacities.clamp(0.01, 0.985)))
        self.rgb = nn.Parameter(looks.clone())
        self.harmonics = nn.Parameter(splats.means.new_zeros(len(splats), 3 if degree else 0, 3))

    def splats(self) -> Gaussians:
        """In the content's colours."""
        rotations = F.normalize(self.rotations, dim=-1)
        means = self.start + self.pixel * self.moves
        return Gaussians(means, self.log_scales.exp(), rotations, self.logits.sigmoid(), self.rgb[0], self.harmonics)

    def picture(self, view: View, looks: list[int], background: Tensor) -> Float[Tensor, "looks height width 3"]:
        splats = self.splats()
        ellipses = project(view, splats.means, splats.scales, splats.rotations, splats.opacities)
        rgb = self.rgb[looks]
        if splats.degree:
            towards = F.normalize(splats.means.detach() - view.center, dim=-1)
            rgb = rgb + view_colors(splats.harmonics, towards)
        drawn = composite(view, ellipses, splats.opacities, rgb.movedim(0, 1).flatten(1), background.repeat(len(looks)))
        return drawn.unflatten(-1, (len(looks), 3)).movedim(2, 0)


def fit(
    splats: Gaussians,
    looks: Float[Tensor, "looks splats 3"],
    seen: list[FieldView],
    steps: int,
    background: Float[Tensor, " 3"] | None,
    degree: int,
    generator: torch.Generator,
    report: Callable[[int], None] = lambda step: None,
) -> Fitted:
    """Steps of Adam on one camera each, in no order; the content and the styles are compared at once.

    `looks` are the colours to start from, the content's first. `background`: what lies behind the pictures; None: a random
    colour each time, so that what is empty stays empty. `degree` 1: what changes with the view is learned too.
    """
    pixel = nearest_pixel(splats.means, [each.view for each in seen])
    pixel = torch.where(pixel.isfinite(), pixel, pixel[pixel.isfinite()].median())
    learned = _Learned(splats, looks, pixel, degree)
    groups = [{"params": [getattr(learned, name)], "lr": rate} for name, rate in RATES.items()]
    optimizer = torch.optim.Adam(groups, betas=BETAS, eps=1e-15, fused=True)
    cameras: list[int] = []
    styles: list[int] = []
    for step in range(steps):
        cameras = cameras or torch.randperm(len(seen), generator=generator).tolist()
        styles = styles or (1 + torch.randperm(len(looks) - 1, generator=generator)).tolist()
        for group, rate in zip(optimizer.param_groups, RATES.values(), strict=True):
            group["lr"] = rate * 0.1 ** (step / steps)
        behind = torch.rand(3, generator=generator) if background is None else background
        shown, styles = [0, *styles[:STYLES_AT_ONCE]], styles[STYLES_AT_ONCE:]
        loss = _loss(learned, seen[cameras.pop()], shown, behind)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        report(step)
    with torch.no_grad():
        made = learned.splats()
        return Fitted(replace(made, rgb=made.rgb.detach(), harmonics=made.harmonics.detach()), learned.rgb[1:].detach())


def _loss(learned: _Learned, seen: FieldView, looks: list[int], background: Tensor) -> Float[Tensor, ""]:
    pictures = learned.picture(seen.view, looks, background)
    wanted = torch.stack([seen.over(look, background) for look in looks])
    alike = ssim(pictures.permute(0, 3, 1, 2), wanted.permute(0, 3, 1, 2), data_range=1.0)
    assert isinstance(alike, Tensor)
    return (1 - SSIM_SHARE) * (pictures - wanted).abs().mean() + SSIM_SHARE * (1 - alike)
