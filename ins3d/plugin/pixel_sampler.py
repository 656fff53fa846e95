"""Where the style stage looks: strided patches inside training pictures (INS, spec A.6)."""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from nerfstudio.cameras.cameras import Cameras, CameraType
from torch import Tensor

from ins3d.plugin.rays.picture_store import PictureStore
from ins3d.style.patches import check_patch_fits, doubling_strides, patch_extent, patch_pixel_indices

LEAST_FOREGROUND = 0.05
"""A patch of which less than this share counts sees only background, and is drawn again."""
MAX_DRAWS = 50


@dataclass
class PatchSettings:
    """Which patches the style stage draws."""

    size: int = 64
    """Rays along one side of a patch."""
    strides: tuple[int, ...] = ()
    """Pixels between neighbouring rays; each step draws one of them. Empty: 1, 1, 2, 4, ... as far as pictures are large
    enough: motifs are painted large, and strokes, which the eye sees first, fine."""
    halve_stride_every: int = 0
    """INS's schedule: strides are halved (down to 1) every this many steps of the style stage; 0 leaves them."""
    num_patches: int = 1
    """Patches per step, all of one stride."""


class StridedPatchSampler:
    """Draws patches of `size` x `size` rays, `stride` pixels apart, uniformly in place."""

    def __init__(self, settings: PatchSettings, store: PictureStore, cameras: Cameras) -> None:
        if (cameras.camera_type == CameraType.EQUIRECTANGULAR.value).any():
            raise ValueError(
                "camera_type: equirectangular pictures have no flat patches for perceptual losses; "
                "cut them into perspective views first (ns-process-data images --camera-type equirectangular)."
            )
        self.settings = settings
        self.store = store
        height, width = (int(side) for side in store.sizes.amin(0))
        self.strides = settings.strides or (1, *doubling_strides(settings.size, height, width))
        for stride in self.strides:
            check_patch_fits(settings.size, stride, height, width, "pipeline.patches.size / .strides")

    def strides_at(self, style_step: int) -> tuple[int, ...]:
        """The strides to draw from at a step of the style stage."""
        every = self.settings.halve_stride_every
        halvings = style_step // every if every else 0
        return tuple(max(stride >> halvings, 1) for stride in self.strides)

    def draw_stride(self, style_step: int, generator: torch.Generator) -> int:
        """One of the strides in force."""
        strides = self.strides_at(style_step)
        return strides[int(torch.randint(len(strides), (), generator=generator))]

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
