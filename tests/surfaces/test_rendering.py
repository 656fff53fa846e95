import pytest
import torch
from matplotlib import colormaps

from ins3d.placement.cameras import ObjectCameras, cameras_around, turntable
from ins3d.surfaces import rendering
from ins3d.surfaces.rendering import SurfaceView, render_view
from ins3d.surfaces.sphere_tracing import trace_rays
from ins3d.surfaces.stylized import ShownSurface

RADIUS = 0.6


@pytest.fixture
def ball() -> ShownSurface:
    """Radius 0.6; its colour is that of its normal."""
    return ShownSurface(
        lambda positions: positions.norm(dim=-1, keepdim=True) - RADIUS,
        lambda positions: 7 * positions,  # of another length than a normal has
        lambda positions: 0.5 + 0.5 * positions / RADIUS,
    )


@pytest.fixture
def front() -> ObjectCameras:
    """Two cameras, at z = 3 and z = -3; pixel (16, 16) is the middle of 33."""
    return turntable(2, "y", 33, elevation=0.0)


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rays are traced, call by call."""
    numbers: list[int] = []

    def counting(ask, origins, directions):
        numbers.append(len(origins))
        return trace_rays(ask, origins, directions)

    monkeypatch.setattr(rendering, "trace_rays", counting)
    return numbers


@pytest.fixture
def narrow_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever their size, pixels see places of one colour."""
    monkeypatch.setattr(rendering, "CELL", 1.0)


