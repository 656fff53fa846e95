import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from ins3d.files.pictures import picture_files, read_pixels, read_rgb, resize_long_side, write_rgb

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

    def test_how_much_is_transparent_is_told(self, tmp_path: Path):
        said: list[str] = []
        clear = np.full((20, 30, 4), 255, np.uint8)
        Image.fromarray(clear).save(tmp_path / "opaque.png")
        clear[:5, :, 3] = 0
        Image.fromarray(clear).save(tmp_path / "a.png")
        for name in ("opaque.png", "a.png"):
            read_rgb(tmp_path / name, SETTING, say=said.append)
        assert said == ["a.png is transparent in 25.0% of its pixels: they are taken for white."]

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


def red_is_green() -> bytes:
    """A colour profile whose red is sRGB's green."""
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    named = plain.replace(b"s\0R\0G\0B", b"n\0o\0n\0e").replace(b"sRGB", b"none")
    return named.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")


class TestAsAPersonSeesIt:
    @pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
    def test_by_its_colour_profile(self, tmp_path: Path, ending: str):
        path = tmp_path / f"a.{ending}"
        options = {"quality": 100} if ending == "jpg" else {"lossless": True} if ending == "webp" else {}
        Image.new("RGB", (20, 20), (200, 30, 10)).save(path, icc_profile=red_is_green(), **options)
        seen = read(path).mean((1, 2)) * 255
        torch.testing.assert_close(seen, torch.tensor([30.0, 200.0, 10.0]), atol=3, rtol=0)
        assert read_pixels(path, SETTING)[10, 10].tolist() == pytest.approx([30, 200, 10], abs=3)

    def test_a_profile_keeps_what_is_transparent(self, tmp_path: Path):
        Image.new("RGBA", (20, 20), (200, 30, 10, 77)).save(tmp_path / "a.png", icc_profile=red_is_green())
        assert read_pixels(tmp_path / "a.png", SETTING)[0, 0].tolist() == pytest.approx([30, 200, 10, 77], abs=2)

    @pytest.mark.parametrize("profile", [b"no profile at all", red_is_green()])
    def test_a_profile_that_is_broken_or_of_another_kind_of_picture_changes_nothing(self, tmp_path: Path, profile: bytes):
        mode, color = ("CMYK", (0, 255, 255, 0)) if len(profile) > 100 else ("RGB", (255, 0, 0))
        Image.new(mode, (20, 20), color).save(tmp_path / "a.tif", icc_profile=profile)
        assert read_pixels(tmp_path / "a.tif", SETTING)[0, 0].tolist() == [255, 0, 0]

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_as_its_orientation_tag_says(self, tmp_path: Path, orientation: int):
        """A corner is marked; where it belongs is what Exif's table says (0th row, 0th column)."""
        stored = Image.new("RGB", (32, 24))
        stored.paste((255, 255, 255), (0, 0, 8, 8))
        exif = stored.getexif()
        exif[274] = orientation
        stored.save(tmp_path / "a.jpg", exif=exif, quality=100)
        seen = read(tmp_path / "a.jpg")[0] > 0.5
        top, left = orientation in (1, 2, 5, 6), orientation in (1, 4, 5, 8)
        assert seen.shape == ((24, 32) if orientation < 5 else (32, 24))
        corner = seen[: 8 if top else None, : 8 if left else None]
        corner = corner if top else corner[-8:]
        assert bool((corner if left else corner[:, -8:]).all()) and int(seen.sum()) == 64

    def test_or_as_a_tag_that_is_given_says(self, tmp_path: Path):
        Image.new("RGB", (32, 24)).save(tmp_path / "a.png")
        assert read_pixels(tmp_path / "a.png", SETTING, orientation=6).shape == (32, 24, 3)


