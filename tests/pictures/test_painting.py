import pytest
import torch

from ins3d.pictures.content import make_picture_content
from ins3d.pictures.fitting import PictureSource, Training, fit_picture
from ins3d.pictures.painting import Look, PictureSubject, SizedStages, WindowSampler, windows_of
from ins3d.pictures.rendering import StrengthMap, render_picture
from ins3d.pictures.sizes import Sizes
from ins3d.pictures.stylized import StylizedPicture
from ins3d.style.mix import Mix
from ins3d.style.objective import StyleObjective
from ins3d.style.sampling import MixSampler
from ins3d.style.stage import StyleStage
from ins3d.style.windows import PatchSettings, plan_windows


@pytest.fixture
def objective(two_styles) -> StyleObjective:
    return two_styles(content_weight=0.3)


def windows(source: PictureSource, patch: int = 0) -> WindowSampler:
    plan = plan_windows((20, 28), 0, PatchSettings(patch, (1, 2))) if patch else None
    return WindowSampler(source, plan)


def stage_of(source: PictureSource, objective: StyleObjective, colors="none", patch: int = 0) -> StyleStage:
    field = StylizedPicture(make_picture_content("planes", 28), 2, 28, colors)
    return StyleStage(PictureSubject(field, source, windows(source, patch)), objective, MixSampler(2, (0, 1), seed=0))


class TestWindowSampler:
    def test_all_of_the_picture_moved_by_less_than_the_encoders_grid(self, source: PictureSource):
        generator = torch.Generator().manual_seed(0)
        drawn = [windows(source)(generator) for _ in range(200)]
        assert all(window == source.whole for window, _ in drawn)
        across = [shift[0] for _, shift in drawn]
        assert -4 < min(across) < -3.5 and 3.5 < max(across) < 4 and drawn[0][1][0] != drawn[0][1][1]

    def test_patches_lie_in_the_picture_at_every_stride_and_reach_its_borders(self, source: PictureSource):
        generator = torch.Generator().manual_seed(0)
        drawn = [windows(source, patch=8)(generator)[0] for _ in range(400)]
        assert {round((window.bounds[2] - window.bounds[0]) * 28) for window in drawn} == {8, 16}
        assert all((window.height, window.width) == (8, 8) for window in drawn)
        lows, highs = zip(*[(window.bounds[:2], window.bounds[2:]) for window in drawn], strict=True)
        assert min(map(min, lows)) == 0 and max(map(max, highs)) == pytest.approx(1)

    def test_a_patch_sees_pixels_a_stride_apart(self, source: PictureSource):
        generator = torch.Generator().manual_seed(0)
        for _ in range(20):
            window, _ = windows(source, patch=4)(generator)
            stride = round((window.bounds[2] - window.bounds[0]) * 28) // 4
            column, row = round(window.bounds[0] * 28), round(window.bounds[1] * 20)
            crop = source.rgb[:, row : row + 4 * stride, column : column + 4 * stride].reshape(3, 4, stride, 4, stride)
            seen = source.look(window, (0.0, 0.0))[0]
            # The middle of stride x stride pixels; between two of them, their mean.
            expected = crop[:, :, 0, :, 0] if stride == 1 else crop.mean((2, 4))
            torch.testing.assert_close(seen, expected, atol=1e-5, rtol=0)


