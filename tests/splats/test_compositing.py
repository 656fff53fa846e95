"""Pictures of splats against the definition, drawn splat by splat; gradients against autograd through that."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ins3d.splats import compositing
from ins3d.splats.compositing import composite, render, seen_rgb, weights_of
from ins3d.splats.gaussians import Gaussians, plain_gaussians
from ins3d.splats.projection import project
from tests.splats.clouds import BACKGROUND, a_view, drawn_one_by_one, some_splats

LEARNED = ("means", "scales", "rotations", "opacities", "rgb")


def with_gradients(draw, splats: Gaussians) -> tuple[Tensor, dict[str, Tensor]]:
    parts = {name: getattr(splats, name).clone().requires_grad_() for name in LEARNED}
    picture = draw(a_view(), replace(splats, **parts), BACKGROUND)
    wanted = torch.rand(picture.shape, generator=torch.Generator().manual_seed(5))
    ((picture - wanted) ** 2).sum().backward()
    return picture.detach(), {name: part.grad for name, part in parts.items()}


@pytest.fixture(scope="module")
def reference() -> tuple[Tensor, dict[str, Tensor]]:
    return with_gradients(drawn_one_by_one, some_splats())


@pytest.fixture(params=[False, True], ids=["torch", "numba"], autouse=True)
def compiled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Everything twice: in plain torch, and as numba compiles it."""
    if request.param:
        pytest.importorskip("numba")
    monkeypatch.setattr(compositing, "COMPILED", request.param)
    return request.param


class TestRender:
    def test_is_the_definition(self, reference: tuple[Tensor, dict[str, Tensor]]):
        picture, gradients = with_gradients(render, some_splats())
        assert (picture - reference[0]).abs().max() < 2e-4  # nothing is drawn where less than 1e-4 of the light is left
        for name, gradient in gradients.items():
            assert (gradient - reference[1][name]).abs().max() < 2e-3 * reference[1][name].abs().max(), name

    def test_in_bands_it_is_the_same_picture(
        self, reference: tuple[Tensor, dict[str, Tensor]], monkeypatch: pytest.MonkeyPatch
    ):
        whole, gradients = with_gradients(render, some_splats())
        monkeypatch.setattr(compositing, "PAIRS_AT_ONCE", 2000)
        bands = list(compositing._bands(a_view(), project(a_view(), *(getattr(some_splats(), n) for n in LEARNED[:4]))))
        assert len(bands) > 3
        assert sum(band.height for band, _ in bands) == a_view().height
        parts, of_bands = with_gradients(render, some_splats())
        assert torch.allclose(parts, whole, atol=1e-6)
        for name, gradient in of_bands.items():
            assert torch.allclose(gradient, gradients[name], atol=1e-4 * float(gradient.abs().max())), name

    def test_nothing_there_is_the_background(self):
        behind = replace(some_splats(5), means=torch.tensor([0.0, 0, 50]).expand(5, 3))
        assert torch.equal(render(a_view(), behind, BACKGROUND), BACKGROUND.expand(32, 40, 3))

    def test_a_large_splat_before_all_hides_ninety_nine_hundredths(self):
        one = plain_gaussians(
            torch.zeros(1, 3), torch.full((1, 3), 100.0), torch.tensor([[1.0, 0, 0, 0]]), torch.tensor([0.999]),
            torch.tensor([[0.0, 1.0, 0.0]]),
        )  # fmt: skip
        picture = render(a_view(), one, torch.tensor([1.0, 0.0, 0.0]))
        assert torch.allclose(picture, torch.tensor([0.01, 0.99, 0.0]).expand_as(picture), atol=1e-5)

    def test_wild_splats_leave_the_picture_finite(self):
        wild = some_splats(6)
        wild.scales[0], wild.scales[1], wild.means[2], wild.means[3] = 1e6, 1e-12, 1e18, a_view().center
        wild.scales[4], wild.scales[5] = 1e13, torch.tensor([1e13, 1e-13, 1e-13])
        picture, gradients = with_gradients(render, wild)
        assert picture.isfinite().all()
        assert all(gradient.isfinite().all() for gradient in gradients.values())


