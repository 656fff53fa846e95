"""Where the style stage looks: windows of training pictures, as they are or reduced (INS, spec A.6)."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Int
from nerfstudio.cameras.cameras import Cameras, CameraType
from torch import Tensor

from ins3d.extension.ranges import ranged
from ins3d.plugin.rays.picture_pyramid import PicturePyramid
from ins3d.style.patches import drawn_start, window_pixel_indices
from ins3d.style.windows import CachedPatchSettings, Extent, plan_windows

LEAST_FOREGROUND = 0.05
"""A patch of which less than this share counts sees only background, and is drawn again."""
MAX_DRAWS = 50


@dataclass
class PatchSettings(CachedPatchSettings):
    """What a step of the style stage sees of a scene."""

    strides: tuple[int, ...] = ranged((), min=1)
    """By how much pictures are reduced before patches are cut from them; each step draws one. Empty: 1, its
    doublings, and the first at which all of a picture is no more than two patches: strokes, and how they are shared out over
    the picture."""
    num_patches: int = ranged(1, min=1)
    """Patches per step, all of one stride."""
    rule: str = "frames"
    """Which rule lays the windows. `frames`: whole pictures where they are small, else squares, and whole pictures at a
    stride. `squares`: squares at every stride. Other packages register theirs as `ins3d.windows`."""


class WindowSampler:
    """Draws windows anywhere, at the edges of pictures more often: they lie in few.

    Differs from INS, which takes every `stride`-th pixel: a window at a stride is one of pictures that are reduced by it,
    whose pixels are as wide as they stand apart. Colours, and the strokes that such a pixel sees, do not alias.
    """

    def __init__(self, settings: PatchSettings, pyramid: PicturePyramid, cameras: Cameras, num_steps: int) -> None:
        """For a style stage of so many steps. Raises ValueError for pictures that are smaller than a patch, or not flat."""
        if (cameras.camera_type == CameraType.EQUIRECTANGULAR.value).any():
            raise ValueError(
                "camera_type: equirectangular pictures have no flat patches for perceptual losses; "
                "cut them into perspective views first (ns-process-data images --camera-type equirectangular)."
            )
        self.settings, self.pyramid = settings, pyramid
        height, width = (int(side) for side in pyramid[1].store.sizes.amin(0))
        self.extent: Extent = height, width
        """(down, across) of the smallest picture, in pixels."""
        drawn = num_steps * settings.num_patches * plan_windows(self.extent, 0, settings).rays_of_step()
        self.plan = plan_windows(self.extent, min(settings.rays_of(self.extent), math.ceil(drawn)), settings)

    def draw_stride(self, generator: torch.Generator) -> int:
        """One of the plan's."""
        return self.plan.strides[int(torch.randint(len(self.plan.strides), (), generator=generator))]

    def draw_window(
        self, extent: Extent, stride: int, generator: torch.Generator, least: float = LEAST_FOREGROUND,
        picture: int | None = None,
    ) -> Int[Tensor, "rays 3"]:  # fmt: skip
        """The pixels, of pictures reduced by `stride`, of a window of which at least the share `least` is not background.

        Of `picture`, where it is given and is not nearly empty.
        """
        store = self.pyramid[stride].store
        for draw in range(MAX_DRAWS):
            indices = self._draw_in(picture if draw < MAX_DRAWS // 5 else None, extent, stride, generator)
            if float(store.counts(indices).mean()) >= least:
                return indices
        raise ValueError(
            f"pipeline.patches: {MAX_DRAWS} patches of {extent[1]}x{extent[0]} rays at stride {stride} saw nothing but "
            "background or masked pixels; use a larger stride, or check the pictures' alpha and masks."
        )

    def _draw_in(self, picture: int | None, extent: Extent, stride: int, generator: torch.Generator) -> Tensor:
        store = self.pyramid[stride].store

        camera = int(torch.randint(len(store), (), generator=generator)) if picture is None else picture
        height, width = store.sizes[camera].tolist()
        edges = not store.has_alpha  # an object's pictures are empty there
        row = drawn_start(height - extent[0], extent[0], generator, edges)
        column = drawn_start(width - extent[1], extent[1], generator, edges)
        return window_pixel_indices(camera, row, column, extent).to(store.sizes.device)
