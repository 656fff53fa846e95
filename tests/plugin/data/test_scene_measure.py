from pathlib import Path
from typing import Any

import pytest
import torch

from ins3d.plugin.data.scene_measure import SMALL_SIDE, measure_placement, small_pictures
from tests.plugin.tiny_scenes import Scene, in_scene_units, make_open_scene, small_config


def data_of(scene: Scene, tmp_path: Path) -> Any:
    return small_config(scene, tmp_path).pipeline.datamanager.setup(
        device="cpu", test_mode="val", world_size=1, local_rank=0
    )


class TestSmallPictures:
    def test_pictures_are_shrunk_with_their_cameras(self, open_scene: Scene, tmp_path: Path):
        dataset = data_of(open_scene, tmp_path).train_dataset
        small = small_pictures(dataset)
        height, width = small.pictures.shape[2:]
        assert min(height, width) == SMALL_SIDE and small.pictures.shape[:2] == (11, 3)
        assert float((small.intrinsics[:, 2] / width - 0.5).abs().max()) < 1e-6
        assert float((small.intrinsics[:, 3] / height - 0.5).abs().max()) < 1e-6
        assert torch.equal(small.camera_to_world, dataset.cameras.camera_to_worlds)

    def test_a_point_seen_by_two_cameras_has_the_same_colour_in_both(self, open_scene: Scene, tmp_path: Path):
        """Poses, intrinsics and the pixel grid agree with the host's conventions: the scene is Lambertian."""
        data = data_of(open_scene, tmp_path)
        small = small_pictures(data.train_dataset)
        # Points on the plane, left and right of the sphere.
        on_plane = torch.tensor(
            [[x, y, -1.2] for x in (-1.0, -0.9, 1.25, 1.35) for y in (-0.3, 0.0, 0.3)], dtype=torch.float64
        )
        points = in_scene_units(on_plane.numpy(), data.train_dataparser_outputs).float()
        answers = [small.look_up(camera, points) for camera in (4, 6)]
        both = (answers[0][1] > 0) & (answers[1][1] > 0)
        assert int(both.sum()) >= 8
        assert float((answers[0][0] - answers[1][0])[:, both].abs().mean()) < 0.03


class TestMeasurePlacement:
    def test_an_open_scene_is_placed_around_what_is_seen(self, open_scene: Scene, tmp_path: Path):
        data = data_of(open_scene, tmp_path)
        outputs = data.train_dataparser_outputs
        placement = measure_placement(data.train_dataset)
        scale = float(outputs.dataparser_scale)
        assert not placement.bounded
        assert placement.found_by == "a plane sweep between neighbouring pictures"
        # Depths of the test's own rendering, along the view axis; rays to the corners are up to 1.2 times longer.
        assert 0.2 * open_scene.nearest * scale < placement.near < open_scene.nearest * scale
        assert open_scene.farthest * scale < placement.far < 6 * open_scene.farthest * scale
        sphere = in_scene_units(open_scene.center, outputs)
        distance = float((sphere - torch.tensor(placement.center).double()).norm())
        assert distance < placement.radius
        assert open_scene.radius * scale < placement.radius < 5 * open_scene.radius * scale

    def test_an_objects_ball_contains_it_and_is_not_twice_too_large(self, object_scene: Scene, tmp_path: Path):
        data = data_of(object_scene, tmp_path)
        placement = measure_placement(data.train_dataset)
        assert placement.bounded
        assert placement.found_by == "the visual hull of the pictures' alpha"
        outputs = data.train_dataparser_outputs
        away = float((in_scene_units(object_scene.center, outputs) - torch.tensor(placement.center).double()).norm())
        assert away + object_scene.radius <= placement.radius < 2 * object_scene.radius
        assert placement.near < object_scene.nearest and placement.far > object_scene.farthest

    def test_sparse_points_of_the_data_are_used_where_there_are_some(self, open_scene: Scene, tmp_path: Path):
        dataset = data_of(open_scene, tmp_path).train_dataset
        # Within a ball of 0.3 around a point that all cameras see.
        center = -dataset.cameras.camera_to_worlds[5, :, 2] * 1.5 + dataset.cameras.camera_to_worlds[5, :, 3]
        random = torch.Generator().manual_seed(0)
        dataset.metadata["points3D_xyz"] = center + 0.1 * torch.randn(400, 3, generator=random)
        placement = measure_placement(dataset)
        assert placement.found_by == "the sparse points of the data"
        assert float((torch.tensor(placement.center) - center).norm()) < 0.05
        assert 0.1 < placement.radius < 0.4
        assert placement.near < 1.3 and placement.far > 1.7

    def test_a_scene_without_texture_is_refused_with_what_to_give_instead(self, tmp_path: Path, scenes_folder: Path):
        scene = make_open_scene(tmp_path / "plain", textured=False)
        text = (
            r"^pipeline\.model\.near/far/center/radius: only \d+ pixels show at which depth the scene lies \(too few "
            r"pictures, no texture, or wrong poses\); check the poses, or give near, far, center and radius "
            r"in scene units\.$"
        )
        with pytest.raises(ValueError, match=text):
            measure_placement(data_of(scene, tmp_path).train_dataset)
