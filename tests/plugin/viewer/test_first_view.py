import math

import pytest
import torch
from nerfstudio.cameras.cameras import Cameras

from ins3d.plugin.viewer.first_view import FirstView, most_central


def looking_at_the_middle(places: list[tuple[float, float, float]], width: int = 60, height: int = 40) -> Cameras:
    poses = []
    for place in torch.tensor(places):
        back = place / place.norm()
        across = torch.linalg.cross(torch.tensor([0.0, 1e-3, 1.0]), back)
        across = across / across.norm()
        poses.append(torch.stack([across, torch.linalg.cross(back, across), back, place], dim=1))
    return Cameras(torch.stack(poses), 50.0, 50.0, width / 2, height / 2, width, height)


class TestMostCentral:
    def test_it_is_the_middle_of_an_arc(self):
        arc = [(3 * math.cos(angle), 3 * math.sin(angle), 0.0) for angle in (0.0, 0.9, 0.5, 0.3, 1.0)]
        assert most_central(looking_at_the_middle(arc)) == 2

    def test_one_that_stands_apart_is_not_it(self):
        assert most_central(looking_at_the_middle([(9.0, 0, 0), (3, 0.1, 0), (3, 0.2, 0)])) != 0

    def test_all_around_an_object_it_does_not_look_down_from_above(self):
        ring = [(2 * math.cos(angle), 2 * math.sin(angle), 1.0) for angle in torch.arange(0, 6.2, 0.5).tolist()]
        assert most_central(looking_at_the_middle([(0.0, 0.0, 2.2), *ring])) != 0


class TestFirstView:
    def test_it_is_that_camera_in_opencvs_axes_and_turns_about_what_it_looks_at(self):
        cameras = looking_at_the_middle([(4.0, 0.0, 0.0)])
        view = FirstView.of(cameras, torch.zeros(3))
        assert view.position.tolist() == [4, 0, 0] and view.distance == pytest.approx(4)
        torch.testing.assert_close(view.rotation[:, 2], torch.tensor([-1.0, 0.0, 0.0]))
        torch.testing.assert_close(torch.linalg.det(view.rotation), torch.tensor(1.0))

    def test_what_lies_behind_the_camera_is_taken_to_lie_before_it(self):
        assert FirstView.of(looking_at_the_middle([(4.0, 0.0, 0.0)]), torch.tensor([9.0, 0, 0])).distance == pytest.approx(5)

    @pytest.mark.parametrize(
        ("aspect", "tangent"), [(1.5, 0.4), (2.0, 0.4), (1.0, 0.6), (0.5, 0.8)], ids=["as it is", "wide", "square", "narrow"]
    )
    def test_all_of_the_photograph_is_seen_and_little_more(self, aspect: float, tangent: float):
        """60 x 40 pixels at a focal length of 50."""
        view = FirstView.of(looking_at_the_middle([(4.0, 0.0, 0.0)]), torch.zeros(3))
        assert math.tan(view.field_of_view(aspect) / 2) == pytest.approx(tangent)
