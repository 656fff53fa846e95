import math

import pytest
import torch
import torch.nn.functional as F

from ins3d.placement.cameras import DISTANCE, ObjectCameras, UpAxis, cameras_around, looking_cameras, turntable, walk
from ins3d.placement.posed_pictures import PosedPictures

AXES = {"y": torch.tensor([0.0, 1, 0]), "z": torch.tensor([0.0, 0, 1])}
FRONTS = {"y": torch.tensor([0.0, 0, 1]), "z": torch.tensor([0.0, -1, 0])}


@pytest.fixture
def turned(random: torch.Generator) -> ObjectCameras:
    """Three turned cameras, 12 pixels high and 18 wide, with a centre of projection beside the middle."""
    turns, _ = torch.linalg.qr(torch.randn(3, 3, 3, generator=random))
    turns = turns * torch.linalg.det(turns)[:, None, None]
    poses = torch.cat([turns, torch.randn(3, 3, 1, generator=random)], dim=-1)
    intrinsics = torch.tensor([[20.0, 22.0, 8.0, 6.5], [15.0, 15.0, 8.5, 6.0], [30.0, 28.0, 9.0, 5.0]])
    return ObjectCameras(poses, intrinsics, 12, 18)


def project(cameras: ObjectCameras, camera: int, points: torch.Tensor) -> torch.Tensor:
    """Pixels rightwards and downwards, of points before the camera; written from the pinhole's definition."""
    right, up, back, center = cameras.camera_to_world[camera].T
    fx, fy, cx, cy = cameras.intrinsics[camera].tolist()
    away = points - center
    depth = -(away @ back)
    assert depth.min() > 0
    return torch.stack([cx + fx * (away @ right) / depth, cy - fy * (away @ up) / depth], dim=-1)


def is_rotation(poses: torch.Tensor) -> bool:
    turns = poses[:, :, :3].double()
    straight = torch.allclose(turns.transpose(1, 2) @ turns, torch.eye(3).double().expand(len(turns), 3, 3), atol=1e-5)
    return straight and torch.allclose(torch.linalg.det(turns), torch.ones(len(turns)).double(), atol=1e-5)


class TestRays:
    def test_go_through_places_in_pixels(self):
        # The camera stands at z = 5 and looks along -z; focal length 2, axis through (3, 2). The place (5, 1) lies two
        # pixels rightwards and one upwards: direction (2/2, 1/2, -1), of length 1.5.
        pose = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 5]])
        cameras = ObjectCameras(pose[None], torch.tensor([[2.0, 2.0, 3.0, 2.0]]), 4, 6)
        origins, directions = cameras.rays(torch.tensor([0]), torch.tensor([[5.0, 1.0]]))
        assert origins.tolist() == [[0, 0, 5]]
        assert directions[0].tolist() == pytest.approx([2 / 3, 1 / 3, -2 / 3])

    def test_each_ray_is_of_its_own_camera(self, turned: ObjectCameras):
        origins, directions = turned.rays(torch.tensor([2, 0]), torch.tensor([[9.0, 5.0], [8.0, 6.5]]))
        # Both places are those of the cameras' axes.
        assert torch.equal(origins, turned.camera_to_world[[2, 0], :, 3])
        torch.testing.assert_close(directions, -turned.camera_to_world[[2, 0], :, 2])

    def test_of_a_picture_are_the_pixel_rays_of_posed_pictures(self, turned: ObjectCameras):
        posed = PosedPictures(torch.zeros(3, 3, 12, 18), turned.camera_to_world, turned.intrinsics)
        for camera in range(3):
            _, directions = turned.picture_rays(camera)
            torch.testing.assert_close(directions, F.normalize(posed.pixel_rays(camera), dim=-1).reshape(-1, 3))

    @pytest.mark.parametrize("length", [0.2, 40.0])
    def test_are_seen_where_they_were_sent(self, turned: ObjectCameras, length: float, random: torch.Generator):
        # Pictures whose values are the places of their pixels' centres; between them look_up is linear, so exact.
        rows, columns = torch.meshgrid(torch.arange(12) + 0.5, torch.arange(18) + 0.5, indexing="ij")
        posed = PosedPictures(torch.stack([columns, rows]).repeat(3, 1, 1, 1), turned.camera_to_world, turned.intrinsics)
        places = 0.5 + torch.rand(40, 2, generator=random) * torch.tensor([17.0, 11.0])
        for camera in range(3):
            origins, directions = turned.rays(torch.full((40,), camera), places)
            seen, inside = posed.look_up(camera, origins + length * directions)
            assert inside.min() == 1
            torch.testing.assert_close(seen.T, places, atol=2e-3, rtol=0)


