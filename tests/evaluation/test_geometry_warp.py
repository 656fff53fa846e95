import math
from dataclasses import replace

import pytest
import torch
from nerfstudio.cameras.cameras import Cameras, CameraType
from torch import Tensor

from ins3d.evaluation.geometry_warp import GeometryView, warp_by_geometry
from ins3d.evaluation.picture_warp import rms_error

HEIGHT, WIDTH, FOCAL = 36, 48, 40.0
NO_LENS = torch.zeros(6)
FOX_LENS = torch.tensor([0.05, -0.07, 0.0, 0.0, 0.0006, -0.0008])
PLANE, BOX = -2.0, -1.2


def camera(place: tuple[float, float, float], degrees: float = 0.0, lens: Tensor = NO_LENS) -> Cameras:
    """Turned about the y axis."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    pose = torch.tensor([[cos, 0, sin, place[0]], [0, 1, 0, place[1]], [-sin, 0, cos, place[2]]])
    return Cameras(
        pose[None], fx=FOCAL, fy=FOCAL, cx=WIDTH / 2 + 1.5, cy=HEIGHT / 2 - 2, width=WIDTH, height=HEIGHT,
        distortion_params=lens[None], camera_type=CameraType.PERSPECTIVE,
    )  # fmt: skip


def paint(positions: Tensor) -> Tensor:
    """A smooth colour of every place of the scene; channels first."""
    waves = torch.sin(positions @ torch.tensor([[3.0, -2, 1], [1, 2, 0], [0.5, 1, 2]]).T)
    return (waves / 2 + 0.5).movedim(-1, 0)


def look(cameras: Cameras, boxed: bool = False, opaque: float = 1.0) -> tuple[GeometryView, Tensor]:
    """A wall at z = PLANE and, `boxed`, a square of side 1 before it at z = BOX: what is seen, and its picture."""
    rays = cameras.generate_rays(camera_indices=0)
    origin, directions = rays.origins[0, 0], rays.directions
    distance = (PLANE - origin[2]) / directions[..., 2]
    before = (BOX - origin[2]) / directions[..., 2]
    hits = (origin + before[..., None] * directions)[..., :2].abs().amax(-1) < 0.5
    distance = torch.where(hits & torch.tensor(boxed), before, distance)
    intrinsics = torch.stack([cameras.fx, cameras.fy, cameras.cx, cameras.cy]).flatten()
    lens = cameras.distortion_params[0]
    view = GeometryView(
        cameras.camera_to_worlds[0], intrinsics, lens, distance[None], torch.full_like(distance, opaque)[None]
    )
    return view, paint(view.positions)


class TestProject:
    @pytest.mark.parametrize("lens", [NO_LENS, FOX_LENS])
    def test_rays_are_those_of_the_host(self, lens: Tensor):
        cameras = camera((0.3, -0.2, 0.4), 12, lens)
        view, _ = look(cameras)
        torch.testing.assert_close(view.directions, cameras.generate_rays(camera_indices=0).directions, atol=2e-5, rtol=0)

    @pytest.mark.parametrize("lens", [NO_LENS, FOX_LENS])
    def test_finds_every_pixel_again(self, lens: Tensor):
        view, _ = look(camera((0.3, -0.2, 0.4), 12, lens))
        places = view.project(view.positions)
        down, across = torch.meshgrid(torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij")
        torch.testing.assert_close(places, torch.stack([across, down], -1), atol=0.01, rtol=0)

    def test_what_lies_behind_is_far_outside(self):
        view, _ = look(camera((0.0, 0.0, 0.0)))
        behind = view.project(-view.positions)
        assert bool((behind < -1000).all())

    def test_a_lens_brings_nothing_back_from_far_outside(self):
        # With k2 = -.07 a point at 4 focal lengths would come back to 4 (1 + .05 16 - .07 256) < 0: on the other side.
        view, _ = look(camera((0.0, 0.0, 0.0), 0, FOX_LENS))
        aside = torch.tensor([4.0, 0.0, -1.0]).expand(HEIGHT, WIDTH, 3)
        assert bool((view.project(aside)[..., 0] < -1000).all())


class TestWarp:
    @pytest.mark.parametrize("lens", [NO_LENS, FOX_LENS])
    def test_a_wall_seen_by_two_cameras_is_the_same_wall(self, lens: Tensor):
        target, expected = look(camera((0.0, 0.0, 0.0), 0, lens))
        source, picture = look(camera((0.4, -0.1, 0.3), 10, lens))
        warped = warp_by_geometry(picture, source, target)
        assert float(warped.valid.float().mean()) > 0.6
        # What is left is what looking up between four pixels of a smooth picture costs.
        assert rms_error(warped.picture, expected, warped.valid) < 0.002

    def test_the_same_view_is_the_same_picture(self):
        view, picture = look(camera((0.1, 0.2, 0.3), 5), boxed=True)
        warped = warp_by_geometry(picture, view, view)
        assert bool(warped.valid.all())
        torch.testing.assert_close(warped.picture, picture, atol=1e-3, rtol=0)

    def test_noise_of_each_frame_is_returned(self, random: torch.Generator):
        view, picture = look(camera((0.1, 0.2, 0.3)))
        ours, theirs = (picture + 0.1 * torch.randn(picture.shape, generator=random) for _ in range(2))
        warped = warp_by_geometry(ours, view, view)
        # Two independent noises of deviation 0.1.
        assert rms_error(warped.picture, theirs, warped.valid) == pytest.approx(0.1 * 2**0.5, rel=0.02)

    def test_a_wall_painted_otherwise_in_one_view_differs_by_as_much(self):
        target, expected = look(camera((0.0, 0.0, 0.0)))
        source, picture = look(camera((0.4, -0.1, 0.3), 10))
        warped = warp_by_geometry(picture + 0.25, source, target)
        assert rms_error(warped.picture, expected, warped.valid) == pytest.approx(0.25, abs=0.002)

    def test_what_hides_behind_the_box_is_not_valid(self):
        # From x = .8 the box, .8 before the wall, covers places of the wall that the target sees beside it.
        target, expected = look(camera((0.0, 0.0, 0.0)), boxed=True)
        source, picture = look(camera((0.8, 0.0, 0.0)), boxed=True)
        warped = warp_by_geometry(picture, source, target)
        # By hand: the ray from the source to a place of the wall crosses the box's plane at 60 % of the way.
        on_wall = (target.positions[..., 2] - PLANE).abs() < 1e-4
        start = torch.tensor([0.8, 0.0])
        crossing = start + (BOX / PLANE) * (target.positions[..., :2] - start)
        hidden = on_wall & (crossing.abs().amax(-1) < 0.47)
        free = on_wall & (crossing.abs().amax(-1) > 0.56)
        inside = (
            (source.project(target.positions) >= 0.5)
            & (source.project(target.positions) <= torch.tensor([WIDTH - 0.5, HEIGHT - 0.5]))
        ).all(-1)
        assert int(hidden.sum()) > 50 and not bool((warped.valid & hidden).any())
        assert bool(warped.valid[free & inside].all())
        assert rms_error(warped.picture, expected, warped.valid) < 0.01

    def test_emptiness_is_not_compared(self):
        target, _ = look(camera((0.0, 0.0, 0.0)))
        source, picture = look(camera((0.1, 0.0, 0.0)), opaque=0.4)
        assert not bool(warp_by_geometry(picture, source, target).valid.any())
        assert not bool(
            warp_by_geometry(picture, replace(target), replace(source, accumulation=0 * source.accumulation)).valid.any()
        )

    def test_a_tolerance_of_the_wrong_depth(self):
        target, _ = look(camera((0.0, 0.0, 0.0)))
        source, picture = look(camera((0.2, 0.0, 0.0)))
        deeper = replace(source, distance=source.distance * 1.05)
        assert not bool(warp_by_geometry(picture, deeper, target, 0.02).valid.any())
        assert float(warp_by_geometry(picture, deeper, target, 0.06).valid.float().mean()) > 0.7
