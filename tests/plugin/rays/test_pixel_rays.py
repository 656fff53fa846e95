"""Rays of training pixels against the host's."""

import pytest
import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.scene_box import OrientedBox
from nerfstudio.model_components.ray_generators import RayGenerator

from ins3d.plugin.rays.pixel_rays import PictureRays, PixelRays


def cameras(distorted: bool, same_lens: bool) -> Cameras:
    turn = torch.linalg.qr(torch.randn(3, 3, 3))[0]
    poses = torch.cat([turn * torch.linalg.det(turn)[:, None, None], torch.randn(3, 3, 1)], dim=-1)
    focal = torch.tensor([50.0, 50.0, 50.0 if same_lens else 60.0])
    lens = torch.tensor([0.05, -0.08, 0.0, 0.0, -1e-3, 2e-4]).expand(3, 6) if distorted else None
    return Cameras(poses, focal, focal, 20.0, 15.0, width=40, height=30, distortion_params=lens)


class TestPixelRays:
    @pytest.mark.parametrize("distorted", [True, False])
    @pytest.mark.parametrize("same_lens", [True, False])
    def test_are_the_hosts_rays(self, distorted: bool, same_lens: bool):
        torch.manual_seed(0)
        made = cameras(distorted, same_lens)
        indices = torch.stack([torch.randint(end, (200,)) for end in (3, 30, 40)], dim=-1)
        ours, theirs = PixelRays(made)(indices), RayGenerator(made)(indices)
        assert torch.allclose(ours.directions, theirs.directions, atol=1e-6)
        assert torch.equal(ours.origins, theirs.origins)

    @pytest.mark.parametrize("distorted", [True, False])
    @pytest.mark.parametrize("same_lens", [True, False])
    def test_see_pixels_as_wide_as_rendered_ones(self, distorted: bool, same_lens: bool):
        torch.manual_seed(0)
        made = cameras(distorted, same_lens)
        indices = torch.stack([torch.randint(end, (200,)) for end in (3, 30, 40)], dim=-1)
        ours, theirs = PixelRays(made)(indices), RayGenerator(made)(indices)
        assert torch.allclose(ours.pixel_area, theirs.pixel_area, rtol=1e-3)

    @pytest.mark.gpu
    @pytest.mark.parametrize("same_lens", [True, False])
    def test_of_cameras_on_a_gpu_are_there_and_the_same(self, same_lens: bool):
        torch.manual_seed(0)
        made = cameras(False, same_lens)
        indices = torch.stack([torch.randint(end, (200,)) for end in (3, 30, 40)], dim=-1)
        there = PixelRays(made.to(torch.device("cuda")))(indices.to("cuda"))
        assert there.directions.device.type != "cpu"
        assert torch.allclose(there.directions.cpu(), PixelRays(made)(indices).directions, atol=1e-6)

    def test_undistort_a_shared_lens_only_once(self):
        assert PixelRays(cameras(True, same_lens=True)).lens is not None
        assert PixelRays(cameras(True, same_lens=False)).lens is None


class TestPictureRays:
    @pytest.mark.parametrize("distorted", [True, False])
    def test_of_one_lens_after_the_other_are_the_hosts(self, distorted: bool):
        torch.manual_seed(0)
        made, rays = cameras(distorted, same_lens=False), PictureRays()
        made.times = torch.tensor([[0.0], [0.5], [1.0]])
        for number in (0, 1, 2, 0):
            camera = made[number : number + 1]
            ours, theirs = rays(camera), camera.generate_rays(camera_indices=0, keep_shape=True)
            assert ours.shape == theirs.shape == (30, 40)
            assert torch.allclose(ours.directions, theirs.directions, atol=1e-6)
            assert torch.allclose(ours.pixel_area, theirs.pixel_area, rtol=1e-3)
            for name in ("origins", "camera_indices", "times"):
                assert torch.equal(getattr(ours, name), getattr(theirs, name))

    def test_follow_a_camera_that_is_changed_where_it_is(self):
        camera, rays = cameras(False, same_lens=True)[:1], PictureRays()
        before = rays(camera).directions
        camera.fx *= 2
        assert not torch.allclose(rays(camera).directions, before, atol=1e-2)

    def test_of_a_camera_that_is_no_batch(self):
        made = cameras(True, same_lens=True)
        assert torch.allclose(PictureRays()(made[1]).directions, PictureRays()(made[1:2]).directions, atol=1e-6)

    def test_undistort_a_lens_once(self, monkeypatch: pytest.MonkeyPatch):
        made, rays = cameras(True, same_lens=True), PictureRays()
        rays(made[:1])
        monkeypatch.setattr(Cameras, "generate_rays", lambda *_, **__: pytest.fail("asked again"))
        rays(made[1:2])

    def test_within_a_box_are_the_hosts(self):
        box = OrientedBox.from_params((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (9.0, 9.0, 9.0))
        camera = cameras(False, same_lens=True)[:1]
        ours, theirs = PictureRays()(camera, box), camera.generate_rays(camera_indices=0, keep_shape=True, obb_box=box)
        assert ours.nears is not None and torch.equal(ours.nears, theirs.nears)
