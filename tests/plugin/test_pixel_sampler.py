import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nerfstudio.cameras.cameras import CameraType

from ins3d.plugin.pixel_sampler import LEAST_FOREGROUND, PatchSettings, StridedPatchSampler
from ins3d.plugin.rays.picture_store import PictureStore
from tests.plugin.tiny_scenes import picture_dataset


def gray(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.full((height, width, channels), 128, dtype=np.uint8)


def sampler_of(folder: Path, pictures: list[np.ndarray], settings: PatchSettings, **more: Any) -> StridedPatchSampler:
    dataset = picture_dataset(folder, pictures, **more)
    return StridedPatchSampler(settings, PictureStore(dataset, torch.device("cpu")), dataset.cameras, 100)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


class TestDrawPatch:
    @pytest.mark.parametrize(("size", "stride"), [(3, 2), (5, 1), (2, 4), (1, 3)])
    def test_a_patch_is_a_square_of_rays_a_stride_apart_in_one_picture(self, tmp_path, generator, size: int, stride: int):
        sampler = sampler_of(tmp_path, [gray(10, 13), gray(10, 13)], PatchSettings(size, (stride,)))
        for _ in range(30):
            patch = sampler.draw_patch(size, stride, generator).reshape(size, size, 3)
            assert len(patch[..., 0].unique()) == 1
            steps = torch.arange(size) * stride
            assert torch.equal(patch[..., 1], patch[0, 0, 1] + steps[:, None].expand(size, size))
            assert torch.equal(patch[..., 2], patch[0, 0, 2] + steps.expand(size, size))

    def test_corners_cover_all_places_where_the_patch_fits_and_no_others(self, tmp_path, generator):
        # 10 rows, 8 columns, extent 3 * 2 = 6: corners 0..4 by 0..2, both ends included.
        sampler = sampler_of(tmp_path, [gray(10, 8)], PatchSettings(3, (2,)))
        corners = [tuple(sampler.draw_patch(3, 2, generator)[0, 1:].tolist()) for _ in range(1500)]
        assert set(corners) == {(row, column) for row in range(5) for column in range(3)}
        # 15 places, 100 expected in each, standard deviation 10.
        assert all(abs(corners.count(corner) - 100) < 45 for corner in set(corners))

    def test_a_patch_as_large_as_the_picture_has_one_place(self, tmp_path, generator):
        sampler = sampler_of(tmp_path, [gray(8, 8)], PatchSettings(4, (2,)))
        assert {tuple(sampler.draw_patch(4, 2, generator)[0].tolist()) for _ in range(10)} == {(0, 0, 0)}

    def test_pictures_of_different_sizes_are_used_to_their_own_edges(self, tmp_path, generator):
        sizes = torch.tensor([[20, 22], [40, 30]])
        sampler = sampler_of(tmp_path, [gray(*size) for size in sizes.tolist()], PatchSettings(4, (4,)))
        corners = torch.stack([sampler.draw_patch(4, 4, generator)[0] for _ in range(800)])
        assert bool((corners[:, 1:] + 16 <= sizes[corners[:, 0]]).all())
        for camera, (height, width) in enumerate(sizes.tolist()):
            own = corners[corners[:, 0] == camera]
            assert own[:, 1].max() == height - 16 and own[:, 2].max() == width - 16

    def test_patches_of_background_only_are_drawn_again(self, tmp_path, generator):
        picture = gray(40, 40, 4)
        picture[..., 3] = 0
        picture[30:36, 4:10, 3] = 255
        sampler = sampler_of(tmp_path, [picture], PatchSettings(8, (1,)))
        shares = [float(sampler.store.counts(sampler.draw_patch(8, 1, generator)).mean()) for _ in range(60)]
        assert min(shares) >= LEAST_FOREGROUND
        anywhere = [float(sampler.store.counts(sampler._draw_anywhere(8, 1, generator)).mean()) for _ in range(60)]
        assert min(anywhere) == 0

    def test_pictures_of_nothing_are_refused(self, tmp_path, generator):
        picture = gray(20, 20, 4)
        picture[..., 3] = 0
        sampler = sampler_of(tmp_path, [picture], PatchSettings(8, (2,)))
        message = (
            "pipeline.patches: 50 patches of 8 rays at stride 2 saw nothing but background or masked pixels; "
            "use a larger stride, or check the pictures' alpha and masks."
        )
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            sampler.draw_patch(8, 2, generator)


class TestStrides:
    def test_each_stride_is_drawn_equally_often(self, tmp_path, generator):
        sampler = sampler_of(tmp_path, [gray(64, 64)], PatchSettings(4, (1, 2, 4)))
        drawn = [sampler.draw_stride(generator) for _ in range(900)]
        assert set(drawn) == {1, 2, 4}
        # 300 expected each, standard deviation 14.
        assert all(abs(drawn.count(stride) - 300) < 60 for stride in (1, 2, 4))

    def test_the_default_doubles_as_far_as_the_smallest_picture_is_large_enough(self, tmp_path):
        # Stride 1 counts twice. 40 pixels hold 8 rays at stride 5, so 8 would not fit.
        assert sampler_of(tmp_path, [gray(64, 70), gray(100, 40)], PatchSettings(8)).plan.strides == (1, 1, 2, 4)


class TestRefusals:
    def test_a_patch_too_large_is_refused_with_the_largest_stride_that_fits(self, tmp_path):
        message = (
            "patches.size / patches.strides: a patch of 16 rays at stride 3 covers 48 pixels, more than the 48x40 "
            "picture has; use a stride of 2 or less."
        )
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            sampler_of(tmp_path, [gray(40, 48)], PatchSettings(16, (1, 3)))

    def test_pictures_smaller_than_the_patch_are_refused_with_the_largest_size(self, tmp_path):
        message = (
            "patches.size / patches.strides: a patch of 64 rays at stride 1 covers 64 pixels, more than the 48x40 "
            "picture has; use a patch size of 40 or less."
        )
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            sampler_of(tmp_path, [gray(40, 48)], PatchSettings(64))

    def test_equirectangular_pictures_are_refused(self, tmp_path):
        message = (
            "camera_type: equirectangular pictures have no flat patches for perceptual losses; cut them into "
            "perspective views first (ns-process-data images --camera-type equirectangular)."
        )
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            sampler_of(tmp_path, [gray(40, 80)], PatchSettings(8, (1,)), camera_type=CameraType.EQUIRECTANGULAR)
