import os
import shutil
from pathlib import Path

import pytest

from ins3d.style.pictures import MOST_STYLES, find_style_pictures, style_names


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """wave.jpg, candy.png, and a text."""
    for name in ("wave.jpg", "candy.PNG", "read.me"):
        (tmp_path / name).write_bytes(b"not looked into here")
    return tmp_path


class TestFindStylePictures:
    def test_a_folder_stands_for_its_pictures_by_name(self, folder: Path):
        assert [path.name for path in find_style_pictures([folder])] == ["candy.PNG", "wave.jpg"]

    def test_files_keep_their_order_and_become_absolute(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.chdir(folder)
        assert find_style_pictures([Path("wave.jpg"), Path("candy.PNG")]) == (folder / "wave.jpg", folder / "candy.PNG")

    def test_nothing_given(self):
        assert message([]) == "pipeline.model.styles: no picture is given; name at least one."

    def test_a_folder_without_pictures(self, tmp_path: Path):
        assert message([tmp_path]).startswith(f"pipeline.model.styles: the folder {tmp_path} holds no pictures (.png, ")

    def test_one_missing(self):
        assert message([Path("/nowhere/a.jpg")]) == (
            "pipeline.model.styles: /nowhere/a.jpg does not exist; give paths of pictures (png, jpg, webp, tiff), or a "
            "folder of them."
        )

    def test_one_missing_among_ten(self, folder: Path):
        nine = [folder / f"{index}.png" for index in range(9)]
        for path in nine:
            shutil.copy(folder / "wave.jpg", path)
        assert message([*nine, folder / "gone.png"]).startswith(
            f"pipeline.model.styles: 1 of 10 pictures are missing, the first is {folder}/gone.png; give"
        )

    def test_the_same_file_twice(self, folder: Path):
        wave = folder / "wave.jpg"
        assert message([wave, folder]) == f"pipeline.model.styles: {wave} is given twice; give every picture once."

    def test_a_link_to_the_same_file(self, folder: Path):
        (folder / "sub").mkdir()
        os.symlink(folder / "wave.jpg", folder / "sub" / "wave.jpg")
        assert "is given twice" in message([folder / "wave.jpg", folder / "sub" / "wave.jpg"])

    def test_two_files_of_one_name(self, folder: Path):
        shutil.copy(folder / "wave.jpg", folder / "wave.png")
        assert message([folder / "wave.jpg", folder / "wave.png"]) == (
            f"pipeline.model.styles: {folder}/wave.jpg and {folder}/wave.png would both be called 'wave'; rename one of "
            "them."
        )

    def test_fifty(self, folder: Path):
        paths = [folder / f"{index}.png" for index in range(50)]
        for path in paths:
            shutil.copy(folder / "wave.jpg", path)
        assert message(paths) == (
            f"pipeline.model.styles: 50 pictures are more than the {MOST_STYLES} that one network holds; give fewer, and "
            "train the others in another run, from the same content."
        )


def test_names_are_the_files_without_their_endings():
    assert style_names([Path("a/starry.night.jpg"), Path("b/wave.png")]) == ("starry.night", "wave")


def message(paths: list[Path]) -> str:
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        find_style_pictures(paths)
    return str(caught.value)
