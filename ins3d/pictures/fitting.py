"""A picture to learn from, and the losses of its fit (spec A.10, stage 1)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio

from ins3d.files.pictures import resize_long_side
from ins3d.pictures.content import PictureContent
from ins3d.pictures.sizes import plan_sizes
from ins3d.pictures.windows import PictureWindow, positions_of, read_shares
from ins3d.runs.training import Losses, Training

Picture = Float[Tensor, "3 height width"]


@dataclass(frozen=True)
class PictureSource:
    """A picture to learn from, asked at any place of it."""

    rgb: Picture
    of_aspect: float | None = None
    """Width by height of the picture as it was before it was reduced to whole pixels; by default those of `rgb`."""

    @property
    def aspect(self) -> float:
        """Width by height."""
        return self.of_aspect or self.rgb.shape[2] / self.rgb.shape[1]

    @property
    def whole(self) -> PictureWindow:
        """Every pixel once."""
        _, height, width = self.rgb.shape
        return PictureWindow(height, width, self.aspect)

    @property
    def long_side(self) -> int:
        """In pixels."""
        return max(self.rgb.shape[1:])

    def reduced(self, long_side: int) -> "PictureSource":
        """The same picture, smaller."""
        return self if long_side == self.long_side else PictureSource(resize_long_side(self.rgb, long_side), self.aspect)

    def at(self, shares: Float[Tensor, "points 2"]) -> Float[Tensor, "points 3"]:
        """Colours between the pixels, linearly."""
        return read_shares(self.rgb, shares)

    def look(self, window: PictureWindow, shift: tuple[float, float]) -> Float[Tensor, "1 3 height width"]:
        """What there is to be seen in a window: in pixels as wide as several of the picture's, their mean."""
        stride = max(round(window.pixel / self.whole.pixel), 1)
        fine = replace(window, height=stride * window.height, width=stride * window.width)
        colors = self.at(fine.shares(slice(None), (stride * shift[0], stride * shift[1])))
        return F.avg_pool2d(colors.T.reshape(1, 3, fine.height, fine.width), stride)


def fit_losses(ask: Callable[[Tensor, float], Tensor], sources: Sequence[PictureSource], num_points: int) -> Losses:
    """The field against the picture at random places, which are not those of pixels: so nothing happens between them.

    `ask` is told positions and how wide the pixels are that they stand for. Of `sources`, the same picture coarse to fine,
    every second step sees the last, and the others see the others.
    """

    def losses(step: int, generator: torch.Generator) -> dict[str, Tensor]:
        shares = torch.rand(num_points, 2, generator=generator)
        source = sources[-1] if step % 2 else sources[step // 2 % len(sources)]
        found, wanted = ask(positions_of(shares, source.aspect).to(source.rgb), source.whole.pixel), source.at(shares)
        psnr = peak_signal_noise_ratio(found.detach(), wanted, data_range=1.0)
        return {"fit_loss": F.mse_loss(found, wanted), "psnr": psnr}

    return losses


def fit_picture(
    content: PictureContent, source: PictureSource, num_steps: int, num_points: int, seed: int
) -> tuple[Training, Losses]:
    """(training, losses) of stage 1 (spec A.10): `content` is fitted to the picture, by `training.run(losses)`.

    A content that knows wider pixels is fitted to smaller pictures too: those at which it will be painted.
    """
    sides = plan_sizes(source.long_side).long_sides if content.finest else (source.long_side,)
    sources = [source.reduced(side) for side in sides]
    training = Training(content, [{"params": list(content.parameters()), "lr": content.learning_rate}], num_steps, seed)
    return training, fit_losses(lambda *asked: content.rgb(content.features_of(*asked)), sources, num_points)
