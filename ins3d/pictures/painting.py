"""A fitted picture painted coarse to fine (spec A.10, stage 2): where a step looks, and what it compares there."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ins3d.perception.color_transfer import color_statistics
from ins3d.pictures.fitting import PictureSource
from ins3d.pictures.rendering import StrengthMap, render_picture
from ins3d.pictures.sizes import Sizes
from ins3d.pictures.stylized import StylizedPicture
from ins3d.pictures.windows import PictureWindow
from ins3d.style.colors import StyleColors
from ins3d.style.mix import Mix
from ins3d.style.objective import StyleObjective
from ins3d.style.patches import patch_extent
from ins3d.style.sampling import MixSampler
from ins3d.style.stage import Patches, StyleStage
from ins3d.style.windows import PatchSettings, WindowPlan, plan_windows

PicturePatch = tuple[PictureWindow, tuple[float, float]]
"""A part of a picture, and how far its pixels are moved, in pixels."""
MOST_PIXELS = 120_000
"""Pictures of more are not seen as a whole in a step, but in windows: memory does not grow with the picture."""
WINDOW = 256
"""Side of these in pixels."""
ENCODER_STRIDE = 8
"""Pixels between neighbouring features at relu4_1. Whole pictures are moved by up to half of it: an encoder that always lies
on them in the same way leaves its grid in them."""


class WindowSampler:
    """Where a step looks: all of the picture, or a strided patch of it, moved by up to half a pixel.

    Fields are trained between pixels as well as on them: a picture rendered larger then shows nothing that was not judged.
    """

    FIXED_PATCHES = 8
    """Losses are measured on as many before the first stroke; or on all of the picture and it once more, rolled."""

    def __init__(self, source: PictureSource, plan: WindowPlan | None) -> None:
        """Without a plan a step sees all of the picture."""
        self.source, self.plan = source, plan

    def __call__(self, generator: torch.Generator) -> PicturePatch:
        """A window, and the shift of its pixels."""
        across, down, left, top, stride = torch.rand(5, generator=generator).tolist()
        shift = (across - 0.5, down - 0.5)
        if self.plan is None:
            return self.source.whole, (ENCODER_STRIDE * shift[0], ENCODER_STRIDE * shift[1])
        size, strides = self.plan.patch, self.plan.strides
        extent = patch_extent(size, strides[int(stride * len(strides))])
        height, width = self.source.rgb.shape[1:]
        column, row = int(left * (width - extent + 1)), int(top * (height - extent + 1))
        bounds = (column / width, row / height, (column + extent) / width, (row + extent) / height)
        return PictureWindow(size, size, self.source.aspect, bounds), shift

    def fixed_photographs(self) -> Float[Tensor, "windows 3 height width"]:
        """To measure losses on. Each shows another place than the next; whole pictures because they are rolled."""
        generator, number = torch.Generator().manual_seed(0), 2 if self.plan is None else self.FIXED_PATCHES
        drawn = [self.source.look(*self(generator)) for _ in range(number)]
        return torch.cat([seen.roll(number * 3 * seen.shape[-1] // 8, -1) for number, seen in enumerate(drawn)])


def windows_of(source: PictureSource, patches: PatchSettings, finest: bool = True) -> WindowSampler:
    """Whole pictures or windows, as the settings say; the strides that they say are those of the finest size alone.

    By default whole pictures of `MOST_PIXELS`, and windows of larger ones. Raises ValueError for windows that are larger
    than the finest picture.
    """
    height, width = source.rgb.shape[1:]
    size = patches.size
    if size is None:
        size = 0 if height * width <= MOST_PIXELS else min(WINDOW, height, width)
        patches = PatchSettings(size, patches.strides or (1,), patches.rule)
    if not size or (not finest and size > min(height, width)):
        return WindowSampler(source, None)
    settings = patches if finest else PatchSettings(size, (1,), patches.rule)
    return WindowSampler(source, plan_windows((height, width), 0, settings))


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
        return self.windows(generator), mix

    def look(self, window: PicturePatch, mix: Mix, generator: torch.Generator) -> Patches:
        """See `Subject.look`."""
        place, shift = window
        positions, code = place.positions(slice(None), shift).to(self.source.rgb), mix.code().to(self.source.rgb)
        painted = self.field(positions, code, place.pixel).T.reshape(1, 3, place.height, place.width)
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


@dataclass(frozen=True)
class Look:
    """A picture at one of the sizes at which it is learned."""

    source: PictureSource
    windows: WindowSampler
    objective: StyleObjective
    """The losses, with the style pictures at their share of this size."""


class SizedStages:
    """A style stage at each size, coarse to fine: each has its own losses, all paint one field."""

    def __init__(
        self, field: StylizedPicture, looks: Sequence[Look], sizes: Sizes, mixes: MixSampler, num_steps: int
    ) -> None:
        self.sizes, self.num_steps = sizes, num_steps
        self.stages = [StyleStage(PictureSubject(field, look.source, look.windows), look.objective, mixes) for look in looks]

    def begin(self) -> None:
        """See `StyleStage.begin`."""
        for stage in self.stages:
            stage.begin()

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Float[Tensor, ""]]:
        """See `StyleStage.losses`."""
        return self.stages[self.sizes.at(step, self.num_steps)].losses(step, generator)

    def end(self) -> None:
        """See `StyleStage.end`; colours are those of the finest size."""
        self.stages[-1].end()

    def gram_distance(self, style: int, strength: float = 1.0) -> float:
        """See `StyleStage.gram_distance`, at the finest size."""
        return self.stages[-1].gram_distance(style, strength)
