"""Splats as a subject of the style stage: patches of pictures that are sparse products."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ins3d.perception.color_transfer import ColorStatistics, color_statistics
from ins3d.splats.gaussians import Gaussians
from ins3d.splats.pictures import SplatPicture, shine, splat_picture
from ins3d.splats.stylized import StylizedSplats, mean_size
from ins3d.splats.views import View
from ins3d.style.colors import StyleColors
from ins3d.style.mix import Mix
from ins3d.style.objective import StyleObjective
from ins3d.style.patches import drawn_start, rays_to_pictures
from ins3d.style.sampling import MixSampler
from ins3d.style.stage import Patches
from ins3d.style.windows import Extent, WindowPlan

NUM_FIXED_PATCHES = 16
"""Losses and colours are measured on this many."""
LEAST_FOREGROUND = 0.15
"""A patch of which less is splats is cut elsewhere."""
MAX_DRAWS = 50
FEWEST_PIXELS = 100


@dataclass
class SplatWindow:
    """Where a step looks."""

    picture: SplatPicture
    shine: Float[Tensor, "seen 3"]
    """What the camera sees of the splats beside the colours that do not depend on the view."""


class SplatWindows:
    """Pictures of every camera at every stride, and windows of them."""

    def __init__(self, splats: Gaussians, views: Iterable[View], plan: WindowPlan) -> None:
        """Raises ValueError where no camera sees a splat."""
        self.plan = plan
        self.pictures: dict[int, list[SplatPicture]] = {stride: [] for stride in plan.counts}
        self.shine: list[Tensor | None] = []
        for view in views:
            for stride, pictures in self.pictures.items():
                reduced = view.resized(max(view.width // stride, 1), max(view.height // stride, 1))
                pictures.append(splat_picture(reduced, splats))
            self.shine.append(shine(view, splats) if splats.degree else None)
        if max(float((1 - picture.left).mean()) for picture in self.pictures[min(plan.counts)]) < 1e-3:
            raise ValueError(
                f"cameras: none of {len(self.shine)} cameras sees a splat; give the cameras of this scene, or leave them "
                "out."
            )

    def draw(self, extent: Extent, stride: int, generator: torch.Generator) -> SplatWindow:
        """One of that size, on something."""
        pictures = self.pictures[stride]
        for _ in range(MAX_DRAWS):
            camera = int(torch.randint(len(pictures), (), generator=generator))
            picture = pictures[camera]
            size = min(extent[0], picture.shape[0]), min(extent[1], picture.shape[1])
            top, left = (drawn_start(full - part, part, generator) for full, part in zip(picture.shape, size, strict=True))
            part = picture.window(top, left, *size)
            if float((1 - part.left).mean()) >= LEAST_FOREGROUND:
                break
        own = self.shine[camera]
        which = torch.from_numpy(part.splats)
        return SplatWindow(part, torch.zeros(len(which), 3) if own is None else own[which])

    def seen_colors(self, splats: Gaussians) -> ColorStatistics:
        """Of all that the cameras see; of the splats themselves where that is next to nothing."""
        found = []
        for camera, picture in enumerate(self.pictures[max(self.plan.counts)]):
            which, own = torch.from_numpy(picture.splats), self.shine[camera]
            rgb = picture.rgb(splats.rgb[which] + (0 if own is None else own[which]))
            found.append(rgb[picture.left[:, 0] < 0.5])
        seen = torch.cat(found)
        return color_statistics((seen if len(seen) >= FEWEST_PIXELS else splats.rgb.repeat(2, 1)).clamp(0, 1))


class SplatSubject:
    """Splats that are painted: their shapes are frozen, SIM and AM learn. See `style.stage.Subject`."""

    def __init__(
        self, field: StylizedSplats, splats: Gaussians, windows: SplatWindows, objective: StyleObjective, seed: int
    ) -> None:
        device = objective.styles[0].colors.mean.device
        self.field, self.windows, self.objective, self.seed = field, windows, objective, seed
        self.means, self.rgb, self.sizes = (
            splats.means.to(device),
            splats.rgb.to(device),
            mean_size(splats.scales).to(device),
        )
        field.colors.see_scene(windows.seen_colors(splats).to(device))

    @property
    def colors(self) -> StyleColors:
        """The field's."""
        return self.field.colors

    def draw(self, step: int, mixes: MixSampler, generator: torch.Generator) -> tuple[SplatWindow, Mix]:
        """See `Subject.draw`."""
        mix, strides = mixes.mix(step, generator), self.windows.plan.strides
        stride = strides[int(torch.randint(len(strides), (), generator=generator))]
        return self.windows.draw(self.windows.plan.patch_at(stride), stride, generator), mix

    def look(self, window: SplatWindow, mix: Mix, generator: torch.Generator) -> Patches:
        """See `Subject.look`."""
        picture, behind = window.picture, self._behind(mix)
        which = torch.from_numpy(picture.splats).to(self.rgb.device)
        plain, left = self.rgb[which], picture.left.to(self.rgb)
        code, own = mix.code().to(plain), window.shine.to(plain)
        painted = self.field.rgb(plain, self.means[which], self.sizes[which], code) + (1 - mix.strength) * own
        content = self.field.colors.map(picture.rgb(plain + own), 1 - left, code).clamp(0, 1)
        shown, kept = (rays_to_pictures(rgb + left * behind, picture.shape) for rgb in (picture.rgb(painted), content))
        return Patches(shown, kept)

    def fixed(self, mix: Mix, painted: bool) -> Patches:
        """See `Subject.fixed`; of what is painted at the widest stride, which shows most of a picture."""
        generator, plan = torch.Generator().manual_seed(self.seed), self.windows.plan
        strides = (max(plan.strides),) if painted else plan.strides
        extents = [plan.patch_at(stride) for stride in strides]
        extent = (min(height for height, _ in extents), min(width for _, width in extents))
        every = []
        for _ in range(NUM_FIXED_PATCHES):
            stride = strides[int(torch.randint(len(strides), (), generator=generator))]
            seen = self.look(self.windows.draw(extent, stride, generator), mix, generator)
            every.append((seen.painted if painted else seen.photographs, seen.photographs))
        shown, photographs = (torch.cat(parts) for parts in zip(*every, strict=True))
        return Patches(shown, photographs)

    def _behind(self, mix: Mix) -> Float[Tensor, " 3"]:
        """The style's mean colour: before it, no silhouette is an edge that paint cannot remove."""
        return torch.stack([share * self.objective.styles[style].colors.mean for style, share in mix.parts]).sum(0)
