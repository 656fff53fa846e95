import copy

import pytest
import torch

from ins3d.placement.cameras import cameras_around
from ins3d.runs.training import Training
from ins3d.style.mix import Mix, single_style
from ins3d.style.objective import StyleObjective
from ins3d.style.sampling import MixSampler
from ins3d.style.stage import StyleStage
from ins3d.style.windows import PatchSettings, plan_windows
from ins3d.surfaces import stylization
from ins3d.surfaces.content import PlanesSurface
from ins3d.surfaces.stylization import SurfaceSubject
from ins3d.surfaces.stylized import StylizedSurface
from ins3d.surfaces.windows import RayWeighting, SurfaceWindows


@pytest.fixture
def objective(two_styles) -> StyleObjective:
    return two_styles(content_weight=0.1)


def stage_of(objective: StyleObjective, colors="none", bound: float = 0.0) -> StyleStage:
    """A sphere of radius .6 with a colour that varies."""
    torch.manual_seed(0)
    content = PlanesSurface((8, 16), channels=4)
    for plane in content.planes.planes:
        plane.data.mul_(200)
    plan, cameras = plan_windows((120, 120), 4000, PatchSettings(16, (1, 2))), cameras_around(4, "y", 60)
    windows = SurfaceWindows(content, cameras, plan, RayWeighting(), torch.Generator().manual_seed(0))
    field = StylizedSurface(content, 2, colors, bound)
    return StyleStage(SurfaceSubject(field, windows, objective, 0), objective, MixSampler(2, (0, 1), seed=0))


class TestBegin:
    def test_losses_are_1_before_the_first_stroke(self, objective: StyleObjective):
        stage = stage_of(objective)
        stage.subject.field.amalgamation.rgb_gate.data.fill_(1.0)
        stage.begin()
        seen = stage.subject.fixed(single_style(0, 2), painted=True)
        found = objective.losses(seen.painted, seen.photographs, 0, torch.Generator().manual_seed(0), seen.mask)
        assert float(found["gram_loss"]) == pytest.approx(1.0, rel=1e-4) and float(found["content_loss"]) < 1e-6

    def test_colours_are_those_of_the_style(self, objective: StyleObjective):
        stage = stage_of(objective, "style")
        stage.begin()
        rays = stage.subject._fixed_rays()
        code = single_style(1, 2).code()
        seen = torch.cat([stage.subject.field.colors.map(each.rgb, 1.0, code)[each.hit[:, 0] > 0] for each in rays])
        torch.testing.assert_close(seen.mean(0), objective.styles[1].colors.mean, atol=0.05, rtol=0)


class TestSteps:
    @pytest.mark.parametrize("bound", [0.0, 0.02])
    def test_bring_the_object_nearer_to_its_style(self, objective: StyleObjective, bound: float):
        stage = stage_of(objective, bound=bound)
        stage.begin()
        before = stage.gram_distance(0)
        Training(stage.subject.field, stage.subject.field.groups(), 60, 0).run(stage.losses)
        assert stage.gram_distance(0) < 0.8 * before

    def test_leave_the_content_as_it_was(self, objective: StyleObjective):
        stage = stage_of(objective, bound=0.02)
        before = copy.deepcopy(stage.subject.field.content.state_dict())
        stage.begin()
        Training(stage.subject.field, stage.subject.field.groups(), 5, 0).run(stage.losses)
        assert all(torch.equal(value, before[name]) for name, value in stage.subject.field.content.state_dict().items())

    def test_where_rays_miss_is_the_styles_mean_colour(self, objective: StyleObjective):
        stage = stage_of(objective)
        rays = stage.subject._fixed_rays()[0]
        seen = stage.subject.look(rays, Mix((1.0, 1.0)), torch.Generator())
        assert seen.mask is not None
        mask = seen.mask
        mean = (objective.styles[0].colors.mean + objective.styles[1].colors.mean) / 2
        empty = rays.hit.reshape(16, 16) == 0
        assert empty.any()
        for patch in (seen.painted, seen.photographs):
            torch.testing.assert_close(patch[0][:, empty], mean[:, None].expand(3, int(empty.sum())))
        assert not mask[0, 0][empty].any() and mask[0, 0][~empty].all()

    def test_are_the_same_for_the_same_seed(self, objective: StyleObjective):
        ends = []
        for _ in range(2):
            stage = stage_of(objective)
            stage.begin()
            Training(stage.subject.field, stage.subject.field.groups(), 4, 0).run(stage.losses)
            ends.append(stage.subject.field.state_dict())
        assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


class TestDistilled:
    def test_retracing_an_unmoved_shape_finds_the_kept_hits(self, objective: StyleObjective):
        stage = stage_of(objective, bound=0.02)
        stage.subject.field.amalgamation.density_gate.data.fill_(1.0)
        rays, mix = stage.subject._fixed_rays()[0], single_style(0, 2)
        rgb, hit, positions = stage.subject._retrace(rays, mix)
        assert torch.equal(hit, rays.hit)
        torch.testing.assert_close(positions, rays.positions[rays.hit[:, 0] > 0], atol=1e-3, rtol=0)
        torch.testing.assert_close(rgb, stage.subject._paint(rays, mix) * hit, atol=0.02, rtol=0)

    def test_the_picture_pulls_at_the_shape(self, objective: StyleObjective):
        stage = stage_of(objective, bound=0.02)
        stage.begin()
        losses = stage.losses(0, torch.Generator().manual_seed(0))
        losses["gram_loss"].backward()
        gradients = [parameter.grad for parameter in stage.subject.field.amalgamation.density_mlp.parameters()]
        assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)

    def test_a_heavy_distance_loss_keeps_the_shape(self, objective: StyleObjective, monkeypatch: pytest.MonkeyPatch):
        moved = []
        monkeypatch.setattr(stylization, "EIKONAL_WEIGHT", 0.0)
        for weight in (0.0, 100.0):
            monkeypatch.setattr(stylization, "DISTANCE_WEIGHT", weight)
            stage = stage_of(objective, bound=0.02)
            stage.begin()
            Training(stage.subject.field, stage.subject.field.groups(), 30, 0).run(stage.losses)
            at = torch.nn.functional.normalize(torch.randn(500, 3, generator=torch.Generator().manual_seed(1)), dim=-1) * 0.6
            with torch.no_grad():
                shown = stage.subject.field.shown(torch.tensor([1.0, 0.0])).signed_distance(at)
                moved.append(float((shown - stage.subject.field.content.signed_distance(at)).abs().mean()))
        assert moved[1] < 0.3 * moved[0]

    def test_locked_asks_for_no_shape(self, objective: StyleObjective):
        stage = stage_of(objective)
        stage.begin()
        assert set(stage.losses(0, torch.Generator().manual_seed(0))) == {"content_loss", "gram_loss"}


def test_the_last_step_matches_colours_in_mode_style_alone(objective: StyleObjective):
    for mode, changes in (("style", True), ("none", False)):
        stage = stage_of(objective, mode)
        stage.begin()
        before = stage.subject.field.colors.maps.clone()
        distances = [stage.gram_distance(style) for style in (0, 1)]
        stage.end()
        assert torch.equal(stage.subject.field.colors.maps, before) is not changes
        assert all(stage.gram_distance(style) <= distances[style] + 1e-4 for style in (0, 1))
