import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ins3d.evaluation.posed_depth import PosedDepth
from ins3d.files.cameras import read_cameras

SIZE = (40, 30)


def write_scene(folder: Path, depth: np.ndarray, more: dict[str, Any] | None = None) -> Path:
    """A transforms.json of two cameras side by side, and depth maps of 40x30."""
    told: dict[str, Any] = {"fl_x": 50.0, "fl_y": 60.0, "cx": 21.0, "cy": 14.0, "w": 40, "h": 30} | (more or {})
    told["frames"], names = [], ("0", "1")
    for name in names:
        pose = np.eye(4)
        pose[0, 3] = 0.5 * int(name)
        told["frames"].append({"file_path": f"images/{name}.jpg", "transform_matrix": pose.tolist()})
    (folder / "transforms.json").write_text(json.dumps(told))
    (folder / "depth").mkdir(exist_ok=True)
    for name in names:
        np.save(folder / "depth" / f"{name}.npy", depth)
    return folder / "transforms.json"


class TestPosedDepth:
    def test_depth_along_the_axis_and_along_rays_are_the_same_surface(self, tmp_path: Path):
        cameras = write_scene(tmp_path, np.full((30, 40), 2.0))
        along_axis = PosedDepth(cameras, tmp_path / "depth", ["0"], SIZE, "z").view(0, SIZE)
        # A wall at z = -2: the depth along the axis is the same everywhere.
        assert along_axis.positions[..., 2].numpy() == pytest.approx(-2.0)
        np.save(tmp_path / "depth" / "0.npy", along_axis.distance[0].numpy())
        along_rays = PosedDepth(cameras, tmp_path / "depth", ["0"], SIZE).view(0, SIZE)
        torch.testing.assert_close(along_rays.positions, along_axis.positions)

    def test_intrinsics_follow_the_size(self, tmp_path: Path):
        posed = PosedDepth(write_scene(tmp_path, np.ones((30, 40))), tmp_path / "depth", ["1", "0"], (80, 60))
        assert posed.view(0, (80, 60)).intrinsics.tolist() == pytest.approx([100, 120, 42, 28])
        assert posed.view(0, SIZE).camera_to_world[0, 3] == 0.5  # named, not counted
        assert posed.view(1, (80, 60)).distance.shape == (1, 60, 80)

    def test_a_file_without_sizes_means_the_frames(self, tmp_path: Path):
        cameras = write_scene(tmp_path, np.ones((30, 40)), {"w": None, "h": None})
        assert read_cameras(cameras, SIZE)["0"].intrinsics.tolist() == pytest.approx([50 / 40, 2, 21 / 40, 14 / 30])
        blender = json.loads(cameras.read_text())
        told = {"camera_angle_x": 2 * np.arctan(0.5), "frames": blender["frames"]}
        cameras.write_text(json.dumps(told))
        # Half the width over the focal length is .5.
        assert read_cameras(cameras, SIZE)["0"].intrinsics.tolist() == pytest.approx([1, 40 / 30, 0.5, 0.5])

    def test_where_there_is_no_depth_there_is_nothing(self, tmp_path: Path):
        depth = np.ones((30, 40))
        depth[:, :10] = np.inf
        view = PosedDepth(write_scene(tmp_path, depth), tmp_path / "depth", ["0"], SIZE).view(0, SIZE)
        assert view.accumulation[0, :, :10].max() == 0 and view.accumulation[0, :, 10:].min() == 1

    def test_the_lens_is_applied(self, tmp_path: Path):
        plain, bent = (
            PosedDepth(write_scene(tmp_path, np.ones((30, 40)), more), tmp_path / "depth", ["0"], SIZE).view(0, SIZE)
            for more in ({}, {"k1": 0.2})
        )
        assert float((plain.directions - bent.directions).abs().max()) > 1e-3
        # Through the lens and back.
        assert bent.project(bent.positions)[3, 5].tolist() == pytest.approx([5.5, 3.5], abs=0.01)

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            ({"camera_model": "OPENCV_FISHEYE"}, "the lens is no plain one (camera_model is OPENCV_FISHEYE)"),
            ({"k4": 0.1}, "the lens is no plain one (k4 is 0.1)"),
            ({"w": 60}, "is for pictures 2.000 times as wide as high, and the frames have 40x30 pixels"),
            ({"fl_x": "wide"}, "cannot be read as cameras"),
        ],
    )
    def test_cameras_that_cannot_be(self, tmp_path: Path, more: dict[str, Any], message: str):
        cameras = write_scene(tmp_path, np.ones((30, 40)), more)
        with pytest.raises(ValueError) as caught:
            PosedDepth(cameras, tmp_path / "depth", ["0"], SIZE)
        assert str(caught.value).startswith("cameras: ") and message in str(caught.value)

    def test_frames_that_lack_something(self, tmp_path: Path):
        cameras = write_scene(tmp_path, np.ones((30, 40)))
        with pytest.raises(ValueError, match=r"^cameras: .* has no frame named 2 \(and 1 more\), it has 0, 1, ...; name "):
            PosedDepth(cameras, tmp_path / "depth", ["2", "3", "0"], SIZE)
        (tmp_path / "depth" / "1.npy").unlink()
        with pytest.raises(ValueError, match="^depth: .* holds no map named 1, it has 0, ...; name "):
            PosedDepth(cameras, tmp_path / "depth", ["0", "1"], SIZE)
        np.save(tmp_path / "depth" / "0.npy", np.ones((30, 30)))
        with pytest.raises(ValueError, match="^depth: .* has 30x30 pixels, another shape than the frames' 40x30"):
            PosedDepth(cameras, tmp_path / "depth", ["0"], SIZE).view(0, SIZE)
        with pytest.raises(FileNotFoundError, match="^cameras: gone.json does not exist"):
            read_cameras(Path("gone.json"), SIZE)
        cameras.write_text('{"frames": [{"file_path": "0.png"}]}')
        with pytest.raises(ValueError, match="^cameras: .* lacks 'transform_matrix'"):
            read_cameras(cameras, SIZE)
