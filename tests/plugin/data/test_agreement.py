import re
from pathlib import Path
from typing import Any

import pytest
import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from PIL import Image

from ins3d.plugin.data.agreement import MASK_ORIENTATIONS, ORIENTATIONS, agreed


def save(path: Path, size: tuple[int, int], tag: int = 1) -> Path:
    image = Image.new("RGB", size)
    exif = image.getexif()
    exif[274] = tag
    image.save(path, exif=exif)
    return path


def scene(folder: Path, pictures: list[tuple[int, int]], camera: tuple[int, int], tag: int = 1) -> DataparserOutputs:
    """Pictures of these sizes, and cameras for another, of a focal length of 100."""
    files = [save(folder / f"{index}.jpg", size, tag) for index, size in enumerate(pictures)]
    poses = torch.eye(4)[None, :3].repeat(len(files), 1, 1)
    width, height = camera
    cameras = Cameras(poses, fx=100.0, fy=100.0, cx=width / 2 - 3, cy=height / 2, width=width, height=height)
    return DataparserOutputs(files, cameras)


def seen(outputs: DataparserOutputs, fewest: int = 3, level: int = 1) -> tuple[DataparserOutputs, list[str]]:
    notes: list[str] = []
    return agreed(outputs, "training", fewest, level, notes), notes


def lens(outputs: DataparserOutputs, index: int = 0) -> list[float]:
    return [float(getattr(outputs.cameras, name)[index]) for name in ("fx", "fy", "cx", "cy", "width", "height")]


class TestSizes:
    def test_what_agrees_stays_and_nothing_is_said(self, tmp_path: Path):
        found, notes = seen(scene(tmp_path, [(60, 40)] * 5, (60, 40)))
        assert lens(found) == [100, 100, 27, 20, 60, 40] and notes == []

    def test_a_pixel_is_a_matter_of_rounding(self, tmp_path: Path):
        found, notes = seen(scene(tmp_path, [(61, 41)] * 5, (60, 40)))
        assert lens(found) == [100, 100, 27, 20, 61, 41] and notes == []

    @pytest.mark.parametrize(("size", "factor"), [((30, 20), 0.5), ((180, 120), 3.0)])
    def test_cameras_are_scaled_to_their_pictures(self, tmp_path: Path, size: tuple[int, int], factor: float):
        found, notes = seen(scene(tmp_path, [size] * 5, (60, 40)))
        assert lens(found) == pytest.approx([100 * factor, 100 * factor, 27 * factor, 20 * factor, *size])
        assert notes == [
            f"5 pictures have {size[0]}x{size[1]} pixels and cameras for 60x40: the cameras were scaled to the pictures."
        ]

    def test_nothing_is_said_of_smaller_ones_that_were_asked_for(self, tmp_path: Path):
        found, notes = seen(scene(tmp_path, [(31, 21)] * 5, (61, 41)), level=2)
        assert lens(found)[4:] == [31, 21] and notes == []

    def test_each_by_its_own_picture(self, tmp_path: Path):
        found, _ = seen(scene(tmp_path, [(60, 40), (30, 20), (120, 80)], (60, 40)))
        assert [lens(found, index)[0] for index in range(3)] == [100, 50, 200]

    def test_cameras_that_mirror_are_an_error(self, tmp_path: Path):
        outputs = scene(tmp_path, [(60, 40)] * 5, (60, 40))
        outputs.cameras.camera_to_worlds[:, 0, 0] = -1
        with pytest.raises(ValueError, match="5 of 5 pictures cannot be used: 0.jpg has a camera whose axes mirror; 1.jpg"):
            seen(outputs)

    def test_another_shape_is_an_error(self, tmp_path: Path):
        text = (
            "data: of the training pictures, 3 of 3 pictures cannot be used: 0.jpg has 48x48 pixels, and its camera is for "
            "60x40, another shape; 1.jpg has"
        )
        with pytest.raises(ValueError, match=re.escape(text)):
            seen(scene(tmp_path, [(48, 48)] * 3, (60, 40)))


