import errno
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ins3d.plugin import sample_pool
from ins3d.plugin.pixel_sampler import LEAST_FOREGROUND, PatchSettings, StridedPatchSampler
from ins3d.plugin.rays.picture_store import PictureStore
from ins3d.plugin.sample_pool import PoolSettings, SamplePool, build_pool, reserve_file
from tests.plugin.tiny_scenes import picture_dataset

Make = Callable[..., Any]


def sampler_of(folder: Path, pictures: list[np.ndarray], size: int = 8) -> StridedPatchSampler:
    dataset = picture_dataset(folder, pictures)
    return StridedPatchSampler(PatchSettings(size, (1, 2)), PictureStore(dataset, torch.device("cpu")), dataset.cameras)


def ask(pixel_indices: torch.Tensor) -> dict[str, torch.Tensor]:
    """Answers that say which pixel they are about, in two precisions."""
    return {"number": (pixel_indices @ torch.tensor([10000, 100, 1])).float()[:, None], "pixel": pixel_indices.half()}


def pool_of(sampler: StridedPatchSampler, folder: Path, **settings: Any) -> SamplePool:
    said: list[tuple[int, int]] = []
    pool = build_pool(
        PoolSettings(**{"max_rays": 3000, **settings}), sampler, (1, 2), 10**6, ask, folder,
        torch.Generator().manual_seed(0), lambda done, total: said.append((done, total)),
    )  # fmt: skip
    assert said[-1][0] == said[-1][1] == len(pool.pixel_indices)
    return pool


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


class TestBuildPool:
    def test_what_is_kept_is_what_was_answered(self, tmp_path: Path, pictures):
        pool = pool_of(sampler_of(tmp_path, pictures), tmp_path / "run")
        answers = ask(pool.pixel_indices)
        assert pool.kept.keys() == answers.keys()
        for name, values in answers.items():
            assert torch.equal(pool.kept[name], values) and pool.kept[name].dtype == values.dtype
        assert not (tmp_path / "run").exists()

    def test_in_a_mapped_file_the_values_are_the_same_and_no_file_stays_behind(self, tmp_path: Path, pictures, reserved):
        sampler = sampler_of(tmp_path, pictures)
        in_memory = pool_of(sampler, tmp_path / "run")
        mapped = pool_of(sampler, tmp_path / "run", share_of_memory=0.0)
        assert sorted(reserved) == ["pool_number.bin", "pool_pixel.bin"]
        assert list((tmp_path / "run").iterdir()) == []
        assert torch.equal(mapped.pixel_indices, in_memory.pixel_indices)
        for name, values in in_memory.kept.items():
            assert torch.equal(mapped.kept[name], values) and mapped.kept[name].dtype == values.dtype

    def test_it_keeps_about_as_many_rays_as_allowed_and_as_many_at_each_stride(self, tmp_path: Path, pictures):
        pool = pool_of(sampler_of(tmp_path, pictures), tmp_path)
        assert 2000 < len(pool.pixel_indices) <= 3000
        rays = {stride: sum(w.side**2 for w in pool.windows if w.stride == stride) for stride in (1, 2)}
        assert rays[1] == rays[2] and sum(rays.values()) == len(pool.pixel_indices)

    def test_a_short_run_keeps_no_more_than_it_can_use(self, tmp_path: Path, pictures):
        sampler = sampler_of(tmp_path, pictures)
        pool = build_pool(
            PoolSettings(), sampler, (1,), 300, ask, tmp_path, torch.Generator().manual_seed(0), lambda done, total: None
        )
        assert len(pool.pixel_indices) == 2 * 12**2

    def test_windows_are_strided_squares_inside_their_pictures(self, tmp_path: Path, pictures):
        sampler = sampler_of(tmp_path, pictures)
        pool = pool_of(sampler, tmp_path)
        for window in pool.windows:
            pixels = pool.pixel_indices[window.first : window.first + window.side**2].reshape(window.side, window.side, 3)
            assert len(pixels[..., 0].unique()) == 1
            assert bool((pixels[1:, :, 1] - pixels[:-1, :, 1] == window.stride).all())
            assert bool((pixels[:, 1:, 2] - pixels[:, :-1, 2] == window.stride).all())
            assert bool((pixels[..., 1:] < sampler.store.sizes[pixels[0, 0, 0]]).all()) and int(pixels.min()) >= 0


class TestDrawPatch:
    def test_a_patch_is_a_strided_square_with_its_own_numbers(self, tmp_path: Path, pictures):
        pool = pool_of(sampler_of(tmp_path, pictures), tmp_path)
        generator = torch.Generator().manual_seed(1)
        for stride in (1, 2, 1, 2):
            numbers = pool.draw_patch(8, stride, generator)
            pixels = pool.pixel_indices[numbers].reshape(8, 8, 3)
            assert len(pixels[..., 0].unique()) == 1
            assert torch.equal(pixels[:, 0, 1] - pixels[0, 0, 1], stride * torch.arange(8))
            assert torch.equal(pixels[0, :, 2] - pixels[0, 0, 2], stride * torch.arange(8))
            assert torch.equal(pool.kept["number"][numbers], ask(pool.pixel_indices[numbers])["number"])

    def test_every_offset_in_a_window_is_drawn(self, tmp_path: Path, pictures):
        sampler = sampler_of(tmp_path, pictures)
        pool = build_pool(
            PoolSettings(), sampler, (1,), 1, ask, tmp_path, torch.Generator().manual_seed(0), lambda done, total: None
        )
        (window,) = pool.windows
        generator = torch.Generator().manual_seed(1)
        corners = {int(pool.draw_patch(8, 1, generator)[0]) for _ in range(500)}
        # Side 12, patch 8: offsets 0 to 4 both ways.
        assert window.side == 12 and corners == {row * 12 + column for row in range(5) for column in range(5)}

    def test_background_is_avoided(self, tmp_path: Path):
        picture = np.full((40, 40, 4), 200, dtype=np.uint8)
        picture[..., 3] = 0
        picture[16:24, 16:24, 3] = 255
        pool = pool_of(sampler_of(tmp_path, [picture]), tmp_path)
        generator = torch.Generator().manual_seed(1)
        shares = [float(pool.counts[pool.draw_patch(8, stride, generator)].mean()) for stride in (1, 2) * 20]
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
            f"pipeline.pool.max-rays: keeping samples needs 2.5 GB in {tmp_path}, and the disk is full; lower it, or choose "
            "another --output-dir."
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
    def test_a_mapped_pool_gives_the_same_losses(self, trained_pipeline: Make, reserved: list[str]):
        losses = []
        for share in (0.25, 0.0):
            pipeline = trained_pipeline(pool__share_of_memory=share)
            stage = pipeline._begin_style_stage()
            stage.data.generator.manual_seed(0)
            losses.append({name: float(value) for name, value in stage.losses(0)[1].items()})
            assert bool(reserved) == (share == 0)
        assert losses[0] == losses[1]
