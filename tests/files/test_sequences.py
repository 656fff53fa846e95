from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ins3d.files.pictures import write_rgb
from ins3d.files.sequences import open_sequence


def shade(value: float, height: int = 24, width: int = 32) -> Tensor:
    return torch.full((3, height, width), value)


class TestFolder:
    def test_numbers_in_names_count(self, tmp_path: Path):
        for number in (10, 2, 1):
            write_rgb(tmp_path / f"frame_{number}.png", shade(number / 20))
        (tmp_path / "notes.txt").write_text("no picture")
        found = open_sequence(tmp_path, "stylised")
        assert found.names == ("frame_1", "frame_2", "frame_10") and found.named and found.size == (32, 24)
        assert [round(float(found.read(number).mean()) * 20) for number in range(3)] == [1, 2, 10]

    def test_a_picture_that_exif_turns_has_the_size_it_is_read_at(self, tmp_path: Path):
        exif = Image.Exif()
        exif[274] = 6
        Image.new("RGB", (32, 24)).save(tmp_path / "a.jpg", exif=exif)
        found = open_sequence(tmp_path, "stylised")
        assert found.size == (24, 32) and found.read(0).shape == (3, 32, 24)

    def test_messages(self, tmp_path: Path):
        for folder in ("empty", "nested/rgb", "sizes", "twice", "broken"):
            (tmp_path / folder).mkdir(parents=True)
        write_rgb(tmp_path / "nested" / "rgb" / "0.png", shade(0.5))
        write_rgb(tmp_path / "sizes" / "0.png", shade(0.5))
        write_rgb(tmp_path / "sizes" / "1.png", shade(0.5, 32, 24))
        for name in ("0.png", "0.jpg"):
            write_rgb(tmp_path / "twice" / name, shade(0.5))
        (tmp_path / "broken" / "0.png").write_bytes(b"no picture")
        (tmp_path / "film.mp4").write_bytes(b"no video")
        (tmp_path / "notes.txt").write_text("no frames")
        for name, message in {
            "gone": "gone does not exist; give a folder of pictures",
            "empty": "empty holds no pictures itself; give a folder of png or jpg.",
            "nested": "nested holds no pictures itself; give its folder rgb.",
            "sizes": "frames have several sizes (0.png 32x24, 1.png 24x32); give frames of one size.",
            "twice": "twice holds two pictures named 0; keep one of them.",
            "broken": "0.png is not a picture that can be read",
            "film.mp4": "film.mp4 is not a video that can be read; give its frames as pictures.",
            "notes.txt": "notes.txt is no folder and no video",
        }.items():
            with pytest.raises((ValueError, FileNotFoundError)) as caught:
                open_sequence(tmp_path / name, "stylised")
            assert str(caught.value).startswith("stylised: ") and message in str(caught.value), name


class TestVideo:
    @pytest.mark.parametrize("ending", [".mp4", ".gif"])
    def test_frames_are_found_in_any_order(self, tmp_path: Path, ending: str):
        path = tmp_path / f"film{ending}"
        options = {"fps": 10, "macro_block_size": 1} if ending == ".mp4" else {"duration": 100}
        with imageio.get_writer(path, **options) as writer:
            for number in range(8):
                writer.append_data(np.full((24, 32, 3), 30 * number, np.uint8))
        found = open_sequence(path, "content")
        assert len(found) == 8 and not found.named and found.size == (32, 24)
        for number in (5, 0, 7, 3, 3):
            assert float(found.read(number).mean()) * 255 == pytest.approx(30 * number, abs=5)
