import json
from pathlib import Path

import numpy as np
import pytest
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.data.dataparsers.colmap_dataparser import ColmapDataParserConfig
from PIL import Image

from ins3d.plugin.data.parsers import orderly


def colmap(folder: Path, place: str, model: str = "PINHOLE 20 16 18 18 10 8", points: bool = True) -> Path:
    """Twelve pictures at images/N.png, in a row; COLMAP calls them N.PNG."""
    (folder / "images").mkdir()
    (folder / place).mkdir(parents=True, exist_ok=True)
    for number in range(12):
        Image.new("RGB", (20, 16)).save(folder / f"images/{number}.png")
    (folder / place / "cameras.txt").write_text(f"1 {model}\n")
    lines = [f"{n + 1} 1 0 0 0 {n} 0 0 1 {n}.PNG\n\n" for n in range(12)]
    (folder / place / "images.txt").write_text("".join(lines))
    if points:
        (folder / place / "points3D.txt").write_text("1 0 0 0 1 2 3 0.1 1 0\n2 1 0 0 1 2 3 0.1 1 0\n")
    return folder


def read(config: ColmapDataParserConfig | BlenderDataParserConfig, split: str = "train") -> DataparserOutputs:
    return orderly(config).setup().get_dataparser_outputs(split)


class TestColmap:
    @pytest.mark.parametrize("place", ["colmap/sparse/0", "sparse/0", "sparse", "."])
    def test_wherever_it_left_its_files(self, tmp_path: Path, place: str):
        config = ColmapDataParserConfig(data=colmap(tmp_path, place))
        assert all(path.is_file() for path in read(config).image_filenames)
        assert config.colmap_path == Path("colmap/sparse/0")

    def test_without_points(self, tmp_path: Path):
        assert read(ColmapDataParserConfig(data=colmap(tmp_path, "sparse/0", points=False))).image_filenames

    def test_nothing_of_it(self, tmp_path: Path):
        with pytest.raises(FileNotFoundError, match="^data: .* has no cameras.bin .* say where they are with --colmap-path"):
            read(ColmapDataParserConfig(data=tmp_path))

    def test_a_lens_that_is_not_read(self, tmp_path: Path):
        lens = "FULL_OPENCV 20 16 18 18 10 8 0 0 0 0 0 0 0 0"
        with pytest.raises(ValueError, match="^data: .* FULL_OPENCV .* Undistort the pictures"):
            read(ColmapDataParserConfig(data=colmap(tmp_path, "sparse/0", lens)))


class TestBlender:
    def write(self, folder: Path, *splits: str, ending: str = "") -> BlenderDataParserConfig:
        Image.new("RGB", (20, 16)).save(folder / "r.png")
        frame = {"file_path": f"./r{ending}", "transform_matrix": np.eye(4).tolist()}
        for split in splits:
            told = json.dumps({"camera_angle_x": 0.7, "frames": [frame]})
            (folder / f"transforms_{split}.json").write_text(told, "utf-8-sig")
        return BlenderDataParserConfig(data=folder)

    @pytest.mark.parametrize("ending", ["", ".png"])
    def test_names_with_their_ending_or_without(self, tmp_path: Path, ending: str):
        assert read(self.write(tmp_path, "train", ending=ending)).image_filenames == [tmp_path / "r.png"]

    def test_test_pictures_stand_for_missing_val_ones(self, tmp_path: Path):
        assert read(self.write(tmp_path, "train", "test"), "val").image_filenames == [tmp_path / "r.png"]

    def test_neither(self, tmp_path: Path):
        with pytest.raises(FileNotFoundError, match="^data: .*transforms_val.json does not exist"):
            read(self.write(tmp_path, "train"), "val")