class TestPixels:
    def test_are_as_wide_as_neighbours_are_apart_at_distance_1(self):
        # Focal length 2: at depth 1 pixels lie half a unit apart, at the ball's middle, 5 away, 2.5.
        pose = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 5]])
        cameras = ObjectCameras(pose[None], torch.tensor([[2.0, 2.0, 3.0, 2.0]]), 4, 6)
        assert cameras.pixels.tolist() == [0.5] and cameras.footprint == 2.5

    def test_of_twice_the_size_are_half_as_wide(self, turned: ObjectCameras):
        torch.testing.assert_close(turned.resized(2 * turned.width).pixels, turned.pixels / 2)


class TestPictureRays:
    def test_go_through_the_middles_of_pixels_row_by_row(self):
        cameras = ObjectCameras(torch.eye(3, 4)[None], torch.tensor([[1.0, 1.0, 0.0, 0.0]]), 2, 3)
        _, directions = cameras.picture_rays(0)
        places = directions[:, :2] / -directions[:, 2:] * torch.tensor([1, -1])
        torch.testing.assert_close(places, torch.tensor([[x, y] for y in (0.5, 1.5) for x in (0.5, 1.5, 2.5)]))


class TestResized:
    @pytest.mark.parametrize("long_side", [9, 36, 7])
    def test_keeps_the_rays(self, turned: ObjectCameras, long_side: int):
        small = turned.resized(long_side)
        assert small.width == long_side and small.height == round(long_side * 12 / 18)
        shares = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.3, 0.8]])
        for camera in range(3):
            which = torch.full((3,), camera)
            before = turned.rays(which, shares * torch.tensor([18, 12]))[1]
            after = small.rays(which, shares * torch.tensor([small.width, small.height]))[1]
            torch.testing.assert_close(after, before)

    def test_a_thin_picture_keeps_a_row(self):
        thin = ObjectCameras(torch.eye(3, 4)[None], torch.ones(1, 4), 1, 100).resized(10)
        assert (thin.height, thin.width) == (1, 10)


class TestSome:
    def test_are_those_that_were_asked_for(self, turned: ObjectCameras):
        some = turned[[2, 0]]
        assert len(some) == 2 and (some.height, some.width) == (12, 18)
        assert torch.equal(some.camera_to_world, turned.camera_to_world[[2, 0]])
        assert torch.equal(some.intrinsics, turned.intrinsics[[2, 0]])
        assert len(turned[1:]) == 2 and torch.equal(turned[1:].intrinsics, turned.intrinsics[1:])


@pytest.mark.parametrize("up", ["y", "z"])
class TestLookingCameras:
    def test_look_at_the_origin(self, up: UpAxis, random: torch.Generator):
        cameras = looking_cameras(4 * torch.randn(6, 3, generator=random) + 2, up, 100)
        assert is_rotation(cameras.camera_to_world)
        for camera in range(6):
            torch.testing.assert_close(project(cameras, camera, torch.zeros(1, 3)), torch.tensor([[50.0, 50.0]]))

    @pytest.mark.parametrize("distance", [1.5, 3.0, 20.0])
    def test_the_ball_touches_the_borders(self, up: UpAxis, distance: float, random: torch.Generator):
        center = distance * F.normalize(torch.tensor([[0.4, 0.5, -0.7]]), dim=-1)
        cameras = looking_cameras(center, up, 64)
        # A line of sight touches the unit ball at points p with p . (p - center) = 0, so p . center = 1: a circle of
        # radius sqrt(1 - 1 / distance^2), 1 / distance away from 0. The picture shows it as one of 32 pixels.
        right, upward, back = cameras.camera_to_world[0, :, :3].T
        angle = torch.linspace(0, 2 * math.pi, 33)[:, None]
        circle = math.sqrt(1 - 1 / distance**2) * (angle.cos() * right + angle.sin() * upward) + back / distance
        places = project(cameras, 0, circle)
        torch.testing.assert_close((places - 32).norm(dim=-1), torch.full((33,), 32.0), atol=1e-3, rtol=0)
        # No point of the ball lies further out.
        points = F.normalize(torch.randn(2000, 3, generator=random), dim=-1)
        assert (project(cameras, 0, points) - 32).norm(dim=-1).max() < 32.001

    def test_up_is_up(self, up: UpAxis, random: torch.Generator):
        cameras = looking_cameras(3 * F.normalize(torch.randn(6, 3, generator=random), dim=-1), up, 100)
        for camera in range(6):
            (across, down), (across_below, down_below) = project(cameras, camera, 0.3 * torch.stack([AXES[up], -AXES[up]]))
            assert down < 50 < down_below
            assert across.item() == pytest.approx(50, abs=1e-3) == across_below.item()

    @pytest.mark.parametrize("side", [1, -1])
    def test_straight_above_and_below_they_look_at_the_origin_too(self, up: UpAxis, side: int):
        cameras = looking_cameras(side * 3 * AXES[up][None], up, 100)
        assert cameras.camera_to_world.isfinite().all() and is_rotation(cameras.camera_to_world)
        torch.testing.assert_close(project(cameras, 0, torch.zeros(1, 3)), torch.tensor([[50.0, 50.0]]))


