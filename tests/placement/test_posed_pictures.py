import pytest
import torch
from jaxtyping import TypeCheckError

from ins3d.placement.posed_pictures import PosedPictures


def rotations(random: torch.Generator, count: int) -> torch.Tensor:
    turns, _ = torch.linalg.qr(torch.randn(count, 3, 3, generator=random))
    return turns * torch.linalg.det(turns)[:, None, None]


@pytest.fixture
def scene(random: torch.Generator) -> PosedPictures:
    """Three turned cameras, 12 pixels high and 17 wide, with a centre of projection beside the middle."""
    poses = torch.cat([rotations(random, 3), torch.randn(3, 3, 1, generator=random)], dim=-1)
    intrinsics = torch.tensor([[20.0, 22.0, 8.0, 6.5], [15.0, 15.0, 8.5, 6.0], [30.0, 28.0, 9.0, 5.0]])
    return PosedPictures(torch.rand(3, 4, 12, 17, generator=random), poses, intrinsics)


def straight(pictures: torch.Tensor, fx: float = 1.0) -> PosedPictures:
    """One camera at the origin that looks along -z."""
    height, width = pictures.shape[2:]
    return PosedPictures(pictures, torch.eye(3, 4)[None], torch.tensor([[fx, fx, width / 2, height / 2]]))


class TestPixelRays:
    def test_go_through_pixel_centres_at_depth_1(self):
        # Two by two pixels, focal length 1: centres half a pixel from the axis; rows go down, y goes up.
        rays = straight(torch.zeros(1, 3, 2, 2)).pixel_rays(0)
        assert rays.tolist() == [[[-0.5, 0.5, -1], [0.5, 0.5, -1]], [[-0.5, -0.5, -1], [0.5, -0.5, -1]]]

    def test_have_depth_1_along_the_view_axis(self, scene: PosedPictures):
        for camera in range(3):
            depths = scene.pixel_rays(camera) @ scene.view_axes[camera]
            torch.testing.assert_close(depths, torch.ones(12, 17))

    def test_equal_a_slow_pinhole(self, scene: PosedPictures):
        for camera, (row, column) in enumerate([(0, 0), (11, 3), (5, 16)]):
            fx, fy, cx, cy = scene.intrinsics[camera].tolist()
            right, up, back = scene.camera_to_world[camera, :, :3].T
            expected = right * (column + 0.5 - cx) / fx - up * (row + 0.5 - cy) / fy - back
            torch.testing.assert_close(scene.pixel_rays(camera)[row, column], expected)


class TestLookUp:
    @pytest.mark.parametrize("depth", [0.1, 1.0, 70.0])
    def test_is_the_inverse_of_pixel_rays(self, scene: PosedPictures, depth: float):
        for camera in range(3):
            seen, inside = scene.look_up(camera, scene.centers[camera] + depth * scene.pixel_rays(camera))
            assert inside.min() == 1
            torch.testing.assert_close(seen, scene.pictures[camera], atol=1e-3, rtol=0)

    def test_reads_between_pixels_linearly(self):
        scene = straight(torch.arange(4.0).reshape(1, 1, 2, 2) / 4)
        # The axis meets the picture where its four pixels do.
        seen, inside = scene.look_up(0, torch.tensor([0.0, 0.0, -3.0]))
        assert seen.tolist() == [pytest.approx((0 + 1 + 2 + 3) / 16)] and inside.item() == 1

    def test_knows_what_lies_outside_the_picture(self):
        scene = straight(torch.ones(1, 3, 2, 2))
        # At depth 1 the picture reaches from -1 to 1.
        points = torch.tensor([[0.99, 0, -1], [1.01, 0, -1], [0, -0.99, -1], [0, 1.01, -1], [50, 0, -1]])
        assert scene.look_up(0, points)[1].tolist() == [1, 0, 1, 0, 0]

    def test_sees_nothing_behind_the_camera_or_in_it(self):
        seen, inside = straight(torch.ones(1, 3, 2, 2)).look_up(0, torch.tensor([[0.1, 0, 1], [0, 0, 0], [0, 0, 1e-9]]))
        assert inside.tolist() == [0, 0, 0] and seen.isfinite().all()

    def test_keeps_the_shape_of_the_batch(self, scene: PosedPictures):
        seen, inside = scene.look_up(1, torch.randn(2, 5, 3, 3))
        assert seen.shape == (4, 2, 5, 3) and inside.shape == (2, 5, 3)


class TestPosedPictures:
    def test_looks_along_minus_z(self):
        assert straight(torch.zeros(1, 3, 2, 2)).view_axes.tolist() == [[0, 0, -1]]

    def test_centres_are_the_last_column(self, scene: PosedPictures):
        assert torch.equal(scene.centers, scene.camera_to_world[:, :, 3])

    def test_refuses_fewer_cameras_than_pictures(self):
        with pytest.raises(TypeCheckError):
            PosedPictures(torch.zeros(3, 3, 4, 4), torch.zeros(2, 3, 4), torch.zeros(3, 4))
