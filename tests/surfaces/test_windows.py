import pytest
import torch

from ins3d.placement.cameras import ObjectCameras, cameras_around, looking_cameras
from ins3d.style.windows import PatchSettings, plan_windows
from ins3d.surfaces.content import PlanesSurface
from ins3d.surfaces.stylized import show_content
from ins3d.surfaces.windows import RayWeighting, SurfaceRays, SurfaceWindows, ask_content


@pytest.fixture
def content() -> PlanesSurface:
    """A sphere of radius .6, as every surface is before it is trained."""
    torch.manual_seed(0)
    return PlanesSurface((8, 16), channels=4).requires_grad_(False)


def windows(
    content: PlanesSurface, cameras: ObjectCameras | None = None, patch: int = 8, strides: tuple[int, ...] = (1, 4),
    **weights: bool,
) -> SurfaceWindows:  # fmt: skip
    plan = plan_windows((200, 200), 2000, PatchSettings(patch, strides))
    cameras = cameras or cameras_around(6, "y", 100)
    return SurfaceWindows(content, cameras, plan, RayWeighting(**weights), torch.Generator().manual_seed(0))


def front(distance: float, size: int = 100) -> ObjectCameras:
    return looking_cameras(torch.tensor([[0.0, 0.0, distance]]), "y", size)


def spacing(rays: SurfaceRays) -> float:
    """The angle between the first two rays."""
    return float(torch.acos((rays.directions[0] * rays.directions[1]).sum().clamp(max=1)))


class TestWhatIsKept:
    def test_is_what_the_content_says_at_the_hits(self, content: PlanesSurface):
        for stride_windows in windows(content).windows.values():
            for window in range(len(stride_windows.hit)):
                rays = stride_windows.cut(window)
                hit = rays.hit[:, 0] > 0
                positions = rays.positions[hit]
                torch.testing.assert_close(positions.norm(dim=-1), torch.full((int(hit.sum()),), 0.6), atol=1e-3, rtol=0)
                torch.testing.assert_close(rays.normals[hit], positions / 0.6, atol=0.02, rtol=0)
                torch.testing.assert_close(rays.rgb[hit], show_content(content).rgb(positions))
                assert not rays.rgb[~hit].any() and not rays.weight[~hit].any()

    def test_every_hit_lies_on_its_ray(self, content: PlanesSurface):
        origins, directions = cameras_around(1, "y", 20).picture_rays(0)
        rays = ask_content(content, origins, directions)
        hit = rays.hit[:, 0] > 0
        along = torch.nn.functional.normalize(rays.positions[hit] - origins[hit], dim=-1)
        torch.testing.assert_close(along, directions[hit], atol=1e-4, rtol=0)

    def test_every_window_is_somewhere_on_the_object(self, content: PlanesSurface):
        for stride_windows in windows(content, front(3.0)).windows.values():
            middle = 6  # of 12 rays, half as many again as a patch has
            assert all(bool(hit[middle - 1 : middle + 1, middle - 1 : middle + 1].any()) for hit in stride_windows.hit)

    def test_pixels_are_as_wide_as_neighbours_are_apart(self, content: PlanesSurface):
        for stride_windows in windows(content, front(3.0)).windows.values():
            rays, middle = stride_windows.cut(0), 6 * 12 + 6
            apart = spacing(rays.cut(slice(middle, middle + 2))) * (rays.positions - rays.origins)[middle].norm()
            assert float(rays.footprint[middle]) == pytest.approx(float(apart), rel=0.15)
            assert not rays.footprint[rays.hit == 0].any()

    def test_the_same_seed_keeps_the_same_rays(self, content: PlanesSurface):
        one, other = (windows(content).windows[4] for _ in range(2))
        assert torch.equal(one.positions, other.positions)