class TestReadPixels:
    def test_grey_of_16_bits_keeps_its_high_byte(self, tmp_path: Path):
        Image.fromarray(np.full((20, 20), 0x80FE, dtype=np.uint16)).save(tmp_path / "a.png")
        assert read_pixels(tmp_path / "a.png", SETTING)[0, 0].tolist() == [128, 128, 128]

    def test_a_palette_is_looked_up(self, tmp_path: Path):
        Image.new("RGB", (20, 20), (10, 200, 30)).quantize(4).save(tmp_path / "a.png")
        assert read_pixels(tmp_path / "a.png", SETTING)[0, 0].tolist() == pytest.approx([10, 200, 30], abs=1)

    def test_a_picture_that_is_shrunk_and_turned(self, tmp_path: Path):
        ramp = np.tile(np.arange(0, 64, dtype=np.uint8) * 4, (32, 1))
        Image.fromarray(ramp).save(tmp_path / "a.png")
        seen = read_pixels(tmp_path / "a.png", SETTING, (8, 16), orientation=6)  # clockwise: it grows downwards
        assert seen.shape == (16, 8, 3) and seen[:, 3, 0].tolist() == [16 * row + 6 for row in range(16)]


class TestPictureFiles:
    def test_what_a_mac_and_windows_leave_in_folders_is_no_picture(self, tmp_path: Path):
        for name in ("b.JPG", "a.png", "._a.png", ".DS_Store", "Thumbs.db", "desktop.ini"):
            (tmp_path / name).write_bytes(b"")
        (tmp_path / "folder.png").mkdir()
        assert [file.name for file in picture_files(tmp_path)] == ["a.png", "b.JPG"]


class TestWhatCannotBeRead:
    @pytest.mark.parametrize(
        ("content", "what"),
        [
            (b"", "is empty (an interrupted copy?); copy it again."),
            (b"\0" * 500, "is empty (an interrupted copy?); copy it again."),
            (b"\0\0\0\x24ftypmif1\0\0\0\0mif1MiHBheic" + b"\0" * 99,
             "is HEIC, as phones write it, and cannot be read here; save it as jpg, or pip install pillow-heif."),
            (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + b"\0" * 99,
             "is a video, not a picture; save single frames of it as jpg."),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
             "is not the picture but a pointer of Git LFS; run `git lfs pull` where it came from."),
            (b"\x76\x2f\x31\x01\2\0\0\0channels\0",
             "is OpenEXR, in light as it is measured, which is not read; save it as png or jpg, as it should look."),
            (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n",
             "is Radiance HDR, in light as it is measured, which is not read; save it as png or jpg, as it should look."),
            (b"<!DOCTYPE html><html>",
             "is a web page or a drawing (svg), not a picture; download it again, or save it as png."),
        ],
    )  # fmt: skip
    def test_is_called_by_its_name(self, content: bytes, what: str, tmp_path: Path):
        path = tmp_path / "a.jpg"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"^{re.escape(f'{SETTING}: {path} {what}')}$"):
            read(path)

    def test_a_copy_that_was_interrupted(self, tmp_path: Path):
        noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
        for path, kind in ((tmp_path / "a.jpg", "JPEG"), (tmp_path / "a.png", "PNG")):
            Image.fromarray(noise).save(path, kind)
            whole = path.read_bytes()
            path.write_bytes(whole[: len(whole) * 6 // 10])
            text = f"{SETTING}: {path} ends before its picture does (an interrupted copy?); copy it again."
            with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
                read(path)

    def test_a_missing_file(self, tmp_path: Path):
        message = rf"^{SETTING}: .*nowhere\.jpg does not exist; give the path of a picture \(png, jpg, webp, tiff\)\.$"
        with pytest.raises(FileNotFoundError, match=message):
            read(tmp_path / "nowhere.jpg")

    def test_a_folder(self, tmp_path: Path):
        message = rf"^{SETTING}: .*{tmp_path.name} is a folder, not a picture; give the path of a picture \("
        with pytest.raises(FileNotFoundError, match=message):
            read(tmp_path)

    @pytest.mark.parametrize("content", [b"once upon a time", b"\x89PNG\r\n\x1a\n0000"])
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
