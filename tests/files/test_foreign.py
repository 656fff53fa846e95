import codecs
import unicodedata
from pathlib import Path

import pytest

from ins3d.files.foreign import find_file, read_text


class TestReadText:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_by_its_byte_order_mark(self, tmp_path: Path, encoding: str):
        (tmp_path / "a.json").write_bytes('{\r\n "naïve": 1}'.encode(encoding))
        assert read_text(tmp_path / "a.json") == '{\r\n "naïve": 1}'

    def test_big_endian(self, tmp_path: Path):
        (tmp_path / "a.json").write_bytes(codecs.BOM_UTF16_BE + "é".encode("utf-16-be"))
        assert read_text(tmp_path / "a.json") == "é"


class TestFindFile:
    @pytest.mark.parametrize(
        "told",
        [
            "images/Frame_1.png", "./images/Frame_1.png", "images\\Frame_1.png", ".\\images\\Frame_1.png",
            "C:\\Users\\me\\scan\\images\\Frame_1.png", "/home/me/scan/images/Frame_1.png", "../scan/images/Frame_1.png",
            "Images/FRAME_1.PNG", "images/Frame_1", "D:/scan/images/frame_1",
        ],
    )  # fmt: skip
    def test_whoever_wrote_its_name(self, tmp_path: Path, told: str):
        file = tmp_path / "images" / "Frame_1.png"
        file.parent.mkdir()
        file.write_bytes(b"")
        found = find_file(tmp_path, told, (".jpg", ".png"))
        assert found is not None and found.resolve() == file

    def test_accents_of_a_mac(self, tmp_path: Path):
        (tmp_path / unicodedata.normalize("NFC", "café.png")).write_bytes(b"")
        assert find_file(tmp_path, unicodedata.normalize("NFD", "café.png")) is not None

    def test_a_whole_path_elsewhere(self, tmp_path: Path):
        (tmp_path / "a.png").write_bytes(b"")
        assert find_file(tmp_path / "nowhere", str(tmp_path / "a.png")) == tmp_path / "a.png"

    @pytest.mark.parametrize("told", ["b.png", "images/b.png", "a", "images", ""])
    def test_what_is_not_there(self, tmp_path: Path, told: str):
        (tmp_path / "images").mkdir()
        (tmp_path / "a.png").write_bytes(b"")
        assert find_file(tmp_path, told) is None

    def test_what_has_come_since_it_was_asked_for(self, tmp_path: Path):
        assert find_file(tmp_path, "A.png") is None
        (tmp_path / "a.png").write_bytes(b"")
        assert find_file(tmp_path, "A.png") == tmp_path / "a.png"