class TestProjection:
    def test_is_gsplats(self):
        reference = pytest.importorskip("gsplat.cuda._torch_impl")
        view, splats = a_view(), some_splats()
        ours = project(view, splats.means, splats.scales, splats.rotations, splats.opacities)
        covariances, _ = reference._quat_scale_to_covar_preci(splats.rotations, splats.scales, True, False)
        world_to_camera = torch.eye(4)
        world_to_camera[:3, :3], world_to_camera[:3, 3] = view.axes(), -view.axes() @ view.center
        intrinsics = torch.tensor([[view.fx, 0, view.cx], [0, view.fy, view.cy], [0, 0, 1]])
        _, middles, depths, conics, _ = reference._fully_fused_projection(
            splats.means, covariances, world_to_camera[None], intrinsics[None], view.width, view.height, eps2d=0.3
        )
        seen = ours.seen
        assert torch.allclose(ours.middles[seen], middles[0][seen], atol=1e-4)
        assert torch.allclose(ours.depths[seen], depths[0][seen], atol=1e-5)
        # gsplat allows shapes as far outside the picture on the side of its middle that is wider.
        inside = seen & ((ours.middles >= 0) & (ours.middles < torch.tensor([view.width, view.height]))).all(-1)
        assert inside.sum() > 100
        assert torch.allclose(ours.conics[inside], conics[0][inside], rtol=1e-3, atol=1e-5)


class TestWeights:
    def test_times_colours_is_the_picture(self):
        view, splats = a_view(), some_splats()
        weights, left = weights_of(view, splats)
        picture = torch.from_numpy(weights @ splats.rgb.numpy()) + left[:, None] * BACKGROUND
        assert torch.allclose(picture.reshape(view.height, view.width, 3), render(view, splats, BACKGROUND), atol=1e-5)

    def test_no_pixel_gets_more_than_its_light(self):
        weights, left = weights_of(a_view(), some_splats())
        assert (weights.min() >= 0) and (abs(weights.sum(1).A1 + left.numpy() - 1) < 2e-4).all()


class TestHarmonics:
    def test_degree_one_is_linear_in_the_direction(self):
        view, splats = a_view(), some_splats(20, degree=1)
        change = seen_rgb(splats, view) - splats.rgb
        x, y, z = ((splats.means - view.center) / (splats.means - view.center).norm(dim=-1, keepdim=True)).unbind(-1)
        first, second, third = splats.harmonics.unbind(1)
        expected = 0.48860251 * (-y[:, None] * first + z[:, None] * second - x[:, None] * third)
        assert torch.allclose(change, expected, atol=1e-6)

    @pytest.mark.parametrize("degree", [1, 2, 3])
    def test_a_turned_scene_before_a_turned_camera_is_the_same_picture(self, degree: int):
        from scipy.spatial.transform import Rotation

        turn = torch.from_numpy(Rotation.from_rotvec([0.4, -1.1, 0.7]).as_matrix()).float()
        move, scale = torch.tensor([3.0, -2.0, 0.5]), 2.5
        view, splats = a_view(), some_splats(60, degree)
        pose = torch.cat([turn @ view.camera_to_world[:, :3], (scale * turn @ view.center + move)[:, None]], dim=1)
        turned = render(replace(view, camera_to_world=pose), splats.mapped(turn, move, scale), BACKGROUND)
        assert torch.allclose(turned, render(view, splats, BACKGROUND), atol=2e-4)


def test_composite_takes_any_number_of_channels():
    view, splats = a_view(), some_splats()
    ellipses = project(view, splats.means, splats.scales, splats.rotations, splats.opacities)
    depth = composite(view, ellipses, splats.opacities, ellipses.depths[:, None], torch.zeros(1))
    assert depth.shape == (32, 40, 1) and 2 < float(depth.max()) < 6