class TestPatches:
    def test_are_squares_cut_from_windows(self, content: PlanesSurface):
        found = windows(content)
        patch = found.draw(torch.Generator().manual_seed(3))
        assert patch.positions.shape == (64, 3) and patch.rgb.shape == (64, 3)
        rows = patch.directions.reshape(8, 8, 3)
        # Neighbours along a row and along a column are as far apart.
        across, down = (rows[0, 1] - rows[0, 0]).norm(), (rows[1, 0] - rows[0, 0]).norm()
        torch.testing.assert_close(across, down, rtol=0.05, atol=0)

    def test_strides_are_drawn_as_often_as_they_are_given(self, content: PlanesSurface):
        found = windows(content, strides=(1, 1, 1, 4))
        generator = torch.Generator().manual_seed(0)
        spacings = [spacing(found.draw(generator)) for _ in range(100)]
        fine = sum(each < 2 * min(spacings) for each in spacings)
        assert 60 <= fine <= 90

    def test_a_stride_of_four_lies_four_times_as_wide(self, content: PlanesSurface):
        found = windows(content, front(3.0)).windows
        ratio = spacing(found[4].cut(0)) / spacing(found[1].cut(0))
        assert ratio == pytest.approx(4, rel=0.1)

    def test_show_the_object(self, content: PlanesSurface):
        found = windows(content, strides=(4,))
        generator = torch.Generator().manual_seed(0)
        assert all(float(found.draw(generator).hit.mean()) >= 0.15 for _ in range(20))


class TestWeights:
    """StyleMesh's, as weights of positions."""

    def test_without_them_all_of_the_object_counts(self, content: PlanesSurface):
        found = windows(content).windows[1]
        assert torch.equal(found.weight, found.hit)

    def test_by_angle_they_are_the_cosine(self, content: PlanesSurface):
        rays = windows(content, by_angle=True).windows[4].cut(0)
        hit = rays.hit[:, 0] > 0
        cosine = -(rays.positions[hit] / 0.6 * rays.directions[hit]).sum(-1)
        torch.testing.assert_close(rays.weight[hit, 0], cosine, atol=0.03, rtol=0)

    def test_by_depth_rays_keep_their_distance_in_the_world(self, content: PlanesSurface):
        """A camera at 3, one at 6 with the same lens: half as dense in pixels is the same on the surface."""
        near, far = front(3.0), front(6.0)
        far = ObjectCameras(far.camera_to_world, near.intrinsics, 100, 100)
        apart = []
        for cameras in (near, far):
            rays = windows(content, cameras, by_depth=True, strides=(1,)).windows[1].cut(0)
            apart.append(spacing(rays) * float((rays.positions - rays.origins)[rays.hit[:, 0] > 0].norm(dim=-1).mean()))
        usual = [3 / float(near.intrinsics[0, 0]), 6 / float(near.intrinsics[0, 0])]
        # A pixel is as large as at the ball's middle, wherever on the object the window lies.
        assert apart[0] == pytest.approx(usual[0], rel=0.1) and apart[1] == pytest.approx(usual[1], rel=0.1)

    def test_by_depth_what_is_twice_as_far_as_meant_does_not_count(self, content: PlanesSurface):
        rays = windows(content, front(1.5), by_depth=True, strides=(4,), patch=16).windows[4].cut(0)
        hit = rays.hit[:, 0] > 0
        depths = 1.5 - rays.positions[hit][:, 2]
        fade = rays.weight[hit, 0]
        # Weights fall with the logarithm of the depth beside that of the middle, by 1 for a factor of two.
        middle = depths[fade.argmax()]
        wanted = 1 - (depths / middle).log2().abs()
        torch.testing.assert_close(fade, wanted.clamp(min=0), atol=0.05, rtol=0)
        assert float(fade.min()) < 0.9


def test_cameras_that_see_nothing_are_refused(content: PlanesSurface):
    looking_away = front(3.0)
    turned = looking_away.camera_to_world.clone()
    turned[:, :, 0] *= -1
    turned[:, :, 2] *= -1
    with pytest.raises(ValueError, match="cameras saw nothing of the object; check the cameras, or fit it again"):
        windows(content, ObjectCameras(turned, looking_away.intrinsics, 100, 100))


def test_a_window_is_half_as_wide_again_as_a_patch(content: PlanesSurface):
    assert windows(content, patch=8).windows[1].hit.shape[1:3] == (12, 12)
    assert windows(content, patch=16, strides=(1,)).windows[1].hit.shape[1:3] == (24, 24)
