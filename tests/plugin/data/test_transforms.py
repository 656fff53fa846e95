import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ins3d.plugin.data.transforms import SceneFile

SIZE = (48, 40)
LENS = {"fl_x": 50.0, "fl_y": 51.0, "cx": 24.5, "cy": 19.5, "w": 48, "h": 40}


def pose(index: int) -> list[list[float]]:
    matrix = np.eye(4)
    matrix[0, 3] = 0.1 * index
    return matrix.tolist()


def write(folder: Path, number: int = 10, **contents: Any) -> Path:
    """A scene of pictures at images/N.png, and its file."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    frames = []
    for index in range(number):
        Image.radial_gradient("L").resize(SIZE).save(folder / f"images/{index}.png")
        frames.append({"file_path": f"images/{index}.png", "transform_matrix": pose(index)})
    contents = {"frames": frames, **LENS} | contents
    file = folder / "transforms.json"
    file.write_text(json.dumps({name: value for name, value in contents.items() if value is not None}))
    return file


def rewrite(file: Path, edit: Any) -> None:
    """Changes each frame by its number."""
    contents = json.loads(file.read_text())
    for index, frame in enumerate(contents["frames"]):
        edit(index, frame)
    file.write_text(json.dumps(contents))


def read(folder: Path, downscale_factor: int | None = None) -> tuple[dict[str, Any], SceneFile]:
    scene = SceneFile(folder, downscale_factor)
    return scene.meta()[0], scene


class TestPaths:
    @pytest.mark.parametrize("told", ["images\\{}.png", "./images/{}", "C:\\scan\\images\\{}.png", "IMAGES/{}.PNG"])
    def test_pictures_are_found_whoever_named_them(self, tmp_path: Path, told: str):
        file = write(tmp_path)
        rewrite(file, lambda index, frame: frame.update(file_path=told.format(index)))
        meta, _ = read(tmp_path)
        assert [frame["file_path"] for frame in meta["frames"]] == [f"{tmp_path}/images/{index}.png" for index in range(10)]

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
    def test_a_file_of_notepad(self, tmp_path: Path, encoding: str):
        file = write(tmp_path)
        file.write_bytes(file.read_text().replace(", ", ",\r\n").encode(encoding))
        assert len(read(tmp_path)[0]["frames"]) == 10

    def test_a_picture_that_is_gone_keeps_its_name(self, tmp_path: Path):
        write(tmp_path)
        (tmp_path / "images/3.png").unlink()
        assert read(tmp_path)[0]["frames"][3]["file_path"] == f"{tmp_path}/images/3.png"

    def test_masks_are_of_those_pictures_that_have_one(self, tmp_path: Path):
        file = write(tmp_path)
        rewrite(file, lambda index, frame: frame.update(mask_path="masks\\1.png") if index == 1 else None)
        (tmp_path / "masks").mkdir()
        Image.new("L", SIZE).save(tmp_path / "masks/1.png")
        assert SceneFile(tmp_path, None).meta()[1] == {tmp_path / "images/1.png": tmp_path / "masks/1.png"}


class TestLens:
    def test_what_is_told_is_kept(self, tmp_path: Path):
        write(tmp_path, k1=0.1)
        frame = read(tmp_path)[0]["frames"][0]
        assert {name: frame[name] for name in LENS} == LENS and (frame["k1"], frame["p2"]) == (0.1, 0.0)

    def test_of_one_picture_before_that_of_all(self, tmp_path: Path):
        file = write(tmp_path)
        rewrite(file, lambda index, frame: frame.update(fl_x=60.0 + index))
        assert [frame["fl_x"] for frame in read(tmp_path)[0]["frames"]] == [60.0 + index for index in range(10)]

    @pytest.mark.parametrize("angle", [{"camera_angle_x": 0.7}, {"fov_x": math.degrees(0.7)}])
    def test_an_angle_and_the_pictures_tell_the_rest(self, tmp_path: Path, angle: dict[str, float]):
        write(tmp_path, **dict.fromkeys(LENS), **angle)
        frame = read(tmp_path)[0]["frames"][0]
        assert frame["fl_x"] == frame["fl_y"] == pytest.approx(24 / math.tan(0.35))
        assert [frame[name] for name in ("cx", "cy", "w", "h")] == [24, 20, 48, 40]

    def test_sizes_may_be_fractions_or_words(self, tmp_path: Path):
        write(tmp_path, w=48.0, h="40")
        frame = read(tmp_path)[0]["frames"][0]
        assert (frame["w"], frame["h"]) == (48, 40)

    def test_no_focal_length(self, tmp_path: Path):
        file = write(tmp_path, fl_x=None, fl_y=None)
        text = (
            f"data: {file} does not say the focal length (fl_x in pixels, or camera_angle_x); add it, or run "
            "ns-process-data again."
        )
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            read(tmp_path)

    def test_a_focal_length_that_is_none(self, tmp_path: Path):
        file = write(tmp_path, fl_x=float("nan"))
        with pytest.raises(ValueError, match=re.escape(f"data: {file} says that fl_x is nan, which is no number")):
            read(tmp_path)

    def test_a_lens_that_nobody_knows(self, tmp_path: Path):
        write(tmp_path, camera_model="BROWN")
        with pytest.raises(ValueError, match="has camera_model BROWN; use one of SIMPLE_PINHOLE, PINHOLE, "):
            read(tmp_path)


class TestPoses:
    def test_one_that_is_no_number_is_left_out_and_named(self, tmp_path: Path):
        file = write(tmp_path)
        rewrite(
            file, lambda index, frame: frame.update(transform_matrix=np.full((4, 4), np.nan).tolist()) if index == 4 else 0
        )
        meta, scene = read(tmp_path)
        assert len(meta["frames"]) == 9
        assert scene.notes == ["Left out 1 of 10 pictures: images/4.png has no transform_matrix of 4x4 finite numbers."]

    def test_one_far_away_is_left_out_and_named(self, tmp_path: Path):
        file = write(tmp_path)
        far = np.eye(4)
        far[1, 3] = 1000
        rewrite(file, lambda index, frame: frame.update(transform_matrix=far.tolist()) if index == 4 else 0)
        meta, scene = read(tmp_path)
        assert len(meta["frames"]) == 9
        assert re.fullmatch(
            r"Left out 1 of 10 pictures: images/4\.png has a camera \d{4} times as far away as the others\.", scene.notes[0]
        )

    def test_many_are_an_error(self, tmp_path: Path):
        file = write(tmp_path)
        rewrite(file, lambda index, frame: frame.pop("transform_matrix") if index % 2 else 0)
        text = f"data: of {file}, 5 of 10 pictures cannot be used: images/1.png has no transform_matrix of 4x4 finite"
        with pytest.raises(ValueError, match=re.escape(text)):
            read(tmp_path)

    def test_all_in_one_place(self, tmp_path: Path):
        file = write(tmp_path)
        rewrite(file, lambda index, frame: frame.update(transform_matrix=np.eye(4).tolist()))
        with pytest.raises(ValueError, match=re.escape(f"data: all cameras of {file} stand in one place")):
            read(tmp_path)

    @pytest.mark.parametrize(
        ("axes", "what"),
        [
            (np.diag([-1.0, 1, 1]), "that mirrors (its determinant is negative; turn the sign of its first column)"),
            (np.array([[1.0, 1, 0], [0, 1, 0], [0, 0, 1]]), "whose axes do not stand at right angles"),
        ],
    )
    def test_one_that_no_camera_has_is_left_out_and_named(self, tmp_path: Path, axes: np.ndarray, what: str):
        file = write(tmp_path)
        wrong = np.array(pose(4))
        wrong[:3, :3] = axes
        rewrite(file, lambda index, frame: frame.update(transform_matrix=wrong.tolist()) if index == 4 else 0)
        scene = read(tmp_path)[1]
        assert scene.notes == [f"Left out 1 of 10 pictures: images/4.png has a transform_matrix {what}."]

    def test_three_rows_are_enough(self, tmp_path: Path):
        file = write(tmp_path)
        rewrite(file, lambda index, frame: frame.update(transform_matrix=frame["transform_matrix"][:3]))
        assert np.array(read(tmp_path)[0]["frames"][2]["transform_matrix"]).tolist() == pose(2)


class TestSplits:
    NAMES = tuple(f"images/{index}.png" for index in range(10))

    @pytest.mark.parametrize(
        ("told", "expected"),
        [
            ({}, None),
            ({"train": (0, 1, 2, 3, 4, 5, 6, 7), "val": (8, 9)}, ("01234567", "89", "89")),
            ({"train": (0, 1, 2, 3, 4, 5, 6), "test": (9,)}, ("0123456", "9", "9")),
            ({"val": (1,)}, ("023456789", "1", "1")),
            ({"test": (1,)}, ("023456789", "1", "1")),
            ({"train": (0, 1, 2, 3)}, ("0123", "456789", "456789")),
            ({"train": range(10)}, ("0123456789", "", "")),
            ({"train": (0, 1, 2), "val": (3,), "test": (4,)}, ("012", "3", "4")),
        ],
    )
    def test_in_any_combination(self, tmp_path: Path, told: dict[str, Any], expected: tuple[str, ...] | None):
        lists = {f"{split}_filenames": [self.NAMES[index] for index in which] for split, which in told.items()}
        write(tmp_path, **lists)
        meta, scene = read(tmp_path)
        if expected is None:
            assert not any(name.endswith("_filenames") for name in meta) and scene.notes == []
            return
        for split, which in zip(("train", "val", "test"), expected, strict=True):
            assert [Path(name).stem for name in meta[f"{split}_filenames"]] == list(which)
        assert bool(scene.notes) == (len(told) < 3)

    def test_names_as_of_other_computers(self, tmp_path: Path):
        write(tmp_path, train_filenames=[f".\\images\\{index}" for index in range(8)])
        assert len(read(tmp_path)[0]["train_filenames"]) == 8

    def test_a_list_of_other_pictures(self, tmp_path: Path):
        file = write(tmp_path, val_filenames=["a.png"])
        text = f"data: none of val_filenames in {file} is among its frames (the first is a.png); give them as in file_path"
        with pytest.raises(ValueError, match=re.escape(text)):
            read(tmp_path)


class TestLevels:
    def smaller(self, folder: Path, level: int) -> None:
        (folder / f"images_{level}").mkdir()
        for index in range(10):
            Image.new("RGB", (48 // level, 40 // level)).save(folder / f"images_{level}/{index}.png")

    def test_a_factor_takes_the_pictures_of_its_folder(self, tmp_path: Path):
        write(tmp_path)
        self.smaller(tmp_path, 2)
        meta, scene = read(tmp_path, 2)
        assert meta["frames"][0]["file_path"] == f"{tmp_path}/images_2/0.png" and (scene.level, scene.shrink) == (2, 1)

    def test_or_says_how_far_pictures_are_to_be_reduced(self, tmp_path: Path):
        write(tmp_path)
        meta, scene = read(tmp_path, 2)
        assert meta["frames"][0]["file_path"] == f"{tmp_path}/images/0.png" and (scene.level, scene.shrink) == (1, 2)

    def test_by_itself_as_the_host_does(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("ins3d.plugin.data.transforms.MAX_AUTO_RESOLUTION", 30)
        write(tmp_path)
        assert read(tmp_path)[1].level == 1
        self.smaller(tmp_path, 2)
        assert read(tmp_path)[1].level == 2

    def test_pictures_of_one_name_in_several_folders_are_not_mixed_up(self, tmp_path: Path):
        file = write(tmp_path)
        for folder in ("images", "images_2"):
            for index in range(10):
                path = tmp_path / folder / f"camera_{index % 2}" / f"{index // 2}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", SIZE).save(path)
        rewrite(file, lambda index, frame: frame.update(file_path=f"images/camera_{index % 2}/{index // 2}.png"))
        found = [frame["file_path"] for frame in read(tmp_path, 2)[0]["frames"]]
        assert found[:2] == [f"{tmp_path}/images_2/camera_0/0.png", f"{tmp_path}/images_2/camera_1/0.png"]


class TestOddFiles:
    """As converters write them that nobody tests against."""

    @pytest.mark.parametrize("told", ["images/a%20{}.png", "images/a {}.HEIC", "images/a {}.jpg"])
    def test_addresses_and_converted_pictures(self, tmp_path: Path, told: str):
        file = write(tmp_path, 4)
        for index in range(4):
            (tmp_path / f"images/{index}.png").rename(tmp_path / f"images/a {index}.png")
        rewrite(file, lambda index, frame: frame.update(file_path=told.format(index)))
        assert [Path(frame["file_path"]).name for frame in read(tmp_path)[0]["frames"]] == [f"a {n}.png" for n in range(4)]

    def test_frames_by_name(self, tmp_path: Path):
        file = write(tmp_path, 4)
        contents = json.loads(file.read_text())
        contents["frames"] = {frame.pop("file_path"): frame for frame in contents["frames"]}
        file.write_text(json.dumps(contents))
        names = [frame["file_path"] for frame in read(tmp_path)[0]["frames"]]
        assert names == [f"{tmp_path}/images/{n}.png" for n in range(4)]

    def test_masks_beside_missing_pictures_are_not_learned_from(self, tmp_path: Path):
        file = write(tmp_path, 10)
        rewrite(file, lambda index, frame: frame.update(file_path=f"images/{index}.jpg", mask_path=f"images/{index}.png"))
        for index in range(1, 10):
            Image.radial_gradient("L").resize(SIZE).save(tmp_path / f"images/{index}.jpg")
        meta, _ = read(tmp_path)
        assert [Path(frame["file_path"]).name for frame in meta["frames"]] == [f"{n}.jpg" for n in range(10)]

    def test_matrices_in_one_list_or_of_an_object_with_a_scale(self, tmp_path: Path):
        file = write(tmp_path, 4)
        scaled = np.diag([2e-4, 3e-4, 2e-4, 1.0])

        def edit(index: int, frame: dict[str, Any]) -> None:
            matrix = np.array(pose(index)) @ scaled
            frame["transform_matrix"] = matrix.ravel().tolist() if index % 2 else matrix.tolist()

        rewrite(file, edit)
        assert np.allclose([frame["transform_matrix"] for frame in read(tmp_path)[0]["frames"]], [pose(n) for n in range(4)])

    def test_nothing_is_what_is_not_told(self, tmp_path: Path):
        file = write(tmp_path, 4)
        contents = json.loads(file.read_text()) | {"val_filenames": None, "train_filenames": [], "applied_scale": None}
        file.write_text(json.dumps(contents))
        rewrite(file, lambda index, frame: frame.update(fl_x=None))
        meta, _ = read(tmp_path)
        assert meta["frames"][0]["fl_x"] == 50.0 and not {"val_filenames", "applied_scale"} & set(meta)

    def test_a_picture_listed_twice_counts_once(self, tmp_path: Path):
        write(tmp_path, 4, train_filenames=["images/0.png", "images/1.png"] * 2)
        assert len(read(tmp_path)[0]["train_filenames"]) == 2

    def test_pictures_all_around_need_no_focal_length(self, tmp_path: Path):
        write(tmp_path, 4, fl_x=None, fl_y=None, camera_model="EQUIRECTANGULAR")
        frame = read(tmp_path)[0]["frames"][0]
        assert (frame["fl_x"], frame["fl_y"]) == (24.0, 40.0)

    @pytest.mark.parametrize(
        ("told", "what"),
        [
            ({"fl_x": 0}, "fl_x is 0; a focal length is above 0"),
            ({"fl_x": None, "camera_angle_x": 43.0}, "camera_angle_x is 43; it is told in radians"),
            ({"w": 0}, "0x40 pixels; correct w and h"),
            ({"fl_x": 1.2, "cx": 0.5, "cy": 0.5}, "they are told in pixels"),
            ({"distortion_params": [0.1, 0, 0, 0]}, "6 numbers are read"),
            ({"applied_transform": [1, 2, 3]}, "no matrix of 3x4 numbers"),
            ({"orientation_override": "gravity"}, "use one of pca, up"),
            ({"val_filenames": [f"images/{index}.png" for index in range(10)]}, "leave nothing to learn from"),
        ],
    )
    def test_what_cannot_be_is_refused(self, tmp_path: Path, told: dict[str, Any], what: str):
        write(tmp_path, **told)
        with pytest.raises(ValueError, match=f"^data: .*{re.escape(what)}"):
            read(tmp_path)

    def test_lenses_of_two_kinds_are_refused(self, tmp_path: Path):
        rewrite(
            write(tmp_path), lambda index, frame: frame.update(camera_model="OPENCV_FISHEYE" if index % 2 else "PINHOLE")
        )
        with pytest.raises(ValueError, match="OPENCV_FISHEYE and PINHOLE, which are not learned from together"):
            read(tmp_path)


class TestAnotherFolder:
    """The remedy is by what lies there."""

    def remedy(self, folder: Path) -> str:
        with pytest.raises(FileNotFoundError) as error:
            read(folder)
        return str(error.value)

    def test_a_scene_above_or_below(self, tmp_path: Path):
        write(tmp_path / "scan", 4)
        assert f"give {tmp_path / 'scan'}, where" in self.remedy(tmp_path)
        assert f"give {tmp_path / 'scan'}, where" in self.remedy(tmp_path / "scan/images")

    def test_other_kinds(self, tmp_path: Path):
        assert "unpack it" in self.remedy(tmp_path / "scan.zip")
        (tmp_path / "sparse").mkdir()
        assert self.remedy(tmp_path).endswith(": colmap.")
        (tmp_path / "transforms_train.json").touch()
        assert self.remedy(tmp_path).endswith(": blender-data.")
