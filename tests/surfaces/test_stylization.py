import copy

import pytest
import torch

from ins3d.runs.training import Training
from ins3d.style.draws import StyleDraws
from ins3d.style.mix import StyleMix, single_style
from ins3d.style.objective import StyleObjective
from ins3d.surfaces.cameras import cameras_around
from ins3d.surfaces.content import PlanesSurface
from ins3d.surfaces.stylization import SurfaceStyling
from ins3d.surfaces.stylized import StylizedSurface
from ins3d.surfaces.windows import SurfaceWindows, WindowSettings


@pytest.fixture
def objective(two_styles) -> StyleObjective:
    return two_styles(content_weight=0.1)


def styling(objective: StyleObjective, colors="none", bound: float = 0.0, **weights: float) -> SurfaceStyling:
    """A sphere of radius .6 with a colour that varies."""
    torch.manual_seed(0)
    content = PlanesSurface((8, 16), channels=4)
    for plane in content.planes.planes:
        plane.data.mul_(200)
    settings = WindowSettings(patch=16, strides=(1, 2), rays=4000)
    windows = SurfaceWindows(content, cameras_around(4, "y", 60), settings, torch.Generator().manual_seed(0))
    field = StylizedSurface(content, 2, colors, bound)
    draws = StyleDraws(2, (0, 1), seed=0, strength_share=0.2, mix_share=0.2)
    return SurfaceStyling(field, windows, objective, draws, 0, **weights)


class TestBegin:
    def test_losses_are_1_before_the_first_stroke(self, objective: StyleObjective):
        stage = styling(objective)
        stage.field.amalgamation.rgb_gate.data.fill_(1.0)
        stage.begin()
        rays = stage._fixed_rays()
        patches, masks = zip(*(stage._photographs(each, single_style(0, 2)) for each in rays), strict=True)
        together = torch.cat(patches)
        found = objective.losses(together, together, 0, torch.Generator().manual_seed(0), torch.cat(masks))
        assert float(found["gram_loss"]) == pytest.approx(1.0, rel=1e-4) and float(found["content_loss"]) < 1e-6

    def test_colours_are_those_of_the_style(self, objective: StyleObjective):
        stage = styling(objective, "style")
        stage.begin()
        rays = stage._fixed_rays()
        code = single_style(1, 2).code()
        seen = torch.cat([stage.field.colors.map(each.rgb, 1.0, code)[each.hit[:, 0] > 0] for each in rays])
        torch.testing.assert_close(seen.mean(0), objective.styles[1].colors.mean, atol=0.05, rtol=0)


class TestSteps:
    @pytest.mark.parametrize("bound", [0.0, 0.02])
    def test_bring_the_object_nearer_to_its_style(self, objective: StyleObjective, bound: float):
        stage = styling(objective, bound=bound)
        stage.begin()
        before = stage.gram_distance(0)
        Training(stage.field, stage.field.groups(), 60, 0).run(stage.losses)
        assert stage.gram_distance(0) < 0.8 * before

    def test_leave_the_content_as_it_was(self, objective: StyleObjective):
        stage = styling(objective, bound=0.02)
        before = copy.deepcopy(stage.field.content.state_dict())
        stage.begin()
        Training(stage.field, stage.field.groups(), 5, 0).run(stage.losses)
        assert all(torch.equal(value, before[name]) for name, value in stage.field.content.state_dict().items())

    def test_where_rays_miss_is_the_styles_mean_colour(self, objective: StyleObjective):
        stage = styling(objective)
        rays = stage._fixed_rays()[0]
        patch, mask = stage._photographs(rays, StyleMix((1.0, 1.0)))
        mean = (objective.styles[0].colors.mean + objective.styles[1].colors.mean) / 2
        empty = rays.hit.reshape(16, 16) == 0
        assert empty.any()
        torch.testing.assert_close(patch[0][:, empty], mean[:, None].expand(3, int(empty.sum())))
        assert not mask[0, 0][empty].any() and mask[0, 0][~empty].all()

    def test_are_the_same_for_the_same_seed(self, objective: StyleObjective):
        ends = []
        for _ in range(2):
            stage = styling(objective)
            stage.begin()
            Training(stage.field, stage.field.groups(), 4, 0).run(stage.losses)
            ends.append(stage.field.state_dict())
        assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


class TestDistilled:
    def test_retracing_an_unmoved_shape_finds_the_kept_hits(self, objective: StyleObjective):
        stage = styling(objective, bound=0.02)
        stage.field.amalgamation.density_gate.data.fill_(1.0)
        rays, mix = stage._fixed_rays()[0], single_style(0, 2)
        rgb, hit, positions = stage._retrace(rays, mix)
        assert torch.equal(hit, rays.hit)
        torch.testing.assert_close(positions, rays.positions[rays.hit[:, 0] > 0], atol=1e-3, rtol=0)
        torch.testing.assert_close(rgb, stage._paint(rays, mix) * hit, atol=0.02, rtol=0)

    def test_the_picture_pulls_at_the_shape(self, objective: StyleObjective):
        stage = styling(objective, bound=0.02, eikonal_weight=0.0, distance_weight=0.0)
        stage.begin()
        losses = stage.losses(0, torch.Generator().manual_seed(0))
        losses["gram_loss"].backward()
        gradients = [parameter.grad for parameter in stage.field.amalgamation.density_mlp.parameters()]
        assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)

    def test_a_heavy_distance_loss_keeps_the_shape(self, objective: StyleObjective):
        moved = []
        for weight in (0.0, 100.0):
            stage = styling(objective, bound=0.02, distance_weight=weight, eikonal_weight=0.0)
            stage.begin()
            Training(stage.field, stage.field.groups(), 30, 0).run(stage.losses)
            at = torch.nn.functional.normalize(torch.randn(500, 3, generator=torch.Generator().manual_seed(1)), dim=-1) * 0.6
            with torch.no_grad():
                shown = stage.field.shown(torch.tensor([1.0, 0.0])).signed_distance(at)
                moved.append(float((shown - stage.field.content.signed_distance(at)).abs().mean()))
        assert moved[1] < 0.3 * moved[0]

    def test_locked_asks_for_no_shape(self, objective: StyleObjective):
        stage = styling(objective)
        stage.begin()
        assert set(stage.losses(0, torch.Generator().manual_seed(0))) == {"content_loss", "gram_loss"}


def test_the_last_step_matches_colours_in_mode_style_alone(objective: StyleObjective):
    for mode, changes in (("style", True), ("none", False)):
        stage = styling(objective, mode)
        stage.begin()
        before = stage.field.colors.maps.clone()
        distances = [stage.gram_distance(style) for style in (0, 1)]
        stage.end()
        assert torch.equal(stage.field.colors.maps, before) is not changes
        assert all(stage.gram_distance(style) <= distances[style] + 1e-4 for style in (0, 1))
