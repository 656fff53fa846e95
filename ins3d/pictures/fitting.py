"""Losses of a fitted and of a painted picture (spec A.10): where a step samples the picture, and what it compares."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio

from ins3d.perception.color_transfer import color_statistics
from ins3d.pictures.content import PictureContent
from ins3d.pictures.rendering import StrengthMap, render_picture
from ins3d.pictures.stylized import StylizedPicture
from ins3d.pictures.windows import PictureWindow, positions_of, read_shares
from ins3d.runs.training import Losses, Training
from ins3d.style.colors import StyleColors
from ins3d.style.mix import Mix
from ins3d.style.patches import patch_extent
from ins3d.style.sampling import MixSampler
from ins3d.style.stage import Patches
from ins3d.style.windows import WindowPlan

Picture = Float[Tensor, "3 height width"]
PicturePatch = tuple[PictureWindow, tuple[float, float]]
"""A part of a picture, and how far its pixels are moved, in pixels."""


@dataclass(frozen=True)
class PictureSource:
    """A picture to learn from, asked at any place of it."""

    rgb: Picture

    @property
    def aspect(self) -> float:
        """Width by height."""
        return self.rgb.shape[2] / self.rgb.shape[1]

    @property
    def whole(self) -> PictureWindow:
        """Every pixel once."""
        _, height, width = self.rgb.shape
        return PictureWindow(height, width, self.aspect)

    def at(self, shares: Float[Tensor, "points 2"]) -> Float[Tensor, "points 3"]:
        """Colours between the pixels, linearly."""
        return read_shares(self.rgb, shares)

    def look(self, window: PictureWindow, shift: tuple[float, float]) -> Float[Tensor, "1 3 height width"]:
        """What there is to be seen in a window."""
        colors = self.at(window.shares(slice(None), shift))
        return colors.T.reshape(1, 3, window.height, window.width)


def fit_losses(ask: Callable[[Tensor], Tensor], source: PictureSource, num_points: int) -> Losses:
    """The field against the picture at random places, which are not those of pixels: so nothing happens between them."""

    def losses(step: int, generator: torch.Generator) -> dict[str, Tensor]:
        shares = torch.rand(num_points, 2, generator=generator)
        found, wanted = ask(positions_of(shares, source.aspect).to(source.rgb)), source.at(shares)
        psnr = peak_signal_noise_ratio(found.detach(), wanted, data_range=1.0)
        return {"fit_loss": F.mse_loss(found, wanted), "psnr": psnr}

    return losses


def fit_picture(
    content: PictureContent, source: PictureSource, num_steps: int, num_points: int, seed: int
) -> tuple[Training, Losses]:
    """(training, losses) of stage 1 (spec A.10): `content` is fitted to the picture, by `training.run(losses)`."""
    training = Training(content, [{"params": list(content.parameters()), "lr": content.learning_rate}], num_steps, seed)
    return training, fit_losses(content, source, num_points)


class WindowSampler:
    """Where a step looks: all of the picture, or a strided patch of it, moved by up to half a pixel.

    Fields are trained between pixels as well as on them: a picture rendered larger then shows nothing that was not judged.
    """

    FIXED_PATCHES = 8
    """Losses are measured on as many before the first stroke; or on all of the picture and it once more, rolled."""

    def __init__(self, source: PictureSource, plan: WindowPlan | None, num_coarse: int = 0) -> None:
        """Without a plan a step sees all of the picture; the first `num_coarse` steps at half its size."""
        self.source, self.plan, self.num_coarse = source, plan, num_coarse

    def __call__(self, step: int, generator: torch.Generator) -> PicturePatch:
        """A window, and the shift of its pixels."""
        across, down, left, top, stride = torch.rand(5, generator=generator).tolist()
        shift = (across - 0.5, down - 0.5)
        if self.plan is None:
            whole = self.source.whole
            half = PictureWindow(whole.height // 2, whole.width // 2, whole.aspect)
            return half if step < self.num_coarse else whole, shift
        size, strides = self.plan.patch, self.plan.strides
        extent = patch_extent(size, strides[int(stride * len(strides))])
        height, width = self.source.rgb.shape[1:]
        column, row = int(left * (width - extent + 1)), int(top * (height - extent + 1))
        bounds = (column / width, row / height, (column + extent) / width, (row + extent) / height)
        return PictureWindow(size, size, self.source.aspect, bounds), shift

    def fixed_photographs(self) -> Float[Tensor, "windows 3 height width"]:
        """To measure losses on. Each shows another place than the next; whole pictures because they are rolled."""
        generator, number = torch.Generator().manual_seed(0), 2 if self.plan is None else self.FIXED_PATCHES
        drawn = [self.source.look(*self(self.num_coarse, generator)) for _ in range(number)]
        return torch.cat([seen.roll(number * 3 * seen.shape[-1] // 8, -1) for number, seen in enumerate(drawn)])


class PictureSubject:
    """A fitted picture that is painted (spec A.10, stage 2); see `style.stage.Subject`."""

    def __init__(self, field: StylizedPicture, source: PictureSource, windows: WindowSampler) -> None:
        self.field, self.source, self.windows = field, source, windows
        field.colors.see_scene(color_statistics(source.rgb.flatten(1).T))

    @property
    def colors(self) -> StyleColors:
        """The field's."""
        return self.field.colors

    def draw(self, step: int, mixes: MixSampler, generator: torch.Generator) -> tuple[PicturePatch, Mix]:
        """See `Subject.draw`."""
        mix = mixes.mix(step, generator)
        return self.windows(step, generator), mix

    def look(self, window: PicturePatch, mix: Mix, generator: torch.Generator) -> Patches:
        """See `Subject.look`."""
        place, shift = window
        rgb = self.field(place.positions(slice(None), shift).to(self.source.rgb), mix.code().to(self.source.rgb))
        painted = rgb.T.reshape(1, 3, place.height, place.width)
        return Patches(painted, self._recolored(self.source.look(place, shift), mix))

    def fixed(self, mix: Mix, painted: bool) -> Patches:
        """See `Subject.fixed`. What has been painted is seen as a whole."""
        if not painted:
            photographs = self._recolored(self.windows.fixed_photographs(), mix)
            return Patches(photographs, photographs)
        whole = render_picture(self.field, self.source.whole, mix, StrengthMap(mix.strength))
        return Patches(whole[None].to(self.source.rgb), self._recolored(self.source.rgb[None], mix))

    def _recolored(self, photographs: Tensor, mix: Mix) -> Tensor:
        rgb = self.field.colors.map(photographs.permute(0, 2, 3, 1), 1.0, mix.code().to(photographs))
        return rgb.clamp(0, 1).permute(0, 3, 1, 2)
