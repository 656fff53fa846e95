from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ins3d.files.masks import looks_like_a_mask, read_mask

SETTING = "data"


class TestReadMask:
    @pytest.mark.parametrize("mode", ["1", "L", "RGB", "P", "I;16", "RGBA", "0 and 1", "cut-out", "jpg"])
    def test_every_kind_shows_the_same(self, tmp_path: Path, mode: str):
        shown = np.zeros((24, 32), dtype=bool)
        shown[4:20, 8:24] = True
        path = tmp_path / ("mask.jpg" if mode == "jpg" else "mask.png")
        picture = Image.fromarray(shown.astype(np.uint8) * (1 if mode == "0 and 1" else 255))
        if mode == "cut-out":  # dark colours where the object is, white and transparent around it
            colors = np.where(shown[..., None], (20, 10, 5, 255), (255, 255, 255, 0)).astype(np.uint8)
            picture = Image.fromarray(colors)
        elif mode == "I;16":
            picture = Image.fromarray(shown.astype(np.uint16) * 65535)
        elif mode in ("1", "RGB", "P", "RGBA"):
            picture = picture.convert(mode)
        picture.save(path)
        assert np.array_equal(read_mask(path, SETTING), shown)

    def test_the_noise_of_a_jpg_is_black(self, tmp_path: Path):
        Image.fromarray(np.random.default_rng(0).integers(0, 4, (32, 32), dtype=np.uint8)).save(tmp_path / "a.jpg")
        assert not read_mask(tmp_path / "a.jpg", SETTING).any()


class TestLooksLikeAMask:
    def picture(self, kind: str) -> Image.Image:
        random = np.random.default_rng(0)
        rows, columns = np.meshgrid(np.arange(48), np.arange(64), indexing="ij")
        disk = (rows - 24) ** 2 + (columns - 32) ** 2 < 300
        noise = random.integers(0, 12, (48, 64, 3))
        values = {
            "mask": disk * 255, "0 and 1": disk * 1, "all white": np.full((48, 64), 255), "soft": disk * 255,
            "photograph": 20 * noise, "night": noise, "grey": 20 * noise[..., 0],
            "paper": 255 - 20 * noise * disk[..., None],
        }  # fmt: skip
        picture = Image.fromarray(values[kind].astype(np.uint8))
        return picture.resize((640, 480), Image.Resampling.BILINEAR) if kind == "soft" else picture

    @pytest.mark.parametrize("name", ["a.png", "a.jpg"])
    @pytest.mark.parametrize("kind", ["mask", "soft", "all white", "0 and 1"])
    def test_masks_do(self, tmp_path: Path, kind: str, name: str):
        self.picture(kind).save(tmp_path / name)
        assert looks_like_a_mask(tmp_path / name, SETTING)

    @pytest.mark.parametrize("kind", ["photograph", "night", "paper", "grey"])
    def test_photographs_do_not(self, tmp_path: Path, kind: str):
        self.picture(kind).save(tmp_path / "a.png")
        assert not looks_like_a_mask(tmp_path / "a.png", SETTING)
