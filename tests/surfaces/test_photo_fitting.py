import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ins3d.meshes.queries import MeshQueries
from ins3d.meshes.triangles import MeshPlacement, SurfaceMesh
from ins3d.placement.cameras import DISTANCE, ObjectCameras, cameras_around, looking_cameras
from ins3d.surfaces import photo_fitting, sphere_tracing
from ins3d.surfaces.content import PlanesSurface, SurfaceContent
from ins3d.surfaces.photo_fitting import PhotoLosses, compare_views, hull_distances
from ins3d.surfaces.photographs import ObjectPictures, picture_mesh

RADIUS, ORIGIN, ASIDE = 0.6, (0.0, 0.0, 0.0), (0.35, -0.2, 0.1)
RGB = (0.2, 0.4, 0.8)
STEPS = 100


class Ball(SurfaceContent):
    """Exact distance and one colour, to which `tint` times the position is added; `slope` makes the distance wrong."""

    num_features, learning_rate = 1, 1.0

    def __init__(self, radius: float = RADIUS, center=ORIGIN, tint: float = 0.0, slope: float = 1.0) -> None:
        super().__init__()
        self.radius = nn.Parameter(torch.tensor(radius))
        self.center, self.tint, self.slope = torch.tensor(center), tint, slope
        self.were_shown: list[bool] = []

    def forward(self, positions):
        distance = (positions - self.center).norm(dim=-1, keepdim=True) - self.radius
        return self.slope * distance, torch.zeros(len(positions), 1)

    def gradient(self, positions):
        return self.slope * F.normalize(positions - self.center, dim=-1)

    def rgb(self, features, positions, normals, directions=None):
        self.were_shown.append(directions is not None)
        return torch.tensor(RGB) + self.tint * positions


def nearest(cameras: ObjectCameras, center: tuple[float, float, float] = ORIGIN) -> torch.Tensor:
    """How near each pixel's ray comes to a place: cameras x pixels."""
    rays = [cameras.picture_rays(camera) for camera in range(len(cameras))]
    place = torch.tensor(center)
    return torch.stack([torch.linalg.cross(place - origins, directions).norm(dim=-1) for origins, directions in rays])


def photographs(
    cameras: ObjectCameras, center: tuple[float, float, float] = ORIGIN, radius: float = RADIUS
) -> ObjectPictures:
    """Of a ball in one colour."""
    alpha = (nearest(cameras, center) < radius).float().reshape(len(cameras), 1, cameras.height, cameras.width)
    pictures = torch.cat([torch.tensor(RGB)[None, :, None, None] * alpha, alpha], dim=1)
    return ObjectPictures(pictures, cameras, MeshPlacement(ORIGIN, 1.0))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> ObjectPictures:
    """A ball of radius 0.6; its hull is looked for in few cells."""
    monkeypatch.setattr(photo_fitting, "HULL_RESOLUTION", 24)
    return photographs(cameras_around(6, "y", 48))


@pytest.fixture
def pixel(monkeypatch: pytest.MonkeyPatch) -> ObjectPictures:
    """One picture of one pixel, covered: every ray is that from (0, 0, 3) along -z."""
    monkeypatch.setattr(photo_fitting, "HULL_RESOLUTION", 8)
    return photographs(looking_cameras(torch.tensor([[0.0, 0.0, 3.0]]), "y", 1))


def losses_of(content: SurfaceContent, seen: ObjectPictures, num_rays: int = 512) -> PhotoLosses:
    return PhotoLosses(content, seen, STEPS, num_rays, mask_weight=2.0, eikonal_weight=0.5)


