import pytest
import torch

from ins3d.placement.posed_pictures import PosedPictures
from ins3d.placement.visual_hull import common_look_at, hull_points

CENTER, RADIUS, DISTANCE = torch.tensor([0.4, -0.3, 1.2]), 0.8, 3.0
SIDE, FOCAL, RESOLUTION = 64, 70.0, 48
CELL = 2 * DISTANCE / (RESOLUTION - 1)


@pytest.fixture
def sphere(random: torch.Generator) -> PosedPictures:
    """Sixteen cameras around a sphere, all looking at its centre; alpha is 1 where a pixel's ray hits it."""
    return sphere_seen_from(torch.nn.functional.normalize(torch.randn(16, 3, generator=random), dim=-1))


def sphere_seen_from(directions: torch.Tensor) -> PosedPictures:
    poses = torch.stack([looking_back(direction) for direction in directions])
    intrinsics = torch.tensor([FOCAL, FOCAL, SIDE / 2, SIDE / 2]).repeat(len(poses), 1)
    scene = PosedPictures(torch.zeros(len(poses), 4, SIDE, SIDE), poses, intrinsics)
    for camera in range(len(poses)):
        rays = torch.nn.functional.normalize(scene.pixel_rays(camera), dim=-1)
        to_center = CENTER - scene.centers[camera]
        miss = (to_center @ to_center) - (rays @ to_center) ** 2
        scene.pictures[camera, 3] = (miss < RADIUS**2).float()
    return scene


def looking_back(direction: torch.Tensor) -> torch.Tensor:
    """The pose of a camera at that direction from the centre, which looks at the centre (its -z axis)."""
    right = torch.nn.functional.normalize(torch.linalg.cross(torch.tensor([0.1, 0.2, 1.0]), direction), dim=0)
    up = torch.linalg.cross(direction, right)
    return torch.stack([right, up, direction, CENTER + DISTANCE * direction], dim=-1)


class TestCommonLookAt:
    def test_is_where_all_view_axes_meet(self, sphere: PosedPictures):
        torch.testing.assert_close(common_look_at(sphere), CENTER, atol=1e-4, rtol=0)

    def test_is_half_way_between_two_axes_that_pass_each_other(self):
        # One axis along x at height 0, one along y at height 1, both through x = y = 0.
        along_x = torch.tensor([[0.0, 0, -1, -5], [1, 0, 0, 0], [0, 1, 0, 0]])
        along_y = torch.tensor([[1.0, 0, 0, 0], [0, 0, -1, -5], [0, 1, 0, 1]])
        poses = torch.stack([along_x, along_y])
        scene = PosedPictures(torch.zeros(2, 4, 4, 4), poses, torch.ones(2, 4))
        torch.testing.assert_close(common_look_at(scene), torch.tensor([0.0, 0.0, 0.5]), atol=1e-5, rtol=0)


class TestHullPoints:
    def test_of_a_sphere_has_its_centre_and_radius(self, sphere: PosedPictures):
        points = hull_points(sphere, RESOLUTION)
        middle = (points.amin(0) + points.amax(0)) / 2
        assert (middle - CENTER).norm() < CELL
        # The hull of sixteen silhouettes is a little larger than the sphere, and so is a pixel at that distance.
        pixel = DISTANCE / FOCAL
        distances = (points - CENTER).norm(dim=-1)
        assert RADIUS - CELL < distances.max() < RADIUS + CELL + 2 * pixel

    def test_holds_every_cell_inside_the_sphere(self, sphere: PosedPictures):
        # Slow and independent: count the grid's cells whose centre lies inside; none may be carved away.
        line = torch.linspace(-1, 1, RESOLUTION) * DISTANCE
        cells = torch.cartesian_prod(line, line, line)
        inside = int((cells.norm(dim=-1) < RADIUS - 0.01).sum())
        found = (hull_points(sphere, RESOLUTION) - CENTER).norm(dim=-1)
        assert int((found < RADIUS - 0.01).sum()) == inside > 100

    def test_of_nothing_is_empty(self, sphere: PosedPictures):
        sphere.pictures[:] = 0
        assert hull_points(sphere, 16).shape == (0, 3)

    def test_of_pictures_without_background_is_what_most_of_them_show(self, sphere: PosedPictures):
        sphere.pictures[:, 3] = 1
        points = hull_points(sphere, 24)
        seen = sum(sphere.look_up(camera, points)[1] for camera in range(16))
        assert len(points) > 0 and seen.min() >= 8

    def test_one_picture_that_shows_nothing_carves_all_it_sees(self, sphere: PosedPictures):
        sphere.pictures[0, 3] = 0
        points = hull_points(sphere, RESOLUTION)
        assert len(points) == 0 or sphere.look_up(0, points)[1].max() == 0

    def test_uses_no_more_views_than_allowed(self, sphere: PosedPictures):
        # Two of sixteen carve less than all of them.
        assert len(hull_points(sphere, 24, max_views=2)) > len(hull_points(sphere, 24))