def exact_hits(cameras: ObjectCameras, camera: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(positions, whether there is one) where a picture's rays meet the ball: the smaller root of |o + t v|^2 = r^2."""
    origins, directions = (rays.double() for rays in cameras.picture_rays(camera))
    half = (origins * directions).sum(-1)
    root = half**2 - origins.square().sum(-1) + RADIUS**2
    positions = origins + (-half - root.clamp(min=0).sqrt())[:, None] * directions
    size = (cameras.height, cameras.width)
    return positions.float().T.reshape(3, *size), (root > 0).reshape(1, *size)


class TestRenderView:
    def test_from_distance_3_the_middle_is_2_4_away_and_faces_the_camera(self, ball: ShownSurface, front: ObjectCameras):
        view = render_view(ball, front, 0)
        assert view.depth[0, 16, 16].item() == pytest.approx(3 - RADIUS, abs=1e-3)
        torch.testing.assert_close(view.normals[:, 16, 16], torch.tensor([0.0, 0, 1]), atol=1e-3, rtol=0)
        torch.testing.assert_close(view.rgb[:, 16, 16], torch.tensor([0.5, 0.5, 1]), atol=1e-3, rtol=0)
        assert view.far == pytest.approx(4)

    def test_the_other_camera_sees_the_back(self, ball: ShownSurface, front: ObjectCameras):
        view = render_view(ball, front, 1)
        torch.testing.assert_close(view.normals[:, 16, 16], torch.tensor([0.0, 0, -1]), atol=1e-3, rtol=0)

    def test_is_the_ball_at_every_pixel(self, ball: ShownSurface):
        cameras = cameras_around(3, "z", 40)
        for camera in range(3):
            view, (positions, hit) = render_view(ball, cameras, camera), exact_hits(cameras, camera)
            assert torch.equal(view.alpha, hit.float()) and 0.2 < view.alpha.mean() < 0.4
            normals = positions / RADIUS * hit
            torch.testing.assert_close(view.normals, normals, atol=0.01, rtol=0)
            torch.testing.assert_close(view.rgb, (0.5 + 0.5 * normals) * hit, atol=0.01, rtol=0)
            # Depth is along the axis, so a plane before the camera has one depth, and a ray at the border a shorter one
            # than its length.
            back, center = cameras.camera_to_world[camera, :, 2:].unbind(-1)
            depth = torch.einsum("c,chw->hw", -back, positions - center[:, None, None]) * hit
            torch.testing.assert_close(view.depth, depth, atol=2e-3, rtol=0)

    def test_is_empty_where_there_is_nothing(self, ball: ShownSurface, front: ObjectCameras):
        view = render_view(ball, front, 0)
        empty = view.alpha[0] == 0
        assert empty[0, 0] and not empty[16, 16]
        for values in (view.rgb, view.normals, view.depth):
            assert values[:, empty].abs().max() == 0
        nothing = ShownSurface(lambda positions: positions[:, :1] * 0 + 1, ball.gradient, ball.rgb)
        assert render_view(nothing, front, 0).alpha.max() == 0

    @pytest.mark.parametrize("finer", [2, 3])
    def test_finer_is_the_mean_of_a_larger_picture(self, ball: ShownSurface, front: ObjectCameras, finer: int):
        view, large = render_view(ball, front, 0, finer), render_view(ball, front.resized(33 * finer), 0)
        for name in ("rgb", "normals", "depth", "alpha"):
            mean = torch.nn.functional.avg_pool2d(getattr(large, name), finer)
            torch.testing.assert_close(getattr(view, name), mean, atol=1e-3, rtol=0)
        # The border of the disc, and nothing else, is partly covered.
        partly = (view.alpha > 0) & (view.alpha < 1)
        assert 0.02 < partly.float().mean() < 0.2 and not partly[0, 12:21, 12:21].any()
        assert set((view.alpha * finer**2).round(decimals=3).flatten().tolist()) <= set(range(finer**2 + 1))

    def test_an_edge_within_the_object_is_one(self, front: ObjectCameras, narrow_pixels: None):
        """A small ball before a large one: its outline is the mean of both, though all of it is covered."""

        def distances(positions: torch.Tensor) -> torch.Tensor:
            return torch.stack(
                [
                    (positions + torch.tensor([0, 0, 0.3])).norm(dim=-1) - 0.5,
                    (positions - torch.tensor([0, 0, 0.7])).norm(dim=-1) - 0.2,
                ]
            )

        surface = ShownSurface(
            lambda positions: distances(positions).min(0).values[:, None],
            lambda positions: positions.new_tensor([0.0, 0, 1]).expand_as(positions),
            lambda positions: distances(positions).argmin(0)[:, None].expand(-1, 3).float(),
        )
        jagged, smooth = (render_view(surface, front, 0, finer).rgb[0] for finer in (1, 3))
        assert set(jagged.unique().tolist()) == {0.0, 1.0}
        assert int(((smooth > 0.1) & (smooth < 0.9)).sum()) >= 8

    def test_of_narrow_pixels_those_at_edges_alone_need_many_rays(
        self, ball: ShownSurface, front: ObjectCameras, traced: list[int], narrow_pixels: None
    ):
        view, large = render_view(ball, front, 0, 3), render_view(ball, front.resized(99), 0)
        assert traced[0] == 33**2 and 0 < traced[1] < 3 * 33**2
        torch.testing.assert_close(view.alpha, torch.nn.functional.avg_pool2d(large.alpha, 3))

    @pytest.mark.parametrize("rays, finer", [(1000, 1), (7, 2)])
    def test_how_many_are_asked_at_once_makes_no_difference(
        self, ball: ShownSurface, front: ObjectCameras, monkeypatch: pytest.MonkeyPatch, traced: list[int], rays: int,
        finer: int,
    ):  # fmt: skip
        whole, total = render_view(ball, front, 0, finer), sum(traced)
        monkeypatch.setattr(rendering, "RAYS_AT_ONCE", rays)
        traced.clear()
        view = render_view(ball, front, 0, finer)
        assert len(traced) > 1 and sum(traced) == total and max(traced) <= rays
        for name in ("rgb", "normals", "depth", "alpha"):
            torch.testing.assert_close(getattr(view, name), getattr(whole, name))

    def test_colours_stay_in_range(self, ball: ShownSurface, front: ObjectCameras):
        bright = ShownSurface(ball.signed_distance, ball.gradient, lambda positions: 9 * positions)
        rgb = render_view(bright, front, 0).rgb
        assert rgb.min() == 0 and rgb.max() == 1


@pytest.fixture
def half() -> SurfaceView:
    """One pixel, half covered by a red thing that faces the x axis at depth 3; the ball ends at 4."""
    pixels = {"rgb": [0.5, 0.1, 0.0], "normals": [0.5, 0.0, 0.0], "depth": [1.5], "alpha": [0.5]}
    return SurfaceView(**{name: torch.tensor(values).reshape(-1, 1, 1) for name, values in pixels.items()}, far=4.0)


class TestPicture:
    def test_colours_lie_before_the_background(self, half: SurfaceView):
        assert half.picture("rgb", 1.0).flatten().tolist() == pytest.approx([1.0, 0.6, 0.5])
        assert half.picture("rgb", 0.2).flatten().tolist() == pytest.approx([0.6, 0.2, 0.1])

    def test_normals_are_colours_around_grey(self, half: SurfaceView):
        # The covered half is (1 + (1, 0, 0)) / 2 = (1, 0.5, 0.5), the other is 0.2.
        assert half.picture("normals", 0.2).flatten().tolist() == pytest.approx([0.6, 0.35, 0.35])

    def test_depth_is_that_of_the_covered_part(self, half: SurfaceView):
        # Depth 3 of a ball from 2 to 4 is half way.
        expected = [0.5 * value + 0.5 * 0.2 for value in colormaps["magma"](0.5)[:3]]
        assert half.picture("depth", 0.2).flatten().tolist() == pytest.approx(expected)

    def test_near_is_light(self, ball: ShownSurface, front: ObjectCameras):
        view = render_view(ball, front, 0)
        light = view.picture("depth").sum(0)
        row = light[16][view.alpha[0, 16] > 0]
        # From the rim to the middle it grows lighter, in the 256 steps of the colours, and then darker again.
        half = len(row) // 2
        assert len(row) == 19 and (row[: half + 1].diff() >= 0).all() and (row[half:].diff() <= 0).all()
        assert row[half] > row[0] + 0.3 and row[half] > row[-1] + 0.3

    @pytest.mark.parametrize("what", ["rgb", "normals", "depth"])
    def test_is_background_where_there_is_nothing(self, ball: ShownSurface, front: ObjectCameras, what: str):
        picture = render_view(ball, front, 0).picture(what, 0.3)
        torch.testing.assert_close(picture[:, 0, 0], torch.full((3,), 0.3))
        assert picture.shape == (3, 33, 33) and 0 <= picture.min() and picture.max() <= 1
