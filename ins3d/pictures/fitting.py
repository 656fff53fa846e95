"""A picture becomes a continuous field, and the field is stylised.

Nothing is kept but the field: it is asked at any place, in any size, as strongly styled as one likes at every place.
"""

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
from ins3d.style.draws import StyleDraws
from ins3d.style.mix import StyleMix, single_style
from ins3d.style.objective import StyleObjective

Picture = Float[Tensor, "3 height width"]


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
    """What `Training.run` needs to make `content` the picture (spec A.10, stage 1)."""
    training = Training(content, [{"params": list(content.parameters()), "lr": content.learning_rate}], num_steps, seed)
    return training, fit_losses(content, source, num_points)


class WindowDraws:
    """Where a step looks: all of the picture, or a strided patch of it, moved by up to half a pixel.

    Fields are trained between pixels as well as on them: a picture rendered larger then shows nothing that was not judged.
    """

    UNIT_PATCHES = 8
    """Losses are measured on as many before the first stroke; or on all of the picture and it once more, rolled."""

    def __init__(self, source: PictureSource, patch: int, strides: tuple[int, ...], num_coarse: int = 0) -> None:
        self.source, self.patch, self.strides, self.num_coarse = source, patch, strides, num_coarse

    def __call__(self, step: int, generator: torch.Generator) -> tuple[PictureWindow, tuple[float, float]]:
        """A window, and the shift of its pixels. The first `num_coarse` steps see all of the picture at half its size."""
        across, down, left, top, stride = torch.rand(5, generator=generator).tolist()
        shift = (across - 0.5, down - 0.5)
        if not self.patch:
            whole = self.source.whole
            half = PictureWindow(whole.height // 2, whole.width // 2, whole.aspect)
            return half if step < self.num_coarse else whole, shift
        extent = self.patch * self.strides[int(stride * len(self.strides))]
        height, width = self.source.rgb.shape[1:]
        column, row = int(left * (width - extent + 1)), int(top * (height - extent + 1))
        bounds = (column / width, row / height, (column + extent) / width, (row + extent) / height)
        return PictureWindow(self.patch, self.patch, self.source.aspect, bounds), shift

    def unit_photographs(self) -> Float[Tensor, "windows 3 height width"]:
        """To measure losses on. Each shows another place than the next; whole pictures because they are rolled."""
        generator = torch.Generator().manual_seed(0)
        drawn = [self.source.look(*self(self.num_coarse, generator)) for _ in range(self.UNIT_PATCHES if self.patch else 2)]
        return torch.cat([seen.roll(number * 3 * seen.shape[-1] // 8, -1) for number, seen in enumerate(drawn)])


class PictureStyling:
    """The style stage of a picture: windows become stylised patches, and patches become losses (spec A.10, stage 2)."""

    def __init__(
        self,
        field: StylizedPicture,
        source: PictureSource,
        objective: StyleObjective,
        windows: WindowDraws,
        draws: StyleDraws,
    ) -> None:
        self.field, self.source, self.objective, self.windows, self.draws = field, source, objective, windows, draws

    @torch.no_grad()
    def begin(self) -> None:
        """The colour maps, then what each loss is divided by: its value at the start."""
        colors = color_statistics(self.source.rgb.flatten(1).T)
        self.field.colors.see_scene(colors)
        units = []
        for style, target in enumerate(self.objective.styles):
            self.field.colors.match(style, colors, target.colors)
            photographs = self._recolored(self.windows.unit_photographs(), single_style(style, len(self.objective.styles)))
            units.append(self.objective.measure_units(photographs, photographs, style, torch.Generator().manual_seed(0)))
        self.objective.units = torch.stack(units)

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """One step's, weighted."""
        mix = self.draws.mix(step, generator)
        window, shift = self.windows(step, generator)
        code = mix.code().to(self.source.rgb)
        rgb = self.field(window.positions(slice(None), shift).to(self.source.rgb), code)
        patches = rgb.T.reshape(1, 3, window.height, window.width)
        photographs = self._recolored(self.source.look(window, shift), mix)
        return self.objective.weighted_losses(patches, photographs, mix, generator)

    @torch.no_grad()
    def end(self) -> None:
        """After the last step: the colours of what has been painted are matched once more."""
        for style in range(len(self.objective.styles)) if self.field.colors.mode == "style" else []:
            mix = single_style(style, len(self.objective.styles))
            painted = render_picture(self.field, self.source.whole, mix, StrengthMap(), self.source.rgb.device)
            self.field.colors.add(style, self.objective.matching_map(painted[None].to(self.source.rgb), style))

    def _recolored(self, photographs: Tensor, mix: StyleMix) -> Tensor:
        rgb = self.field.colors.map(photographs.permute(0, 2, 3, 1), 1.0, mix.code().to(photographs))
        return rgb.clamp(0, 1).permute(0, 3, 1, 2)
