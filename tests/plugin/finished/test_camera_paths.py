import math

import pytest
import torch
from nerfstudio.cameras.camera_utils import viewmatrix
from nerfstudio.cameras.cameras import Cameras

from ins3d.plugin.finished.camera_paths import camera_path

CENTER = torch.tensor([1.0, -2.0, 0.5])


def around(number: int = 12, distance: float = 3.0, height: float = 1.0) -> Cameras:
    """Cameras on a half circle around CENTER, looking at it."""
    angles = torch.linspace(0, math.pi, number)
    places = torch.stack([distance * angles.cos(), distance * angles.sin(), torch.full_like(angles, height)], dim=-1)
    up = torch.tensor([0.0, 0.0, 1.0])
    poses = torch.stack([viewmatrix(place, up, CENTER + place) for place in places])[:, :3]
    return Cameras(poses, fx=50.0, fy=50.0, cx=20.0, cy=15.0, width=40, height=30)


def looked_at(path: Cameras, point: torch.Tensor) -> torch.Tensor:
    """Cosine between each camera's view and the direction to the point."""
    to_point = torch.nn.functional.normalize(point - path.camera_to_worlds[:, :, 3], dim=-1)
    return (-path.camera_to_worlds[:, :, 2] * to_point).sum(-1)


class TestCameraPath:
    @pytest.mark.parametrize("kind", ["orbit", "spiral", "cameras"])
    def test_has_as_many_frames_as_asked_for_and_the_pictures_lens(self, kind):
        path = camera_path(kind, around(), CENTER, False, 17)
        assert len(path) == 17
        assert float(path.fx[3]) == 50 and int(path.width[3]) == 40 and int(path.height[3]) == 30

    def test_an_orbit_goes_once_around_at_the_cameras_distance_and_looks_inwards(self):
        path = camera_path("auto", around(), CENTER, True, 8)
        places = path.camera_to_worlds[:, :, 3] - CENTER
        torch.testing.assert_close(places[:, :2].norm(dim=-1), torch.full((8,), 3.0))
        torch.testing.assert_close(places[:, 2], torch.full((8,), 1.0))
        assert bool((places[0, :2] + places[4, :2]).abs().max() < 1e-5)
        torch.testing.assert_close(looked_at(path, CENTER), torch.ones(8))

    def test_a_spiral_stays_near_the_middle_camera_and_closes(self):
        cameras = around()
        path = camera_path("auto", cameras, CENTER, False, 24)
        places = path.camera_to_worlds[:, :, 3]
        spread = (cameras.camera_to_worlds[:, :, 3] - cameras.camera_to_worlds[:, :, 3].mean(0)).norm(dim=-1).median()
        nearest = (places[:, None] - cameras.camera_to_worlds[:, :, 3]).norm(dim=-1).amin(-1)
        assert float(nearest.max()) < 0.6 * float(spread)
        middle = cameras.camera_to_worlds[int((places.mean(0) - cameras.camera_to_worlds[:, :, 3]).norm(dim=-1).argmin())]
        assert bool((path.camera_to_worlds[:, :, :3] == middle[:, :3]).all())  # as the picture was held
        steps = (places.roll(-1, 0) - places).norm(dim=-1)
        assert float(steps.max()) < 2 * float(steps.median())

    def test_through_the_cameras_it_starts_and_ends_at_one(self):
        cameras = around(5)
        places = camera_path("cameras", cameras, CENTER, False, 13).camera_to_worlds[:, :, 3]
        for end in (places[0], places[-1]):
            assert float((cameras.camera_to_worlds[:, :, 3] - end).norm(dim=-1).min()) < 1e-4
