import pytest
import torch
from torch import Tensor

from ins3d.placement.plane_sweep import neighbours, sweep_points
from ins3d.placement.posed_pictures import PosedPictures

HEIGHT, WIDTH, FOCAL = 48, 64, 60.0
OFFSETS = ((0.0, 0.0), (0.4, 0.0), (-0.4, 0.0), (0.0, 0.4), (0.0, -0.4))


def texture(points: Tensor, random: torch.Generator, smallest_wave: float) -> Tensor:
    """Smooth random colours of points on a plane [..., 2]: a dozen waves per channel, longer than some pixels."""
    channels = []
    for _ in range(3):
        angles, phases = 2 * torch.pi * torch.rand(2, 12, generator=random)
        waves = smallest_wave * (1 + 3 * torch.rand(12, generator=random))
        directions = torch.stack([angles.cos(), angles.sin()]) * 2 * torch.pi / waves
        channels.append(0.5 + 0.12 * torch.sin(points @ directions + phases).sum(-1))
    return torch.stack(channels).clamp(0, 1)


def cameras(offsets: tuple[tuple[float, float], ...] = OFFSETS) -> PosedPictures:
    """Pinhole cameras side by side that all look along -z; their pictures are black."""
    poses = torch.eye(3, 4).repeat(len(offsets), 1, 1)
    poses[:, :2, 3] = torch.tensor(offsets)
    intrinsics = torch.tensor([FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2]).repeat(len(offsets), 1)
    return PosedPictures(torch.zeros(len(offsets), 3, HEIGHT, WIDTH), poses, intrinsics)


def plane_scene(depth: float, slope: float, random: torch.Generator) -> PosedPictures:
    """What the cameras see of the textured plane z = -depth + slope * x, cast ray by ray."""
    scene = cameras()
    seed = int(torch.randint(1000, (1,), generator=random))
    for camera in range(len(OFFSETS)):
        rays, center = scene.pixel_rays(camera), scene.centers[camera]
        # center + t ray lies on the plane: t (ray_z - slope ray_x) = -depth + slope center_x - center_z.
        distance = (-depth + slope * center[0] - center[2]) / (rays[..., 2] - slope * rays[..., 0])
        hits = center + distance[..., None] * rays
        # A wave is at least seven pixels long.
        scene.pictures[camera] = texture(hits[..., :2], random.manual_seed(seed), smallest_wave=7 * depth / FOCAL)
    return scene


class TestSweepPoints:
    @pytest.mark.parametrize("depth", [2.0, 4.0, 8.0])
    def test_finds_the_depth_of_a_plane(self, depth: float, random: torch.Generator):
        points, depths = sweep_points(plane_scene(depth, slope=0.0, random=random))
        assert len(depths) > 500
        assert depths.median().item() == pytest.approx(depth, rel=0.15)
        assert ((depths - depth).abs() < 0.15 * depth).float().mean() > 0.8

    def test_finds_points_on_a_slanted_plane(self, random: torch.Generator):
        points, _ = sweep_points(plane_scene(4.0, slope=0.5, random=random))
        heights = points[:, 2] - (-4.0 + 0.5 * points[:, 0])
        assert len(points) > 500 and (heights.abs() < 0.6).float().mean() > 0.8

    def test_points_lie_at_their_depths_before_the_cameras(self, random: torch.Generator):
        points, depths = sweep_points(plane_scene(4.0, slope=0.0, random=random), num_views=3)
        torch.testing.assert_close(-points[:, 2], depths)

    @pytest.mark.parametrize("gray", [0.6, 1.0])
    def test_finds_hardly_anything_where_there_is_no_texture(self, gray: float):
        scene = cameras()
        scene.pictures[:] = gray
        assert len(sweep_points(scene)[1]) < 0.02 * len(OFFSETS) * HEIGHT * WIDTH

    def test_finds_nothing_with_fewer_than_two_neighbours(self, random: torch.Generator):
        scene = cameras(OFFSETS[:2])
        scene.pictures[:] = torch.rand(scene.pictures.shape, generator=random)
        assert sweep_points(scene)[0].shape == (0, 3)

    def test_works_with_a_single_picture(self):
        assert sweep_points(cameras(OFFSETS[:1]))[1].shape == (0,)


class TestNeighbours:
    def test_are_the_four_nearest_in_order(self):
        scene = cameras(((0, 0), (5, 0), (1, 0), (3, 0), (2, 0), (4, 0)))
        assert neighbours(scene, 0) == [2, 4, 3, 5]

    def test_stand_at_another_place(self):
        assert neighbours(cameras(((0, 0), (0, 0), (1, 0))), 0) == [2]

    def test_look_in_about_the_same_direction(self):
        scene = cameras(((0, 0), (1, 0), (2, 0), (3, 0)))
        for camera, degrees in ((1, 44.0), (2, 46.0), (3, 180.0)):
            angle = torch.deg2rad(torch.tensor(degrees))
            turn = torch.tensor([[angle.cos(), 0, angle.sin()], [0, 1, 0], [-angle.sin(), 0, angle.cos()]])
            scene.camera_to_world[camera, :, :3] = turn
        assert neighbours(scene, 0) == [1]
