import errno
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ins3d.plugin import sample_pool
from ins3d.plugin.pixel_sampler import LEAST_FOREGROUND, PatchSettings, WindowSampler
from ins3d.plugin.sample_pool import SampleCache, fill_cache, reserve_file
from tests.plugin.tiny_scenes import picture_dataset, pyramid_of

Make = Callable[..., Any]


def sampler_of(
    folder: Path, pictures: list[np.ndarray], strides: tuple[int, ...] = (1, 2), num_steps: int = 10**6
) -> WindowSampler:
    dataset = picture_dataset(folder, pictures)
    settings = PatchSettings(8, strides, max_rays=3000, rule="squares")
    return WindowSampler(settings, pyramid_of(dataset), dataset.cameras, num_steps)


def ask(stride: int | torch.Tensor, pixel_indices: torch.Tensor) -> dict[str, torch.Tensor]:
    """Answers that say which pixel they are about, in two precisions."""
    number = (pixel_indices @ torch.tensor([10000, 100, 1])).float() + stride / 8
    return {"number": number[:, None], "pixel": pixel_indices.half()}


def cache_of(sampler: WindowSampler, folder: Path) -> SampleCache:
    said: list[tuple[int, int]] = []
    generator = torch.Generator().manual_seed(0)
    cache = fill_cache(sampler, ask, folder, generator, lambda done, total: said.append((done, total)))
    assert said[-1][0] == said[-1][1] == len(cache.pixel_indices)
    return cache


@pytest.fixture
def pictures() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 255, (30, 40, 3), dtype=np.uint8), random.integers(0, 255, (50, 30, 3), dtype=np.uint8)]