class TestPictureSubject:
    @pytest.mark.parametrize("patch", [0, 10])
    @pytest.mark.parametrize("colors", ["none", "content"])  # `style` sends these stripes' colours out of [0, 1]
    def test_style_losses_are_1_at_the_start(self, colors: str, patch: int, source, objective: StyleObjective):
        stage = stage_of(source, objective, colors, patch)
        fit, losses = fit_picture(stage.subject.field.content.requires_grad_(True), source, 150, 400, seed=0)
        fit.run(losses)
        stage.mixes = MixSampler(2, (0, 1), seed=0, partial=0.0, blended=0.0)
        with torch.no_grad():
            stage.subject.field.amalgamation.rgb_gate.fill_(1.0)  # before any stroke
        stage.begin()
        assert objective.normalisers is not None and objective.normalisers.shape == (2, 2)
        assert bool((objective.normalisers > 0).all())
        found = [float(stage.losses(step, torch.Generator().manual_seed(step))["gram_loss"].detach()) for step in range(8)]
        # The fit is not the photograph, and windows differ.
        assert found == pytest.approx([1.0] * 8, abs=0.3)

    def test_content_is_1_at_another_place_even_when_all_of_the_picture_is_looked_at(self, source, objective):
        stage = stage_of(source, objective)
        stage.begin()
        photographs = source.look(source.whole, (0.0, 0.0))
        other = photographs.roll(14, -1)
        found = objective.losses(other, photographs, 0, torch.Generator())["content_loss"]
        assert 0.3 < float(found) < 2

    def test_training_brings_the_picture_nearer_to_both_styles(self, source, objective: StyleObjective):
        torch.manual_seed(0)
        stage = stage_of(source, objective, "style")
        fit, losses = fit_picture(stage.subject.field.content.requires_grad_(True), source, 100, 400, seed=0)
        fit.run(losses)
        stage.subject.field.content.requires_grad_(False)
        stage.begin()
        Training(stage.subject.field, stage.subject.field.groups(), 60, 0).run(stage.losses)
        stage.end()
        for style in (0, 1):
            mix = Mix(tuple(float(index == style) for index in (0, 1)))
            painted = render_picture(stage.subject.field, source.whole, mix, StrengthMap())
            before = objective.gram_distance(source.rgb[None], style)
            assert float(objective.gram_distance(painted[None], style)) < 0.8 * float(before)
        plain = render_picture(stage.subject.field, source.whole, mix, StrengthMap(0.0))
        content = render_picture(stage.subject.field.content, source.whole, mix, StrengthMap())
        assert torch.equal(plain, content)

    def test_in_the_styles_colours_the_end_brings_them_nearer(self, source, objective: StyleObjective):
        stage = stage_of(source, objective, "style")
        stage.begin()
        painted = [render_picture(stage.subject.field, source.whole, Mix((1.0, 0.0)), StrengthMap())]
        stage.end()
        painted.append(render_picture(stage.subject.field, source.whole, Mix((1.0, 0.0)), StrengthMap()))
        before, after = (float(objective.gram_distance(picture[None], 0)) for picture in painted)
        assert after < before  # an untrained content is grey, and there is something to be matched

    @pytest.mark.parametrize("colors", ["none", "content"])
    def test_other_colours_have_no_map(self, colors: str, source, objective: StyleObjective):
        stage = stage_of(source, objective, colors)
        before = stage.subject.field.colors.maps.clone()
        stage.begin()
        stage.end()
        assert torch.equal(stage.subject.field.colors.maps, before)


class TestWindowsOf:
    def test_small_pictures_are_seen_whole_and_large_ones_in_windows(self):
        small, large = (PictureSource(torch.zeros(3, 200, width)) for width in (400, 700))
        assert windows_of(small, PatchSettings()).plan is None
        plan = windows_of(large, PatchSettings()).plan
        assert plan is not None and plan.patch == 200 and plan.strides == (1,)
        assert windows_of(large, PatchSettings(size=0)).plan is None

    def test_windows_that_are_asked_for_are_those_of_the_finest_size(self, source: PictureSource):
        patches = PatchSettings(size=14, strides=(1,))
        assert windows_of(source, patches).plan.patch == 14
        assert windows_of(source.reduced(16), patches, finest=False).plan is None

    def test_windows_larger_than_the_picture_are_refused(self, source: PictureSource):
        with pytest.raises(ValueError, match="patches.size"):
            windows_of(source, PatchSettings(size=21))

    def test_wide_pixels_show_the_photograph_reduced(self):
        rows = torch.arange(32) % 2 * 1.0
        source = PictureSource(rows.expand(3, 32, 32).contiguous())
        sampler = windows_of(source, PatchSettings(size=8, strides=(2,)))
        window, _ = sampler(torch.Generator().manual_seed(0))
        assert float(source.look(window, (0.0, 0.0)).std()) < 0.2  # the stripes are gone: 0.5 when read at points


class TestSizedStages:
    def test_coarse_steps_paint_small_pictures_and_fine_ones_large_ones(self, source, two_styles):
        field = StylizedPicture(make_picture_content("planes", 28), 2, 28, "none")
        looks = [
            Look(each, WindowSampler(each, None), two_styles(content_weight=0.3)) for each in (source.reduced(14), source)
        ]
        stages = SizedStages(field, looks, Sizes((14, 28), (0.5, 1.0)), MixSampler(2, (0, 1), 0), 4)
        stages.begin()
        asked = []
        field.register_forward_pre_hook(lambda _, given: asked.append(given[2]))
        for step in range(4):
            stages.losses(step, torch.Generator().manual_seed(0))
        assert asked == pytest.approx([2 / 14, 2 / 14, 2 / 28, 2 / 28])