class TestHullDistances:
    @pytest.fixture(autouse=True)
    def cells(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of 0.05, a middle one at 0."""
        monkeypatch.setattr(photo_fitting, "HULL_RESOLUTION", 41)

    def test_of_a_ball_beside_the_middle_is_its_distance(self):
        found = hull_distances(photographs(cameras_around(16, "y", 96), ASIDE, 0.4))
        line = torch.linspace(-1, 1, 41)
        points = torch.stack(torch.meshgrid(line, line, line, indexing="ij"), dim=-1)
        distance = (points - torch.tensor(ASIDE)).norm(dim=-1) - 0.4
        # Two cells at most: one between the cells, one by which the hull of 16 views, and half a pixel, are larger.
        assert (found - distance).abs().max() < 0.1 and (found - distance).abs().mean() < 0.03
        assert found.min() == pytest.approx(-0.4, abs=0.06)
        assert (found[distance < -0.05] < 0).all() and (found[distance > 0.1] > 0).all()

    def test_where_nothing_is_carved_away_the_ball_is_left(self):
        seen = photographs(cameras_around(4, "y", 16), radius=9.0)
        assert seen.pictures[:, 3].min() == 1
        found = hull_distances(seen)
        assert found[20, 20, 20] == pytest.approx(-1, abs=0.06) and found[0, 0, 0] == pytest.approx(3**0.5 - 1, abs=0.06)

    def test_what_a_picture_does_not_show_is_left_to_the_others(self):
        # From z = 3, four times as near: the picture ends 0.27 from the axis, and shows a ball of radius 0.1.
        far = looking_cameras(torch.tensor([[0.0, 0.0, 3.0]]), "y", 64)
        near = ObjectCameras(far.camera_to_world, far.intrinsics * torch.tensor([4, 4, 1, 1]), 64, 64)
        found = hull_distances(photographs(near, radius=0.1))[20:, 20, 20]
        # At 0.0, 0.2 and 0.6 on the x axis.
        assert found[0] < 0 and found[4] > 0 and found[12] < 0

    def test_silhouettes_without_a_place_in_common_are_refused(self):
        seen = photographs(cameras_around(4, "y", 16))
        seen.pictures[2, 3] = 0
        with pytest.raises(ValueError) as caught:
            hull_distances(seen)
        assert str(caught.value) == (
            "images: the silhouettes have no place in common; check that masks and cameras belong together."
        )


class TestHullSteps:
    def test_are_the_first_twentieth(self, seen: ObjectPictures, random: torch.Generator):
        losses = losses_of(Ball(), seen)
        assert set(losses(4, random)) == {"hull_loss", "eikonal_loss"}
        assert set(losses(5, random)) == {"color_loss", "psnr", "mask_loss", "eikonal_loss"}

    def test_want_the_hull_where_it_is(self, random: torch.Generator, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(photo_fitting, "HULL_RESOLUTION", 48)
        seen = photographs(cameras_around(12, "y", 64), ASIDE, 0.4)
        x, y, z = ASIDE
        elsewhere = [(z, y, x), (y, x, z), (-x, y, z), (x, -y, z), (x, y, -z)]
        here, *others = (losses_of(Ball(0.4, at), seen)(0, random)["hull_loss"] for at in [ASIDE, *elsewhere])
        assert here < 0.25 and min(others) > 2 * here


class TestColorLoss:
    def test_is_zero_when_the_content_is_the_object(self, seen: ObjectPictures, random: torch.Generator):
        found = losses_of(Ball(0.4, ASIDE), photographs(seen.cameras, ASIDE, 0.4))(STEPS - 1, random)
        assert found["color_loss"] < 1e-6 and found["psnr"] > 100

    def test_and_its_gradient_are_those_worked_out_by_hand(self, pixel: ObjectPictures, random: torch.Generator):
        content = Ball(tint=0.5)
        found = losses_of(content, pixel, num_rays=8)(50, random)["color_loss"]
        # All rays meet (0, 0, 0.6): blue is 0.8 + 0.5 * 0.6, which is 0.3 too much in one of three channels.
        assert found.item() == pytest.approx(0.1, abs=1e-4)
        found.backward()
        # A ball that grows by one comes nearer by one, and adds 0.5 to blue.
        assert content.radius.grad is not None and content.radius.grad.item() == pytest.approx(0.5 / 3, abs=1e-4)

    def test_is_left_out_where_no_ray_that_meets_the_object_is_covered(self, pixel: ObjectPictures, random: torch.Generator):
        assert set(losses_of(Ball(0.1, (0.8, 0.0, 0.0)), pixel)(50, random)) == {"mask_loss", "eikonal_loss"}

    def test_a_tenth_of_the_steps_shows_no_directions(self, pixel: ObjectPictures, random: torch.Generator):
        content = Ball()
        losses = losses_of(content, pixel, num_rays=4)
        for _ in range(100):
            losses(50, random)
        # 10 of 100, give or take three standard deviations of 3.
        assert 1 <= content.were_shown.count(False) <= 19 and len(content.were_shown) == 100


class TestMaskLoss:
    def test_is_tiny_when_the_content_is_the_object(self, seen: ObjectPictures, random: torch.Generator):
        seen = photographs(seen.cameras, ASIDE, 0.5)
        right, wrong = (losses_of(Ball(radius, ASIDE), seen)(STEPS - 1, random)["mask_loss"] for radius in (0.5, 0.4))
        assert right < 1e-4 and wrong > 100 * right

    def test_of_a_ray_that_misses_is_its_distance_from_the_object(self, pixel: ObjectPictures, random: torch.Generator):
        # The ball at (0.8, 0, 0) of radius 0.2 is 0.6 away from the z axis; softplus(50 * 0.6) / 50 = 0.6, weighted by 2.
        found = losses_of(Ball(0.2, (0.8, 0.0, 0.0)), pixel)(10, random)["mask_loss"]
        assert found.item() == pytest.approx(1.2, abs=0.02)

    @pytest.mark.parametrize("step, alpha", [(10, 50), (20, 100), (59, 200), (99, 800)])
    def test_of_an_object_that_is_too_large(self, seen: ObjectPictures, random: torch.Generator, step: int, alpha: int):
        found = losses_of(Ball(0.8), seen, num_rays=2**16)(step, random)["mask_loss"]
        # Rays through silhouettes hit and are not asked about. Of the others, half of all, those that hit outside them are
        # at distance 0, or up to 0.0002 before it, which costs softplus(0) / alpha; those that miss cost less, by their
        # distance: softplus(-alpha * distance) / alpha.
        cost = F.softplus(-alpha * (nearest(seen.cameras) - 0.8).clamp(min=0)) / alpha
        expected = 2 * (cost.flatten() * (1 - seen.pictures[:, 3].flatten())).mean() / 2
        assert found.item() == pytest.approx(expected.item(), rel=0.1)

    def test_makes_an_object_that_is_too_small_grow_and_one_that_is_too_large_shrink(
        self, seen: ObjectPictures, random: torch.Generator
    ):
        for radius, sign in ((0.4, -1), (0.8, 1)):
            content = Ball(radius)
            losses_of(content, seen)(50, random)["mask_loss"].backward()
            assert content.radius.grad is not None and content.radius.grad.sign() == sign


@pytest.mark.parametrize("step", [0, 50])
@pytest.mark.parametrize("slope, loss", [(1.0, 0.0), (2.0, 0.5), (0.5, 0.125)])
def test_eikonal_loss_is_the_weight_times_what_slopes_lack(
    seen: ObjectPictures, random: torch.Generator, step: int, slope: float, loss: float
):
    # 0.5 * (slope - 1)^2
    assert losses_of(Ball(slope=slope), seen)(step, random)["eikonal_loss"].item() == pytest.approx(loss, abs=1e-6)


class TestCompareViews:
    def test_the_object_itself_agrees_with_its_pictures(self, seen: ObjectPictures):
        found = compare_views(Ball(), seen)
        assert found["silhouette_iou"] > 0.999 and found["psnr"] > 60
        assert found["views"] == 6

    def test_a_smaller_ball_agrees_as_far_as_its_disc_does(self):
        seen = photographs(cameras_around(2, "y", 200))
        found = compare_views(Ball(0.5), seen)
        # A ball of radius r looks as large as a disc of radius r / sqrt(9 - r^2) at distance 1.
        areas = {radius: radius**2 / (DISTANCE**2 - radius**2) for radius in (0.5, 0.6)}
        share = areas[0.5] / areas[0.6]
        assert found["silhouette_iou"] == pytest.approx(share, abs=0.01)
        # The rest of the object, 31 of 100, is compared with black.
        error = (1 - share) * sum(value**2 for value in RGB) / 3
        assert found["psnr"] == pytest.approx(-10 * math.log10(error), abs=0.15)

    def test_a_larger_ball_loses_the_silhouette_only(self):
        found = compare_views(Ball(0.8), photographs(cameras_around(2, "y", 200)))
        assert found["silhouette_iou"] == pytest.approx(0.36 / 8.64 / (0.64 / 8.36), abs=0.01) and found["psnr"] > 60


def test_a_short_fit_finds_a_box(random: torch.Generator, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(photo_fitting, "HULL_RESOLUTION", 32)
    monkeypatch.setattr(sphere_tracing, "MOST_STEPS", 10)  # samples find the rest: shapes are checked at every step
    corners = np.array([[x, y, z] for x in (-0.3, 0.3) for y in (-0.7, 0.7) for z in (-0.25, 0.25)])
    sides = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([triangle for a, b, c, d in sides for triangle in ((a, b, c), (a, c, d))])
    seen = picture_mesh(MeshQueries(SurfaceMesh(corners, faces)), number=8, size=32)
    content = PlanesSurface(resolutions=(16, 48), channels=4, num_features=8, width=32)
    before = compare_views(content, seen)
    losses = PhotoLosses(content, seen, 100, 128, mask_weight=1.0, eikonal_weight=0.1)
    adam = torch.optim.Adam(content.parameters(), lr=0.01)
    for step in range(100):
        found = losses(step, random)
        adam.zero_grad()
        sum(loss for name, loss in found.items() if name.endswith("_loss")).backward()
        adam.step()
    after = compare_views(content, seen)
    assert before["silhouette_iou"] < 0.6 and after["silhouette_iou"] > 0.65
    assert after["psnr"] > before["psnr"] + 5
