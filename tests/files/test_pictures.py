import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ins3d.files.pictures import read_rgb, resize_long_side, write_rgb

SETTING = "pipeline.model.styles"


@pytest.fixture
def noise() -> np.ndarray:
    """24 rows, 32 columns, 4 channels of 8 bits."""
    return np.random.default_rng(0).integers(0, 256, (24, 32, 4), dtype=np.uint8)


def read(path: Path) -> torch.Tensor:
    return read_rgb(path, SETTING)


def as_rgb(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32)).permute(2, 0, 1)


class TestReadRgb:
    def test_divides_8_bits_by_255(self, noise: np.ndarray, tmp_path: Path):
        Image.fromarray(noise[..., :3]).save(tmp_path / "a.png")
        torch.testing.assert_close(read(tmp_path / "a.png"), as_rgb(noise[..., :3] / 255))

    def test_divides_16_bits_by_65535(self, tmp_path: Path):
        gray = np.random.default_rng(0).integers(0, 65536, (24, 32), dtype=np.uint16)
        Image.fromarray(gray).save(tmp_path / "a.png")
        torch.testing.assert_close(read(tmp_path / "a.png"), as_rgb(gray[..., None] / 65535).expand(3, -1, -1))

    def test_reads_black_and_white_of_one_bit(self, noise: np.ndarray, tmp_path: Path):
        Image.fromarray(noise[..., 0] > 100).save(tmp_path / "a.png")
        assert torch.equal(read(tmp_path / "a.png"), as_rgb(noise[..., :1] > 100).expand(3, -1, -1))

    def test_makes_grey_three_equal_channels(self, noise: np.ndarray, tmp_path: Path):
        Image.fromarray(noise[..., 0]).save(tmp_path / "a.png")
        torch.testing.assert_close(read(tmp_path / "a.png"), as_rgb(noise[..., :1] / 255).expand(3, -1, -1))

    def test_lays_grey_with_alpha_over_white(self, noise: np.ndarray, tmp_path: Path):
        Image.fromarray(noise[..., 2:], "LA").save(tmp_path / "a.png")
        gray, alpha = as_rgb(noise[..., 2:] / 255).split(1)
        torch.testing.assert_close(read(tmp_path / "a.png"), (gray * alpha + 1 - alpha).expand(3, -1, -1))

    def test_lays_colour_with_alpha_over_white(self, noise: np.ndarray, tmp_path: Path):
        Image.fromarray(noise).save(tmp_path / "a.png")
        # Slow and independent: pixel by pixel.
        found = read(tmp_path / "a.png")
        for row, column in [(0, 0), (3, 30), (23, 31)]:
            *color, alpha = noise[row, column].tolist()
            expected = [c / 255 * alpha / 255 + (255 - alpha) / 255 for c in color]
            assert found[:, row, column].tolist() == pytest.approx(expected, abs=1e-6)

    def test_what_is_wholly_transparent_is_white(self, tmp_path: Path):
        Image.new("RGBA", (20, 20), (10, 200, 30, 0)).save(tmp_path / "a.png")
        assert torch.equal(read(tmp_path / "a.png"), torch.ones(3, 20, 20))

    def test_a_transparent_palette_entry_is_white_too(self, tmp_path: Path):
        picture = Image.new("P", (20, 20), 0)
        picture.putpalette([10, 200, 30, 255, 0, 0])
        picture.save(tmp_path / "a.png", transparency=0)
        assert torch.equal(read(tmp_path / "a.png"), torch.ones(3, 20, 20))

    def test_reads_the_four_inks_of_a_print_as_colours_and_not_as_alpha(self, tmp_path: Path):
        red = Image.new("RGB", (20, 20), (255, 0, 0))
        red.convert("CMYK").save(tmp_path / "a.jpg", quality=100)
        torch.testing.assert_close(read(tmp_path / "a.jpg").mean((1, 2)), torch.tensor([1.0, 0, 0]), atol=0.03, rtol=0)

    def test_reads_the_first_frame_of_an_animation(self, tmp_path: Path):
        frames = [Image.new("RGB", (20, 30), color) for color in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
        frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
        assert torch.equal(read(tmp_path / "a.gif"), torch.tensor([1.0, 0, 0])[:, None, None].expand(3, 30, 20))

    def test_reads_the_first_page_of_a_grey_tiff(self, tmp_path: Path):
        pages = [Image.new("L", (20, 30), gray) for gray in (51, 102, 153)]
        pages[0].save(tmp_path / "a.tiff", save_all=True, append_images=pages[1:])
        torch.testing.assert_close(read(tmp_path / "a.tiff"), torch.full((3, 30, 20), 0.2))


class TestWhatCannotBeRead:
    def test_a_missing_file(self, tmp_path: Path):
        message = rf"^{SETTING}: .*nowhere\.jpg does not exist; give the path of a picture \(png, jpg, webp, tiff\)\.$"
        with pytest.raises(FileNotFoundError, match=message):
            read(tmp_path / "nowhere.jpg")

    def test_a_folder(self, tmp_path: Path):
        message = rf"^{SETTING}: .*{tmp_path.name} is a folder, not a picture; give the path of a picture \("
        with pytest.raises(FileNotFoundError, match=message):
            read(tmp_path)

    @pytest.mark.parametrize("content", [b"once upon a time", b"", b"\x89PNG\r\n\x1a\n0000"])
    def test_something_else_that_is_named_png(self, content: bytes, tmp_path: Path):
        path = tmp_path / "story.png"
        path.write_bytes(content)
        message = rf"^{SETTING}: .*story\.png is not a picture that can be read; save it as png or jpg\.$"
        with pytest.raises(ValueError, match=message):
            read(path)

    @pytest.mark.parametrize(("width", "height"), [(1, 1), (15, 200), (200, 15)])
    def test_a_picture_too_small_for_the_encoder(self, width: int, height: int, tmp_path: Path):
        Image.new("RGB", (width, height)).save(tmp_path / "dot.png")
        message = rf"^{SETTING}: .*dot\.png is {width}x{height} pixels; use a picture of at least 16 pixels a side\.$"
        with pytest.raises(ValueError, match=message):
            read(tmp_path / "dot.png")

    def test_more_pixels_than_are_safe_to_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        path = tmp_path / "wall.png"
        Image.new("RGB", (300, 200)).save(path)
        monkeypatch.setattr("ins3d.files.pictures.MAX_PIXELS", 59_999)
        text = f"styles: {path} has more than 59,999 pixels; shrink it to a long side of 4000 or so."
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            read_rgb(path, "styles")

    @pytest.mark.parametrize("value", [253.5, -1.0, float("nan")])
    def test_numbers_that_are_no_colours(self, value: float, tmp_path: Path):
        path = tmp_path / "measured.tiff"
        Image.fromarray(np.full((20, 20), value, dtype=np.float32)).save(path)
        text = f"styles: {path} holds numbers outside 0 to 1; save it with 8 or 16 bits, as png or jpg."
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            read_rgb(path, "styles")

    def test_twenty_thousand_pixels_of_width_are_read(self, tmp_path: Path):
        Image.new("RGB", (20_000, 40), (255, 0, 0)).save(tmp_path / "frieze.png")
        assert read_rgb(tmp_path / "frieze.png", "styles").shape == (3, 40, 20_000)

    def test_16_pixels_a_side_are_enough(self, tmp_path: Path):
        Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
        assert read(tmp_path / "a.png").shape == (3, 16, 16)


class TestWriteRgb:
    def test_is_undone_by_reading_up_to_rounding_to_8_bits(self, tmp_path: Path, random: torch.Generator):
        rgb = torch.rand(3, 20, 30, generator=random)
        write_rgb(tmp_path / "new" / "folder" / "a.png", rgb)
        torch.testing.assert_close(read(tmp_path / "new" / "folder" / "a.png"), rgb, atol=0.5001 / 255, rtol=0)

    def test_cuts_what_lies_outside_0_and_1(self, tmp_path: Path):
        write_rgb(tmp_path / "a.png", torch.tensor([-1.0, 0.5, 7.0])[:, None, None].expand(3, 16, 16))
        assert read(tmp_path / "a.png")[:, 0, 0].tolist() == pytest.approx([0, 128 / 255, 1])


class TestResizeLongSide:
    @pytest.mark.parametrize(("height", "width"), [(100, 200), (200, 100), (99, 33), (20, 1000)])
    def test_keeps_the_aspect(self, height: int, width: int):
        new_height, new_width = resize_long_side(torch.zeros(3, height, width), 50).shape[1:]
        assert max(new_height, new_width) == 50
        assert abs(min(new_height, new_width) - 50 * min(height, width) / max(height, width)) <= 0.5

    def test_returns_a_picture_of_that_size_unchanged(self, random: torch.Generator):
        rgb = torch.rand(3, 20, 30, generator=random)
        torch.testing.assert_close(resize_long_side(rgb, 30), rgb)

    def test_averages_what_it_shrinks(self):
        # Nearest neighbour would keep only black or only white of a checkerboard.
        checkerboard = (torch.arange(64)[:, None] + torch.arange(64)).remainder(2).float().expand(3, -1, -1)
        inner = resize_long_side(checkerboard, 16)[:, 1:-1, 1:-1]
        torch.testing.assert_close(inner, torch.full_like(inner, 0.5), atol=0.02, rtol=0)

    def test_a_needle_keeps_one_pixel_of_width(self):
        assert resize_long_side(torch.zeros(3, 1000, 16), 20).shape == (3, 20, 1)