@pytest.fixture
def reserved(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are reserved for mapping from here on."""
    names: list[str] = []

    def noting(file: Path, size: int) -> None:
        names.append(file.name)
        reserve_file(file, size)

    monkeypatch.setattr(sample_pool, "reserve_file", noting)
    return names


class TestFillCache:
    def test_what_is_kept_is_what_was_answered(self, tmp_path: Path, pictures):
        cache = cache_of(sampler_of(tmp_path, pictures), tmp_path / "run")
        strides = [torch.full((math.prod(window.extent),), window.stride) for window in cache.windows]
        answers = ask(torch.cat(strides), cache.pixel_indices)
        assert cache.kept.keys() == answers.keys()
        for name, values in answers.items():
            assert torch.equal(cache.kept[name], values) and cache.kept[name].dtype == values.dtype
        assert not (tmp_path / "run").exists()

    def test_windows_go_round_the_pictures_and_whole_ones_are_kept_once(self, tmp_path: Path, pictures):
        dataset = picture_dataset(tmp_path, [pictures[0]] * 5)
        settings = PatchSettings(13, (1, 2), max_rays=12_000, rule="frames")
        cache = cache_of(WindowSampler(settings, pyramid_of(dataset), dataset.cameras, 10**6), tmp_path / "run")
        shown = {1: [], 2: []}
        for window in cache.windows:
            shown[window.stride].append(int(cache.pixel_indices[window.first, 0]))
        assert sorted(shown[2]) == [0, 1, 2, 3, 4]  # the budget would do for twenty
        assert len(shown[1]) > 15 and [shown[1].count(picture) for picture in range(5)] == [
            len(shown[1]) // 5 + (place < len(shown[1]) % 5) for place in (shown[1][:5].index(each) for each in range(5))
        ]

    def test_in_a_mapped_file_the_values_are_the_same_and_no_file_stays_behind(
        self, tmp_path: Path, pictures, reserved, monkeypatch: pytest.MonkeyPatch
    ):
        sampler = sampler_of(tmp_path, pictures)
        in_memory = cache_of(sampler, tmp_path / "run")
        monkeypatch.setattr(sample_pool, "SHARE_OF_MEMORY", 0.0)
        mapped = cache_of(sampler, tmp_path / "run")
        assert sorted(reserved) == ["pool_number.bin", "pool_pixel.bin"]
        assert list((tmp_path / "run").iterdir()) == []
        assert torch.equal(mapped.pixel_indices, in_memory.pixel_indices)
        for name, values in in_memory.kept.items():
            assert torch.equal(mapped.kept[name], values) and mapped.kept[name].dtype == values.dtype

    def test_it_keeps_about_as_many_rays_as_allowed_and_as_many_at_each_stride(self, tmp_path: Path, pictures):
        cache = cache_of(sampler_of(tmp_path, pictures), tmp_path)
        assert 2000 < len(cache.pixel_indices) <= 3000
        rays = {stride: sum(math.prod(w.extent) for w in cache.windows if w.stride == stride) for stride in (1, 2)}
        assert rays[1] == rays[2] and sum(rays.values()) == len(cache.pixel_indices)

    def test_a_short_run_keeps_no_more_than_it_can_use(self, tmp_path: Path, pictures):
        # 5 steps of 8 x 8 rays: 320, two windows of 12 x 12.
        cache = cache_of(sampler_of(tmp_path, pictures, (1,), num_steps=5), tmp_path)
        assert len(cache.pixel_indices) == 2 * 12**2

    def test_windows_lie_inside_the_reduced_pictures(self, tmp_path: Path, pictures):
        sampler = sampler_of(tmp_path, pictures)
        cache = cache_of(sampler, tmp_path)
        for window in cache.windows:
            pixels = cache.pixel_indices[window.first :][: math.prod(window.extent)].reshape(*window.extent, 3)
            assert len(pixels[..., 0].unique()) == 1
            assert bool((pixels[1:, :, 1] - pixels[:-1, :, 1] == 1).all())
            assert bool((pixels[:, 1:, 2] - pixels[:, :-1, 2] == 1).all())
            sizes = sampler.pyramid[window.stride].store.sizes
            assert bool((pixels[..., 1:] < sizes[pixels[0, 0, 0]]).all()) and int(pixels.min()) >= 0


class TestDrawPatch:
    def test_a_patch_is_a_rectangle_with_its_own_places(self, tmp_path: Path, pictures):
        cache = cache_of(sampler_of(tmp_path, pictures), tmp_path)
        generator = torch.Generator().manual_seed(1)
        for stride in (1, 2, 1, 2):
            places = cache.draw_patch((8, 6), stride, generator)
            pixels = cache.pixel_indices[places].reshape(8, 6, 3)
            assert len(pixels[..., 0].unique()) == 1
            assert torch.equal(pixels[:, 0, 1] - pixels[0, 0, 1], torch.arange(8))
            assert torch.equal(pixels[0, :, 2] - pixels[0, 0, 2], torch.arange(6))
            assert torch.equal(cache.kept["number"][places], ask(stride, cache.pixel_indices[places])["number"])

    def test_every_offset_in_a_window_is_drawn(self, tmp_path: Path, pictures):
        cache = cache_of(sampler_of(tmp_path, pictures, (1,), num_steps=1), tmp_path)
        (window,) = cache.windows
        generator = torch.Generator().manual_seed(1)
        corners = {int(cache.draw_patch((8, 8), 1, generator)[0]) for _ in range(2500)}
        # Side 12, patch 8: offsets 0 to 4 both ways.
        assert window.extent == (12, 12) and corners == {row * 12 + column for row in range(5) for column in range(5)}

    def test_background_is_avoided(self, tmp_path: Path):
        picture = np.full((40, 40, 4), 200, dtype=np.uint8)
        picture[..., 3] = 0
        picture[16:24, 16:24, 3] = 255
        cache = cache_of(sampler_of(tmp_path, [picture]), tmp_path)
        generator = torch.Generator().manual_seed(1)
        shares = [float(cache.counts[cache.draw_patch((8, 8), stride, generator)].mean()) for stride in (1, 2) * 20]
        assert min(shares) >= LEAST_FOREGROUND


class TestReserveFile:
    def test_the_bytes_are_there_at_once(self, tmp_path: Path):
        reserve_file(tmp_path / "new" / "pool.bin", 5000)
        assert (tmp_path / "new" / "pool.bin").stat().st_size == 5000

    def test_a_full_disk_is_a_sentence_and_leaves_nothing(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
        def full(*_: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "posix_fallocate", full)
        text = (
            f"pipeline.patches.max-rays: keeping samples needs 2.5 GB in {tmp_path}, and the disk is full; lower it, or "
            "choose another --output-dir."
        )
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            reserve_file(tmp_path / "pool.bin", 2_500_000_000)
        assert not (tmp_path / "pool.bin").exists()

    def test_other_faults_of_the_disk_keep_their_name(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
        def broken(*_: Any) -> None:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(os, "posix_fallocate", broken)
        with pytest.raises(OSError, match="Input/output error"):
            reserve_file(tmp_path / "pool.bin", 100)


class TestInTheStyleStage:
    def test_a_mapped_cache_gives_the_same_losses(
        self, trained_pipeline: Make, reserved: list[str], monkeypatch: pytest.MonkeyPatch
    ):
        losses = []
        for share in (0.25, 0.0):
            monkeypatch.setattr(sample_pool, "SHARE_OF_MEMORY", share)
            stage = trained_pipeline()._begin_style_stage()
            generator = torch.Generator().manual_seed(0)
            losses.append({name: float(value) for name, value in stage.losses(0, generator).items()})
            assert bool(reserved) == (share == 0)
        assert losses[0] == losses[1]
