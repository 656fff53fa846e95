from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ins3d.plugin.rays.picture_store import Marked, PictureStore
from tests.plugin.tiny_scenes import picture_dataset

CPU = torch.device("cpu")


def random_picture(height: int, width: int, channels: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


@pytest.fixture
def pictures() -> list[np.ndarray]:
    """Three sizes, none of which is another's transpose."""
    return [random_picture(10, 12, 3, 0), random_picture(6, 30, 3, 1), random_picture(15, 4, 3, 2)]


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def store_of(folder: Path, pictures: list[np.ndarray], **more: Any) -> PictureStore:
    return PictureStore.of(picture_dataset(folder, pictures, **more), CPU)


class TestDrawPixels:
    def test_every_pixel_of_every_picture_is_equally_likely(self, tmp_path: Path, pictures, generator):
        store = store_of(tmp_path, pictures)
        drawn = store.draw_pixels(40_000, generator)
        times: dict[tuple[int, ...], int] = {}
        for pixel in map(tuple, drawn.tolist()):
            times[pixel] = times.get(pixel, 0) + 1
        inside = {(c, y, x) for c, p in enumerate(pictures) for y in range(p.shape[0]) for x in range(p.shape[1])}
        assert times.keys() <= inside
        expected = 40_000 / len(inside)
        chi_squared = sum((times.get(pixel, 0) - expected) ** 2 / expected for pixel in inside)
        # 360 pixels: the statistic has mean 359 and standard deviation sqrt(2 * 359) = 27.
        assert len(inside) == 360
        assert abs(chi_squared - 359) < 4 * 27

    def test_masked_pixels_are_never_drawn_and_all_others_are(self, tmp_path: Path, pictures, generator):
        masks = [np.random.default_rng(9 + i).random(p.shape[:2]) < 0.3 for i, p in enumerate(pictures)]
        drawn = set(map(tuple, store_of(tmp_path, pictures, masks=masks).draw_pixels(20_000, generator).tolist()))
        allowed = {(c, int(y), int(x)) for c, mask in enumerate(masks) for y, x in np.argwhere(mask)}
        assert drawn == allowed

    def test_the_seed_decides(self, tmp_path: Path, pictures):
        store = store_of(tmp_path, pictures)
        draws = [store.draw_pixels(50, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4)]
        assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])


class TestMarked:
    @pytest.mark.parametrize("places", [1, 255, 256, 1000])
    @pytest.mark.parametrize("share", [0.02, 0.5, 1.0])
    def test_is_the_list_of_what_is_marked(self, generator, places: int, share: float):
        marks = torch.rand(places, generator=generator) < share
        marks[-1] = True
        expected = marks.nonzero()[:, 0]
        assert len(Marked(marks)) == len(expected)
        assert torch.equal(Marked(marks).at(torch.arange(len(expected))), expected)


class TestWhatItHolds:
    def test_pictures_with_and_without_alpha_and_masks(self):
        pictures = [torch.full((2, 3, channels), 7, dtype=torch.uint8) for channels in (3, 4, 3)]
        mask = torch.zeros(2, 3, 1, dtype=torch.bool)
        store = PictureStore([(2, 3)] * 3, zip(pictures, (None, None, mask), strict=True), CPU)
        assert store.has_alpha and store.pixels[:, 3].tolist() == [255] * 6 + [7] * 6 + [255] * 6
        assert store.mask is not None and store.mask.tolist() == [True] * 12 + [False] * 6


class TestColors:
    def test_a_colour_is_that_of_the_picture_at_camera_row_and_column(self, tmp_path: Path, pictures, generator):
        store = store_of(tmp_path, pictures)
        indices = store.draw_pixels(500, generator)
        expected = torch.stack([torch.from_numpy(pictures[c][y, x]).float() / 255 for c, y, x in indices.tolist()])
        assert torch.equal(store.colors(indices), expected)

    def test_shapes_follow_the_indices(self, tmp_path: Path, pictures, generator):
        store = store_of(tmp_path, pictures)
        indices = store.draw_pixels(24, generator).reshape(2, 3, 4, 3)
        assert store.colors(indices).shape == (2, 3, 4, 3)
        assert store.counts(indices).shape == (2, 3, 4, 1)

    def test_rgb_beside_rgba_is_opaque_and_alpha_is_not_multiplied_in(self, tmp_path: Path):
        pictures = [random_picture(5, 7, 3, 0), random_picture(8, 4, 4, 1)]
        store = store_of(tmp_path, pictures)
        assert store.has_alpha and len(store) == 2
        for camera, (row, column) in ((0, (4, 6)), (1, (7, 3))):
            index = torch.tensor([[camera, row, column]])
            opaque = pictures[camera].shape[2] == 3
            expected = [*pictures[camera][row, column], *([255] if opaque else [])]
            assert (store.colors(index)[0] * 255).round().int().tolist() == [int(value) for value in expected]
            assert float(store.counts(index)) == pytest.approx(expected[3] / 255)

    def test_rgb_alone_has_three_channels_and_counts_everywhere(self, tmp_path: Path, pictures, generator):
        store = store_of(tmp_path, pictures)
        indices = store.draw_pixels(20, generator)
        assert not store.has_alpha and store.colors(indices).shape == (20, 3)
        assert torch.equal(store.counts(indices), torch.ones(20, 1))

    def test_what_is_masked_counts_nothing(self, tmp_path: Path):
        mask = np.zeros((6, 8), dtype=bool)
        mask[2, 3] = True
        store = store_of(tmp_path, [random_picture(6, 8, 4, 0)], masks=[mask])
        rows, columns = torch.meshgrid(torch.arange(6), torch.arange(8), indexing="ij")
        counts = store.counts(torch.stack([torch.zeros_like(rows), rows, columns], dim=-1))
        assert counts.nonzero()[:, :2].tolist() in ([[2, 3]], [])
        assert float(counts[2, 3]) == pytest.approx(random_picture(6, 8, 4, 0)[2, 3, 3] / 255)

    def test_pixels_are_kept_as_bytes(self, tmp_path: Path, pictures):
        assert store_of(tmp_path, pictures).pixels.dtype == torch.uint8