@pytest.mark.parametrize("up", ["y", "z"])
class TestCamerasAround:
    def test_are_spread_evenly(self, up: UpAxis):
        cameras = cameras_around(60, up, 10)
        centers = cameras.camera_to_world[:, :, 3]
        torch.testing.assert_close(centers.norm(dim=-1), torch.full((60,), DISTANCE))
        directions = centers / DISTANCE
        assert directions.mean(0).norm() < 0.02
        # Each of 60 has a cap of 4 pi / 60 to itself; on a lattice of squares the next is sqrt(4 pi / 60) = 0.46 away.
        nearest = (torch.cdist(directions, directions) + 9 * torch.eye(60)).amin(1)
        assert nearest.min() > 0.3 and nearest.max() < 0.6

    def test_one_is_enough(self, up: UpAxis):
        assert len(cameras_around(0, up, 10)) == len(cameras_around(1, up, 10)) == 1
        assert is_rotation(cameras_around(1, up, 10).camera_to_world)


@pytest.mark.parametrize("up", ["y", "z"])
class TestTurntable:
    def test_goes_once_around_evenly_from_the_front(self, up: UpAxis):
        centers = turntable(8, up, 10, elevation=30.0).camera_to_world[:, :, 3] / DISTANCE
        axis, front = AXES[up], FRONTS[up]
        torch.testing.assert_close(centers @ axis, torch.full((8,), 0.5))  # sin 30 degrees
        side = torch.linalg.cross(axis, front)
        for number, center in enumerate(centers):
            angle = math.atan2(float(center @ side), float(center @ front))
            # Counterclockwise, seen from above.
            assert math.cos(angle - number * math.pi / 4) == pytest.approx(1, abs=1e-6)

    def test_level_views_are_level(self, up: UpAxis):
        cameras = turntable(4, up, 10, elevation=0.0)
        torch.testing.assert_close(cameras.camera_to_world[:, :, 1], AXES[up].expand(4, 3), atol=1e-6, rtol=0)


class TestWalk:
    def test_comes_by_every_camera(self):
        cameras = turntable(6, "y", 20)
        path = walk(cameras, 18)
        assert len(path) == 18
        torch.testing.assert_close(path.camera_to_world[::3], cameras.camera_to_world)
        torch.testing.assert_close(path.intrinsics[::3], cameras.intrinsics)

    def test_stays_a_rotation_on_the_way(self, turned: ObjectCameras):
        assert is_rotation(walk(turned, 31).camera_to_world)

    def test_half_way_is_half_way_and_the_last_returns_to_the_first(self):
        pose, near = torch.eye(3, 4), torch.eye(3, 4)
        near[0, 3] = 2.0
        intrinsics = torch.tensor([[10.0, 10, 5, 5], [30.0, 30, 5, 5]])
        path = walk(ObjectCameras(torch.stack([pose, near]), intrinsics, 10, 10), 4)
        assert path.camera_to_world[:, 0, 3].tolist() == [0, 1, 2, 1]
        assert path.intrinsics[:, 0].tolist() == [10, 20, 30, 20]

    def test_goes_around_the_object_between_opposite_cameras(self):
        opposite = looking_cameras(torch.tensor([[0.0, 0, 3], [0.0, 0, -3]]), "y", 20)
        path = walk(opposite, 20)
        centers = path.camera_to_world[:, :, 3]
        torch.testing.assert_close(centers.norm(dim=-1), torch.full((20,), 3.0))
        # And looks at it.
        torch.testing.assert_close(path.camera_to_world[:, :, 2], centers / 3, atol=1e-5, rtol=0)

    def test_turns_as_far_as_it_walks(self):
        # A quarter turn about y; half way the axes have been turned by an eighth.
        poses = torch.eye(3, 4).repeat(2, 1, 1)
        poses[1, :, :3] = torch.tensor([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
        middle = walk(ObjectCameras(poses, torch.ones(2, 4), 4, 4), 4).camera_to_world[1, :, :3]
        half = math.sqrt(0.5)
        torch.testing.assert_close(middle, torch.tensor([[half, 0, half], [0, 1, 0], [-half, 0, half]]))
