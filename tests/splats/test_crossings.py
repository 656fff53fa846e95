"""Rays through splats against the compositor's picture; the loop against plain torch."""

import pytest
import torch
import torch.nn.functional as F

from ins3d.splats import crossings
from ins3d.splats.compositing import weights_of
from ins3d.splats.crossings import CrossedSplats, Crossings
from ins3d.splats.gaussians import plain_gaussians
from ins3d.splats.views import View
from tests.splats.clouds import a_view, some_splats


def directions_of(view: View) -> torch.Tensor:
    down, across = torch.meshgrid(torch.arange(view.height) + 0.5, torch.arange(view.width) + 0.5, indexing="ij")
    seen = torch.stack([(across - view.cx) / view.fx, (down - view.cy) / view.fy, torch.ones_like(down)], dim=-1)
    return F.normalize(seen @ view.axes(), dim=-1).reshape(-1, 3)


def table(found: Crossings, number: int) -> torch.Tensor:
    """(rays, splats): the weights."""
    made = torch.zeros(len(found.left), number)
    made[found.rays, found.splats] = found.weights
    return made


@pytest.fixture(params=[False, True], ids=["torch", "numba"], autouse=True)
def compiled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    if request.param:
        pytest.importorskip("numba")
    monkeypatch.setattr(crossings, "COMPILED", request.param)
    return request.param


def test_rays_of_a_camera_see_what_the_compositor_draws():
    view, splats = a_view(), some_splats(300)
    found = CrossedSplats(splats).crossings(view.center, directions_of(view), 1 / view.fx)
    matrix, left = weights_of(view, splats)
    difference = table(found, 300) - torch.from_numpy(matrix.toarray())
    assert difference.square().mean().sqrt() < 2e-3 and (found.left - left).square().mean().sqrt() < 0.02


def test_pairs_are_sorted_and_light_adds_up():
    view, splats = a_view(), some_splats(300)
    found = CrossedSplats(splats).crossings(view.center, directions_of(view), 1 / view.fx)
    assert (found.rays.diff() >= 0).all() and len(found.rays) > 10_000
    summed = torch.zeros(len(found.left)).index_add_(0, found.rays, found.weights)
    assert torch.allclose(summed + found.left, torch.ones(len(found.left)), atol=2e-4)


def test_the_loop_is_plain_torch(monkeypatch: pytest.MonkeyPatch):
    view, splats = a_view(), some_splats(300)
    told = view.center, directions_of(view), 1 / view.fx
    here = CrossedSplats(splats).crossings(*told)
    monkeypatch.setattr(crossings, "COMPILED", not crossings.COMPILED)
    there = CrossedSplats(splats).crossings(*told)
    assert torch.allclose(table(here, 300), table(there, 300), atol=1e-4)
    assert torch.allclose(here.left, there.left, atol=1e-4)


def test_many_pairs_are_looked_at_in_parts(monkeypatch: pytest.MonkeyPatch):
    view, splats = a_view(), some_splats(300)
    told = view.center, directions_of(view), 1 / view.fx
    whole = CrossedSplats(splats).crossings(*told)
    monkeypatch.setattr(crossings, "MOST_PAIRS", 2000)
    parts = CrossedSplats(splats).crossings(*told)
    assert (table(whole, 300) - table(parts, 300)).square().mean().sqrt() < 2e-3


def test_rays_all_around_see_all_around():
    """A splat in every direction, from within: each ray sees its own, where it is."""
    out = torch.cat([torch.eye(3), -torch.eye(3)])
    splats = plain_gaussians(
        2 * out, torch.full((6, 3), 0.05), torch.tensor([[1.0, 0, 0, 0]]).expand(6, 4), torch.full((6,), 0.9), out.abs()
    )
    found = CrossedSplats(splats).crossings(torch.zeros(3), out, 1e-3)
    assert found.rays.tolist() == found.splats.tolist() == list(range(6))
    assert torch.allclose(found.depths, torch.full((6,), 2.0)) and torch.allclose(found.weights, torch.full((6,), 0.9))


def test_rays_of_one_side_that_are_far_apart_are_looked_at_too():
    """All look most along z, most of them into one corner, and one into the other: 105 degrees apart."""
    corner = F.normalize(torch.tensor([[0.95, 0.95, 1.0]]), dim=-1)
    towards = torch.cat([-corner * torch.tensor([1.0, 1.0, -1.0]), corner.expand(9, 3), corner])
    found = CrossedSplats(some_splats(20)).crossings(torch.zeros(3), towards, 1e-3)
    assert found.left.shape == (11,) and torch.allclose(found.left[1:], found.left[1].expand(10), atol=1e-5)


def test_a_flat_splat_is_met_in_its_plane():
    """A disc that leans: the ray through its edge meets it nearer than its middle is."""
    lean = torch.tensor([[0.9238795, 0.0, 0.3826834, 0.0]])  # 45 degrees about y
    splats = plain_gaussians(torch.tensor([[0.0, 0.0, -4.0]]), torch.tensor([[1.0, 1.0, 1e-3]]), lean, torch.tensor([0.9]),
                             torch.ones(1, 3))  # fmt: skip
    towards = F.normalize(torch.tensor([[0.1, 0.0, -1.0], [0.0, 0.0, -1.0], [-0.1, 0.0, -1.0]]), dim=-1)
    found = CrossedSplats(splats).crossings(torch.zeros(3), towards, 1e-3)
    met = towards * found.depths[:, None]
    normal = torch.tensor([0.70710678, 0.0, 0.70710678])
    assert ((met - splats.means) @ normal).abs().max() < 1e-2
    assert len({round(float(depth), 2) for depth in found.depths}) == 3


def test_nothing_before_the_rays_is_nothing():
    found = CrossedSplats(some_splats(20)).crossings(torch.tensor([0.0, 0, 50.0]), torch.tensor([[0.0, 0, 1.0]]), 1e-3)
    assert len(found.rays) == 0 and found.left.tolist() == [1.0]
