from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ins3d.plugin.data.photographs import find_photograph, of_other_endings, unused_masks


def photograph(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    Image.fromarray(values).save(path)
    return path


def mask(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros((40, 48), np.uint8)
    values[10:30, 8:40] = 255
    Image.fromarray(values).save(path)
    return path


class TestFindPhotograph:
    def test_of_another_ending_where_the_told_one_is_gone(self, tmp_path: Path):
        found = photograph(tmp_path / "images/1.png")
        assert find_photograph(tmp_path, "images/1.HEIC") == found

    def test_never_a_mask_that_lies_beside_it(self, tmp_path: Path):
        mask(tmp_path / "images/1.png")
        assert find_photograph(tmp_path, "images/1.jpg") is None
        assert find_photograph(tmp_path, "images/1.png") == tmp_path / "images/1.png"  # nobody is contradicted

    def test_nor_one_that_is_known_to_be_one(self, tmp_path: Path):
        looks_innocent = photograph(tmp_path / "images/1.png")
        assert find_photograph(tmp_path, "images/1.jpg", {looks_innocent}) is None
        assert find_photograph(tmp_path, "images/1", {looks_innocent}) is None

    def test_without_an_ending_the_one_of_several_that_is_no_mask(self, tmp_path: Path):
        mask(tmp_path / "images/1.png")
        found = photograph(tmp_path / "images/1.jpg")
        assert find_photograph(tmp_path, "images/1") == found


class TestLines:
    def test_another_ending_is_said(self):
        found = {"a/1.jpg": Path("a/1.png"), "a/2.JPG": Path("a/2.jpg"), "a/3": Path("a/3.png")}
        assert of_other_endings(found) == ("1 of 3 pictures have another ending than was told: for a/1.jpg, 1.png is taken.")
        assert of_other_endings({"a/2.JPG": Path("a/2.jpg")}) is None

    @pytest.mark.parametrize("name", ["{}.png", "{}.jpg", "{}.jpg.png"])
    def test_masks_that_nothing_names_are_said(self, tmp_path: Path, name: str):
        photographs = {f"images/{n}.jpg": photograph(tmp_path / f"images/{n}.jpg") for n in range(4)}
        for number in range(3):
            mask(tmp_path / "masks" / name.format(number))
        assert unused_masks(tmp_path, tmp_path / "transforms.json", photographs) == (
            f"{tmp_path / 'masks'} holds masks of 3 of 4 pictures, and transforms.json does not name them: they are not "
            "used. "
            f'To learn only from what is white in them, write "mask_path": "masks/{name.format(0)}" into the frame of '
            "images/0.jpg, and so on."
        )

    def test_a_folder_of_something_else_is_not(self, tmp_path: Path):
        photographs = {f"images/{n}.jpg": photograph(tmp_path / f"images/{n}.jpg") for n in range(4)}
        mask(tmp_path / "masks/0.png")
        assert unused_masks(tmp_path, tmp_path / "transforms.json", photographs) is None
