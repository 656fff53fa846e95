import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nerfstudio.cameras.cameras import CameraType

from ins3d.plugin.pixel_sampler import LEAST_FOREGROUND, PatchSettings, WindowSampler
from tests.plugin.tiny_scenes import picture_dataset, pyramid_of


def gray(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.full((height, width, channels), 128, dtype=np.uint8)


def sampler_of(folder: Path, pictures: list[np.ndarray], settings: PatchSettings, **more: Any) -> WindowSampler:
    dataset = picture_dataset(folder, pictures, **more)
    return WindowSampler(settings, pyramid_of(dataset), dataset.cameras, 100)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


class TestDrawWindow:
    @pytest.mark.parametrize(("extent", "stride"), [((3, 4), 2), ((5, 5), 1), ((2, 1), 4), ((1, 3), 3)])
    def test_a_window_is_a_rectangle_of_pixels_of_one_reduced_picture(self, tmp_path, generator, extent, stride: int):
        sampler = sampler_of(tmp_path, [gray(10, 13), gray(10, 13)], PatchSettings(2, (stride,), rule="squares"))
        for _ in range(30):
            window = sampler.draw_window(extent, stride, generator).reshape(*extent, 3)
            assert len(window[..., 0].unique()) == 1
            rows, columns = (torch.arange(side) for side in extent)
            assert torch.equal(window[..., 1], window[0, 0, 1] + rows[:, None].expand(extent))
            assert torch.equal(window[..., 2], window[0, 0, 2] + columns.expand(extent))

    def test_corners_cover_all_places_where_the_window_fits_and_no_others(self, tmp_path, generator):
        # 10 rows and 8 columns reduced by 2: 5 and 4; 3 x 3 fit at rows 0..2 and columns 0..1.
        sampler = sampler_of(tmp_path, [gray(10, 8)], PatchSettings(3, (2,)))
        corners = [tuple(sampler.draw_window((3, 3), 2, generator)[0, 1:].tolist()) for _ in range(600)]
        assert set(corners) == {(row, column) for row in range(3) for column in range(2)}
        # At the edges more often: rows 2 : 1 : 2, columns alike; standard deviation 10.
        expected = {(row, column): 60 if row == 1 else 120 for row, column in set(corners)}
        assert all(abs(corners.count(corner) - number) < 40 for corner, number in expected.items())

    def test_all_of_a_picture_has_one_place(self, tmp_path, generator):
        sampler = sampler_of(tmp_path, [gray(8, 8)], PatchSettings(4, (2,)))
        assert {tuple(sampler.draw_window((4, 4), 2, generator)[0].tolist()) for _ in range(10)} == {(0, 0, 0)}

    def test_pictures_of_different_sizes_are_used_to_their_own_edges(self, tmp_path, generator):
        sizes = torch.tensor([[20, 22], [40, 30]])
        sampler = sampler_of(tmp_path, [gray(*size) for size in sizes.tolist()], PatchSettings(4, (2,), rule="squares"))
        corners = torch.stack([sampler.draw_window((4, 4), 2, generator)[0] for _ in range(800)])
        for camera, (height, width) in enumerate((sizes // 2).tolist()):
            own = corners[corners[:, 0] == camera]
            assert own[:, 1].max() == height - 4 and own[:, 2].max() == width - 4

    def test_patches_of_background_only_are_drawn_again(self, tmp_path, generator):
        picture = gray(40, 40, 4)
        picture[..., 3] = 0
        picture[30:36, 4:10, 3] = 255
        sampler = sampler_of(tmp_path, [picture], PatchSettings(8, (1,)))
        store = sampler.pyramid[1].store
        shares = [float(store.counts(sampler.draw_window((8, 8), 1, generator)).mean()) for _ in range(60)]
        assert min(shares) >= LEAST_FOREGROUND
        anywhere = [float(store.counts(sampler._draw_in(None, (8, 8), 1, generator)).mean()) for _ in range(60)]
        assert min(anywhere) == 0

    def test_pictures_of_nothing_are_refused(self, tmp_path, generator):
        picture = gray(20, 20, 4)
        picture[..., 3] = 0
        sampler = sampler_of(tmp_path, [picture], PatchSettings(8, (2,)))
        message = (
            "pipeline.patches: 50 patches of 8x8 rays at stride 2 saw nothing but background or masked pixels; "
            "use a larger stride, or check the pictures' alpha and masks."
        )
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            sampler.draw_window((8, 8), 2, generator)


class TestStrides:
    def test_each_stride_is_drawn_equally_often(self, tmp_path, generator):
        sampler = sampler_of(tmp_path, [gray(64, 64)], PatchSettings(4, (1, 2, 4)))
        drawn = [sampler.draw_stride(generator) for _ in range(900)]
        assert set(drawn) == {1, 2, 4}
        # 300 expected each, standard deviation 14.
        assert all(abs(drawn.count(stride) - 300) < 60 for stride in (1, 2, 4))

    def test_the_smallest_picture_decides_what_fits(self, tmp_path):
        # 64 x 40 pixels reduced by 5 are 12 x 8, no more than two patches of 8 x 8.
        plan = sampler_of(tmp_path, [gray(64, 70), gray(100, 40)], PatchSettings(8)).plan
        assert plan.strides == (1, 2, 4, 5) and plan.whole == {5: (12, 8)}


class TestRefusals:
    def test_a_patch_too_large_is_refused_with_the_largest_stride_that_fits(self, tmp_path):
        message = (
            "patches.size / patches.strides: a patch of 16 rays at stride 3 covers 48 pixels, more than the 48x40 "
            "picture has; use a stride of 2 or less."
        )
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            sampler_of(tmp_path, [gray(40, 48)], PatchSettings(16, (1, 3), rule="squares"))

    def test_pictures_smaller_than_the_patch_are_refused_with_the_largest_size(self, tmp_path):
        message = (
            "patches.size / patches.strides: a patch of 64 rays at stride 1 covers 64 pixels, more than the 48x40 "
            "picture has; use a patch size of 40 or less."
        )
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            sampler_of(tmp_path, [gray(40, 48)], PatchSettings(64, rule="squares"))

    def test_equirectangular_pictures_are_refused(self, tmp_path):
        message = (
            "camera_type: equirectangular pictures have no flat patches for perceptual losses; cut them into "
            "perspective views first (ns-process-data images --camera-type equirectangular)."
        )
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            sampler_of(tmp_path, [gray(40, 80)], PatchSettings(8, (1,)), camera_type=CameraType.EQUIRECTANGULAR)
