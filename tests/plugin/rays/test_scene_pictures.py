from pathlib import Path

import numpy as np
import pytest
import torch

from ins3d.plugin.rays.picture_store import PictureStore
from ins3d.plugin.rays.pixel_rays import PixelRays
from ins3d.plugin.rays.scene_pictures import ScenePictures, reduced_cameras, working_size
from tests.plugin.tiny_scenes import picture_dataset, pyramid_of


def outputs_of(folder: Path, pictures: list[np.ndarray], masks: list[np.ndarray] | None = None):
    return picture_dataset(folder, pictures, masks=masks)._dataparser_outputs


def ramps(height: int, width: int) -> np.ndarray:
    """Red grows to the right, green downwards."""
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    return np.stack([columns, rows, 0 * rows], axis=-1).astype(np.uint8)


class TestWorkingSize:
    @pytest.mark.parametrize(
        ("size", "most", "expected"),
        [
            ((1080, 1920), 130_000, 480),
            ((756, 1008), 130_000, 416),
            ((1080, 1920), 1_000_000, 1333),
            # A quarter more than there is time for is not worth a reduction; small pictures stay as they are.
            ((400, 400), 130_000, 400),
            ((20, 30), 130_000, 30),
        ],
    )
    def test_has_as_many_pixels_as_there_is_time_for(self, tmp_path: Path, size, most: int, expected: int):
        cameras = picture_dataset(tmp_path, [np.zeros((4, 4, 3), dtype=np.uint8)]).cameras
        cameras.height, cameras.width = (torch.tensor([[side]]) for side in size)
        assert working_size(cameras, most) == expected


class TestScenePictures:
    def test_a_reduced_picture_is_the_mean_of_its_pixels(self, tmp_path: Path):
        reduced = ScenePictures(outputs_of(tmp_path, [ramps(40, 60)]), 0.25).get_numpy_image(0)
        assert reduced.shape == (10, 15, 3)
        assert np.array_equal(reduced[..., 0], np.tile(4 * np.arange(15) + 2, (10, 1)))  # means end in .5: rounded up
        assert np.array_equal(reduced[..., 1], np.tile(4 * np.arange(10) + 2, (15, 1)).T)

    @pytest.mark.parametrize("share", [0.5, 0.37, 1 / 3])
    def test_every_picture_has_its_cameras_size_and_masks_have_it_too(self, tmp_path: Path, share: float):
        pictures = [ramps(41, 63), ramps(64, 31)]
        data = ScenePictures(outputs_of(tmp_path, pictures, [picture[..., 0] > 5 for picture in pictures]), share)
        for number in range(2):
            item = data.get_data(number)
            size = (int(data.cameras.height[number]), int(data.cameras.width[number]))
            assert item["image"].shape[:2] == item["mask"].shape[:2] == size

    def test_the_color_of_what_is_transparent_does_not_bleed(self, tmp_path: Path):
        picture = np.zeros((8, 8, 4), dtype=np.uint8)
        picture[:, ::2] = (200, 100, 50, 255)  # every other column is transparent black
        reduced = ScenePictures(outputs_of(tmp_path, [picture]), 0.5).get_numpy_image(0)
        assert np.abs(reduced.astype(int) - (200, 100, 50, 128)).max() <= 1

    def test_as_they_are_nothing_is_touched(self, tmp_path: Path):
        data = ScenePictures(outputs_of(tmp_path, [ramps(12, 9)]), 1.0)
        assert np.array_equal(data.get_numpy_image(0), ramps(12, 9))


class TestReducedCameras:
    def test_a_pixel_is_seen_in_the_middle_of_those_it_is_the_mean_of(self, tmp_path: Path):
        cameras = picture_dataset(tmp_path, [ramps(40, 60)]).cameras
        small = PixelRays(reduced_cameras(cameras, 0.25))(torch.tensor([[0, 3, 5]]))
        block = torch.tensor([[0, row, column] for row in range(12, 16) for column in range(20, 24)])
        directions = PixelRays(cameras)(block).directions
        assert torch.allclose(small.directions, torch.nn.functional.normalize(directions.mean(0, keepdim=True)), atol=1e-4)

    def test_its_area_is_that_of_all_of_them(self, tmp_path: Path):
        cameras = picture_dataset(tmp_path, [ramps(40, 60)]).cameras
        small = PixelRays(reduced_cameras(cameras, 0.25))(torch.tensor([[0, 3, 5]]))
        one = PixelRays(cameras)(torch.tensor([[0, 13, 21]]))
        assert float(small.pixel_area / one.pixel_area) == pytest.approx(16, rel=0.03)


class TestPyramid:
    def test_levels_are_means_with_wider_pixels(self, tmp_path: Path):
        pyramid = pyramid_of(picture_dataset(tmp_path, [ramps(20, 30), ramps(13, 8)]))
        level = pyramid[2]
        assert level.store.sizes.tolist() == [[10, 15], [6, 4]]
        assert pyramid[2] is level and pyramid[1].store.sizes.tolist() == [[20, 30], [13, 8]]
        red = level.store.colors(torch.tensor([[0, 4, 7]]))[0, 0] * 255
        assert abs(float(red) - 14.5) <= 0.5
        assert level.rays.cameras.height.flatten().tolist() == [10, 6]

    def test_alpha_weighs_colours_and_any_masked_pixel_masks(self):
        picture = torch.tensor([[[200, 0, 0, 255], [0, 100, 0, 0]], [[200, 0, 0, 255], [0, 100, 0, 0]]], dtype=torch.uint8)
        mask = torch.tensor([[True, True], [True, False]])[..., None]
        store = PictureStore([(2, 2)] * 2, [(picture, mask), (picture, None)], torch.device("cpu")).reduced(2)
        assert store.pixels.tolist() == [[200, 0, 0, 128]] * 2
        assert store.mask is not None and store.mask.tolist() == [False, True]