class TestOrientation:
    def test_a_tag_is_followed_where_it_makes_the_cameras_size(self, tmp_path: Path):
        found, notes = seen(scene(tmp_path, [(40, 60)] * 3, (60, 40), tag=6))
        assert found.metadata[ORIENTATIONS] == [6, 6, 6] and lens(found)[4:] == [60, 40]
        assert notes == ["3 pictures are turned as their orientation tag says, which makes them their cameras'."]

    def test_and_not_where_cameras_are_for_what_is_stored(self, tmp_path: Path):
        found, notes = seen(scene(tmp_path, [(60, 40)] * 3, (60, 40), tag=6))
        assert found.metadata[ORIENTATIONS] == [1, 1, 1] and notes == []

    def test_smaller_pictures_too(self, tmp_path: Path):
        found, _ = seen(scene(tmp_path, [(20, 30)] * 3, (60, 40), tag=8))
        assert found.metadata[ORIENTATIONS] == [8, 8, 8] and lens(found)[:2] == [50, 50]

    @pytest.mark.parametrize(("first", "expected"), [(6, [6, 3, 3]), (1, [1, 1, 1])])
    def test_upside_down_is_what_the_others_say(self, tmp_path: Path, first: int, expected: list[int]):
        outputs = scene(tmp_path, [(60, 40)] * 3, (60, 40), tag=3)
        save(tmp_path / "0.jpg", (40, 60) if first == 6 else (60, 40), first)
        assert seen(outputs)[0].metadata[ORIENTATIONS] == expected

    def test_the_error_tells_the_tag(self, tmp_path: Path):
        text = "0.jpg has 48x48 pixels (turned as its orientation tag 6 says: 48x48), and its camera is for 60x40"
        with pytest.raises(ValueError, match=re.escape(text)):
            seen(scene(tmp_path, [(48, 48)] * 3, (60, 40), tag=6))


class TestMasks:
    def of(self, folder: Path, size: tuple[int, int], tag: int = 1, **more: Any) -> DataparserOutputs:
        outputs = scene(folder, more.get("pictures", [(60, 40)] * 3), (60, 40), more.get("picture_tag", 1))
        outputs.mask_filenames = [save(folder / f"mask_{index}.png", size, tag) for index in range(3)]
        return outputs

    @pytest.mark.parametrize("size", [(60, 40), (30, 20), (600, 400)])
    def test_of_any_size(self, tmp_path: Path, size: tuple[int, int]):
        assert seen(self.of(tmp_path, size))[0].metadata[MASK_ORIENTATIONS] == [1, 1, 1]

    def test_by_its_own_tag(self, tmp_path: Path):
        assert seen(self.of(tmp_path, (40, 60), 6))[0].metadata[MASK_ORIENTATIONS] == [6, 6, 6]

    def test_made_of_what_was_stored_it_is_turned_as_its_picture_is(self, tmp_path: Path):
        outputs = self.of(tmp_path, (40, 60), pictures=[(40, 60)] * 3, picture_tag=8)
        assert seen(outputs)[0].metadata[MASK_ORIENTATIONS] == [8, 8, 8]

    def test_another_shape_is_an_error(self, tmp_path: Path):
        with pytest.raises(ValueError, match=r"0\.jpg has 60x40 pixels, and its mask .*mask_0\.png 48x48, another shape"):
            seen(self.of(tmp_path, (48, 48)))

    def test_pictures_may_have_none(self, tmp_path: Path):
        outputs = self.of(tmp_path, (60, 40))
        assert outputs.mask_filenames is not None
        outputs.mask_filenames[1] = None  # type: ignore[call-overload]
        assert len(seen(outputs)[0].image_filenames) == 3


class TestLeftOut:
    def test_a_few_that_cannot_be_read(self, tmp_path: Path):
        outputs = scene(tmp_path, [(60, 40)] * 20, (60, 40))
        for index in (4, 9):
            (tmp_path / f"{index}.jpg").write_bytes(b"")
        found, notes = seen(outputs)
        assert len(found.image_filenames) == len(found.cameras) == len(found.metadata[ORIENTATIONS]) == 18
        assert notes == [
            "Left out 2 of 20 pictures: 4.jpg is empty (an interrupted copy?); copy it again; 9.jpg is empty (an "
            "interrupted copy?); copy it again."
        ]

    def test_many_are_an_error(self, tmp_path: Path):
        outputs = scene(tmp_path, [(60, 40)] * 20, (60, 40))
        for index in range(4):
            (tmp_path / f"{index}.jpg").write_bytes(b"")
        with pytest.raises(
            ValueError, match=r"^data: of the training pictures, 4 of 20 pictures cannot be used: 0\.jpg is em"
        ):
            seen(outputs)

    def test_a_mask_that_is_missing(self, tmp_path: Path):
        outputs = scene(tmp_path, [(60, 40)] * 20, (60, 40))
        outputs.mask_filenames = [save(tmp_path / f"mask_{index}.png", (60, 40)) for index in range(20)]
        outputs.mask_filenames[7].unlink()
        found, notes = seen(outputs)
        assert notes == [f"Left out 1 of 20 pictures: 7.jpg lacks its mask, {tmp_path}/mask_7.png."]
        assert found.mask_filenames is not None and found.mask_filenames[7].name == "mask_8.png"
