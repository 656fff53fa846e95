import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from ins3d.files.colmap import read_colmap
from ins3d.splats.cameras import between, given_views, place_of, views_around, walk_through
from ins3d.splats.gaussians import Gaussians
from tests.splats.clouds import a_view, some_splats

QUATERNION, TRANSLATION = (0.9238795, 0.0, 0.3826834, 0.0), (0.1, -0.2, 3.0)


def write_colmap(folder: Path, words: bool) -> Path:
    """Two pictures of one pinhole camera."""
    place = folder / "sparse" / "0"
    place.mkdir(parents=True, exist_ok=True)
    names = ("b 2.jpg", "a.jpg")
    if words:
        (place / "cameras.txt").write_text("# list\n1 PINHOLE 40 30 50 60 21 14\n")
        lines = [
            f"{n + 1} {' '.join(map(str, QUATERNION + TRANSLATION))} 1 {name}\n0 0 -1\n" for n, name in enumerate(names)
        ]
        (place / "images.txt").write_text("# list\n" + "".join(lines))
        return folder
    (place / "cameras.bin").write_bytes(struct.pack("<QiiQQ4d", 1, 1, 1, 40, 30, 50, 60, 21, 14))
    raw = struct.pack("<Q", 2)
    for number, name in enumerate(names):
        raw += struct.pack("<i7di", number, *QUATERNION, *TRANSLATION, 1) + name.encode() + b"\0"
        raw += struct.pack("<Q", 1) + struct.pack("<ddq", 1.0, 2.0, -1)
    (place / "images.bin").write_bytes(raw)
    return folder


class TestColmap:
    @pytest.mark.parametrize("words", [False, True])
    def test_a_point_before_the_camera_is_seen_where_colmap_says(self, words: bool, tmp_path: Path):
        found = read_colmap(write_colmap(tmp_path, words))
        assert list(found) == ["b 2", "a"]
        view = given_views(tmp_path, 80)[0]
        assert view.shape == (60, 80)
        point = torch.tensor([0.3, 0.4, -0.5])
        w, _, y, _ = QUATERNION
        turned = np.array([[1 - 2 * y * y, 0, 2 * w * y], [0, 1, 0], [-2 * w * y, 0, 1 - 2 * y * y]]) @ point.numpy()
        seen = turned + TRANSLATION
        places, inside = view.places(view.seen_from(point))
        assert places.tolist() == pytest.approx([100 * seen[0] / seen[2] + 42, 120 * seen[1] / seen[2] + 28], abs=1e-3)
        assert bool(inside)

    def test_what_is_cut_off_or_not_there_is_named(self, tmp_path: Path):
        with pytest.raises(FileNotFoundError, match="cameras: .* holds no COLMAP reconstruction; give a folder with"):
            given_views(tmp_path, 80)
        images = write_colmap(tmp_path, False) / "sparse" / "0" / "images.bin"
        images.write_bytes(images.read_bytes()[:100])
        with pytest.raises(ValueError, match="cameras: .*images.bin is cut off, or none of COLMAP's"):
            given_views(tmp_path, 80)

    def test_a_fisheye_is_refused(self, tmp_path: Path):
        cameras = write_colmap(tmp_path, False) / "sparse" / "0" / "cameras.bin"
        cameras.write_bytes(struct.pack("<QiiQQ8d", 1, 1, 5, 40, 30, *range(8)))
        with pytest.raises(ValueError, match="COLMAP's lens model 5 is no plain one; undistort the pictures"):
            given_views(tmp_path, 80)


class TestGivenViews:
    def test_a_transforms_json_or_its_folder(self, tmp_path: Path):
        frame = {"file_path": "images/1.jpg", "transform_matrix": np.eye(4).tolist()}
        told = {"fl_x": 50, "fl_y": 60, "cx": 20, "cy": 15, "w": 40, "h": 30, "frames": [frame]}
        (tmp_path / "transforms.json").write_text(json.dumps(told))
        for path in (tmp_path, tmp_path / "transforms.json"):
            (view,) = given_views(path, 80)
            assert (view.fx, view.fy, view.cx, view.cy, view.width, view.height) == pytest.approx((100, 120, 40, 30, 80, 60))

    def test_no_frames_are_refused(self, tmp_path: Path):
        (tmp_path / "transforms.json").write_text('{"frames": []}')
        with pytest.raises(ValueError, match="cameras: .* has no frames; give the cameras of these splats"):
            given_views(tmp_path, 80)


class TestViewsAround:
    def test_most_of_an_object_is_in_every_picture(self):
        splats = some_splats(500)
        moved = Gaussians(**{**vars(splats), "means": 0.01 * splats.means + torch.tensor([5.0, -3.0, 2.0])})
        views = views_around(moved, 12, 64)
        assert len(views) == 12
        for view in views:
            _, inside = view.places(view.seen_from(moved.means))
            assert inside.float().mean() > 0.95

    def test_of_an_object_in_its_surroundings_the_object_is_shown(self):
        near, far = some_splats(300), some_splats(200)
        room = Gaussians(**{**vars(far), "means": 40 * torch.nn.functional.normalize(far.means, dim=-1)})
        both = Gaussians(**{name: torch.cat([value, getattr(room, name)]) for name, value in vars(near).items()})
        for view in views_around(both, 6, 64):
            _, inside = view.places(view.seen_from(near.means))
            assert inside.float().mean() > 0.5 and view.center.norm() < 20

    def test_one_splat_is_enough(self):
        assert len(views_around(some_splats(1), 6, 64)) == 6

    def test_what_the_cameras_see_is_where_strokes_are_fine(self):
        splats = some_splats(300)
        place = place_of(splats, [a_view(angle=angle) for angle in (0.0, 2.0, 4.0)])
        assert torch.tensor(place.center).norm() < 0.5 and 1 < place.radius < 3

    def test_cameras_that_look_away_are_refused(self):
        away = Gaussians(**{**vars(some_splats(9)), "means": torch.tensor([0.0, 0, 50]).expand(9, 3)})
        with pytest.raises(ValueError, match="cameras: none of 1 cameras sees a splat; give the cameras of this scene"):
            place_of(away, [a_view()])


class TestWays:
    def test_a_walk_is_as_long_as_asked_and_begins_at_the_first(self):
        views = [a_view(angle=angle) for angle in (0.0, 1.0, 2.0, 3.0)]
        walked = walk_through(views, 9)
        assert len(walked) == 9
        assert torch.allclose(walked[0].camera_to_world, views[0].camera_to_world, atol=1e-4)
        assert walk_through(views[:1], 3)[2].shape == views[0].shape

    def test_places_between_cameras_lie_between_them(self):
        views = [a_view(angle=angle) for angle in (0.0, 0.2, 0.4)]
        for view in between(views, 7, torch.Generator().manual_seed(0)):
            apart = torch.stack([(view.center - each.center).norm() for each in views])
            assert 0 < apart.min() < 0.8
            assert torch.allclose(view.camera_to_world[:, :3] @ view.camera_to_world[:, :3].T, torch.eye(3), atol=1e-4)

    def test_one_camera_has_none_beside_it(self):
        assert len(between([a_view()], 3, torch.Generator())) == 3
