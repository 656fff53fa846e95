import dataclasses

import pytest
import torch
import torch.nn.functional as F
from nerfstudio.cameras.rays import RayBundle

from ins3d.plugin.contents.content import Merging
from ins3d.plugin.hash_content import HashSettings
from ins3d.plugin.ray_content import FrequencySettings, GridSettings, RayContentField
from ins3d.plugin.rays.places import SIDE, ProposalGrid, quantiles
from ins3d.plugin.rays.proposals import PlaneDensity
from tests.plugin.rays.conftest import CENTER

MERGING = Merging(4, spread_mult=0.3, footprint_mult=0.6)


class TestProposalGrid:
    def test_its_corners_are_the_networks_own_values(self):
        proposal = PlaneDensity()
        line = torch.linspace(-1, 1, 7)
        z, y, x = torch.meshgrid(line, line, line, indexing="ij")
        with torch.no_grad():
            torch.testing.assert_close(proposal.on_grid(7), proposal(torch.stack([x, y, z], dim=-1))[..., 0])

    def test_between_corners_it_is_trilinear(self, field: RayContentField):
        grid = ProposalGrid(field.proposals[0])
        positions = 2 * torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(0)) - 1
        volume = grid.density.reshape(1, 1, SIDE, SIDE, SIDE)
        expected = F.grid_sample(volume, positions.permute(1, 2, 0)[None, None], align_corners=True)
        torch.testing.assert_close(grid(positions), expected[0, 0, 0], rtol=1e-3, atol=1e-3)

    def test_the_corners_of_the_cube_are_in_it(self, field: RayContentField):
        grid = ProposalGrid(field.proposals[0])
        ends = torch.tensor([-1.0, 1.0]).expand(3, 2)[..., None]
        torch.testing.assert_close(grid(ends)[:, 0], grid.density[[0, -1]], rtol=1e-2, atol=1e-3)


class TestPlaces:
    def test_samples_lie_where_the_ball_begins(self, field: RayContentField, rays: RayBundle):
        """It is opaque: of rays that hit it, half of the samples or more lie around where they enter it."""
        edges = field.edges(rays)
        middles = (edges[1:] + edges[:-1]) / 2
        radius = 1 if bool(field.placement.bounded) else 2
        away = torch.tensor(CENTER) - rays.origins
        along = (away * rays.directions).sum(-1)
        past = (away.square().sum(-1) - along**2).sqrt()
        hit = past < 0.8 * radius
        entered = along - (radius**2 - past**2).clamp(min=0).sqrt()
        near = ((middles - entered).abs() < 0.3).float().mean(0)
        assert int(hit.sum()) > 50 and float(near[hit].mean()) > 0.5

    def test_they_are_as_many_as_are_asked_for_and_lie_one_behind_the_other(self, field: RayContentField, rays: RayBundle):
        edges = field.edges(rays)
        assert edges.shape == (17, 300) and bool((edges.diff(dim=0) > 0).all())
        near, far = field.bounds(rays)
        assert bool((edges[0] >= near[:, 0] - 1e-5).all()) and bool((edges[-1] <= far[:, 0] + 1e-4).all())

    def test_what_is_painted_moves_less_than_where_the_network_is_asked(
        self, field: RayContentField, rays: RayBundle, monkeypatch: pytest.MonkeyPatch
    ):
        """Seen along the same lines from further away: nothing should move at all."""

        def moved() -> float:
            before, total = field.look(rays, MERGING).points.positions, 0.0
            for step in (0.03, 0.1, 0.2, 0.4):
                further = dataclasses.replace(rays, origins=rays.origins - step * rays.directions)
                total += float((field.look(further, MERGING).points.positions - before).abs().mean())
            return total

        ours = moved()
        monkeypatch.setattr(type(field), "has_places", False)
        assert 0 < ours < 0.8 * moved()

    def test_training_asks_the_network_which_learns_from_it(self, field: RayContentField, rays: RayBundle):
        field.train()
        _, weights, samples = field.sample(rays)
        field.eval()
        assert len(weights) == len(samples) == 1
        assert field.sample(rays)[1:] == ([], [])

    def test_they_are_found_again_when_the_network_has_moved_on(self, field: RayContentField, rays: RayBundle):
        before, kept = field.edges(rays), field._places
        field.edges(rays)
        assert field._places is kept
        last = field.proposals[0].mlp.layers[-1]
        with torch.no_grad():
            last.weight.mul_(0.2)
        assert not torch.allclose(field.edges(rays), before)
        with torch.no_grad():
            last.weight.mul_(5)

    def test_steps_of_a_style_leave_what_was_found(self, field: RayContentField, rays: RayBundle):
        field.edges(rays)
        kept, style = field._places, torch.zeros(2, requires_grad=True)
        optimizer = torch.optim.Adam([style], fused=True)
        style.sum().backward()
        optimizer.step()
        field.edges(rays)
        assert field._places is kept

    @pytest.mark.parametrize(
        "settings", [HashSettings(), FrequencySettings(8, 8), GridSettings(num_proposal_samples=(8, 8))]
    )
    def test_other_kinds_have_none(self, settings: HashSettings):
        assert not getattr(settings.setup(), "has_places", False)


class TestQuantiles:
    def test_equal_parts_of_what_a_ray_has(self):
        """All in the second of four steps: its middle half holds the middle half."""
        shares = torch.tensor([[0.0], [0], [1], [1], [1]])
        edges = quantiles(shares, 4)[:, 0]
        torch.testing.assert_close(edges, 0.25 + 0.25 * torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9]))
