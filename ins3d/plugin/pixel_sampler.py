"""Where the style stage looks: strided patches inside training pictures (INS, spec A.6)."""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from nerfstudio.cameras.cameras import Cameras, CameraType
from torch import Tensor

from ins3d.extension.ranges import ranged
from ins3d.plugin.rays.picture_store import PictureStore
from ins3d.style.patches import patch_extent, patch_pixel_indices
from ins3d.style.windows import CachedPatchSettings, plan_windows

LEAST_FOREGROUND = 0.05
"""A patch of which less than this share counts sees only background, and is drawn again."""
MAX_DRAWS = 50


@dataclass
class PatchSettings(CachedPatchSettings):
    """What a step of the style stage sees of a scene."""

    num_patches: int = ranged(1, min=1)
    """Patches per step, all of one stride."""


class StridedPatchSampler:
    """Draws patches of `size` x `size` rays, `stride` pixels apart, uniformly in place."""

    def __init__(self, settings: PatchSettings, store: PictureStore, cameras: Cameras, num_steps: int) -> None:
        """For a style stage of so many steps. Raises ValueError for pictures that are smaller than a patch, or not flat."""
        if (cameras.camera_type == CameraType.EQUIRECTANGULAR.value).any():
            raise ValueError(
                "camera_type: equirectangular pictures have no flat patches for perceptual losses; "
                "cut them into perspective views first (ns-process-data images --camera-type equirectangular)."
            )
        self.settings = settings
        self.store = store
        height, width = (int(side) for side in store.sizes.amin(0))
        size = plan_windows((height, width), 0, settings).patch
        needed = num_steps * settings.num_patches * size**2
        self.plan = plan_windows((height, width), min(settings.max_rays, needed), settings)

    def draw_stride(self, generator: torch.Generator) -> int:
        """One of the plan's."""
        return self.plan.strides[int(torch.randint(len(self.plan.strides), (), generator=generator))]

    def draw_patch(
        self, size: int, stride: int, generator: torch.Generator, least: float = LEAST_FOREGROUND
    ) -> Int[Tensor, "{size}*{size} 3"]:
        """The pixels of one patch of which at least the share `least` is not background."""
        for _ in range(MAX_DRAWS):
            indices = self._draw_anywhere(size, stride, generator)
            if float(self.store.counts(indices).mean()) >= least:
                return indices
        raise ValueError(
            f"pipeline.patches: {MAX_DRAWS} patches of {size} rays at stride {stride} saw nothing but background or "
            "masked pixels; use a larger stride, or check the pictures' alpha and masks."
        )

    def _draw_anywhere(self, size: int, stride: int, generator: torch.Generator) -> Tensor:
        device = self.store.sizes.device

        def draw(end: Tensor | int) -> Tensor:
            return torch.randint(int(end), (1,), generator=generator).to(device)

        camera = draw(len(self.store))
        room = self.store.sizes[camera[0]] - patch_extent(size, stride) + 1
        return patch_pixel_indices(camera, draw(room[0]), draw(room[1]), size, stride)
