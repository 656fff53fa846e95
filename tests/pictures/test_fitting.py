import copy
import math

import pytest
import torch

from ins3d.pictures.content import make_picture_content
from ins3d.pictures.fitting import (
    PictureSource,
    PictureSubject,
    Training,
    WindowSampler,
    fit_losses,
    fit_picture,
)
from ins3d.pictures.rendering import StrengthMap, render_picture
from ins3d.pictures.stylized import StylizedPicture
from ins3d.style.mix import Mix
from ins3d.style.objective import StyleObjective
from ins3d.style.sampling import MixSampler
from ins3d.style.stage import StyleStage
from ins3d.style.windows import PatchSettings, plan_windows

CPU = torch.device("cpu")


@pytest.fixture
def objective(two_styles) -> StyleObjective:
    return two_styles(content_weight=0.3)


def windows(source: PictureSource, patch: int = 0) -> WindowSampler:
    plan = plan_windows((20, 28), 0, PatchSettings(patch, (1, 2))) if patch else None
    return WindowSampler(source, plan)


def stage_of(source: PictureSource, objective: StyleObjective, colors="none", patch: int = 0) -> StyleStage:
    field = StylizedPicture(make_picture_content("planes", 28), 2, 28, colors)
    return StyleStage(PictureSubject(field, source, windows(source, patch)), objective, MixSampler(2, (0, 1), seed=0))


class TestPictureSource:
    def test_returns_its_pixels_at_their_centres(self, source: PictureSource):
        seen = source.look(source.whole, (0.0, 0.0))
        torch.testing.assert_close(seen[0], source.rgb, atol=1e-5, rtol=0)

    def test_reads_between_pixels_linearly(self, source: PictureSource):
        seen = source.look(source.whole, (0.5, 0.0))[0]
        between = (source.rgb[..., :-1] + source.rgb[..., 1:]) / 2
        torch.testing.assert_close(seen[..., :-1], between, atol=1e-5, rtol=0)


class TestTraining:
    @pytest.mark.parametrize("network", ["planes", "siren", "fourier"])
    def test_a_picture_is_fitted(self, network: str, source: PictureSource):
        torch.manual_seed(0)
        content = make_picture_content(network, 28)
        training, losses = fit_picture(content, source, num_steps=400, num_points=400, seed=0)
        training.run(losses)
        picture = render_picture(content, source.whole, Mix((1.0,)), StrengthMap())
        assert -10 * math.log10(float(((picture - source.rgb) ** 2).mean())) > 35

    def test_a_stopped_run_that_is_resumed_ends_as_one_that_was_not(self, source: PictureSource):
        def begun() -> tuple[Training, object]:
            torch.manual_seed(0)
            return fit_picture(make_picture_content("planes", 28), source, num_steps=8, num_points=50, seed=0)

        whole, losses = begun()
        kept = {}

        def losses_of_a_step(step: int, generator: torch.Generator):
            found = losses(step, generator)
            if step == 3:  # stopped in the middle of the fourth, which has drawn random numbers
                kept["stopped"] = copy.deepcopy(whole.state())
            return found

        whole.run(losses_of_a_step)
        resumed, losses = begun()
        resumed.resume(kept["stopped"])
        steps = []
        resumed.run(losses, lambda step, _: steps.append(step))
        assert steps == [4, 5, 6, 7, 8]
        state = resumed.field.state_dict()
        assert all(torch.equal(value, state[name]) for name, value in whole.field.state_dict().items())

    def test_rates_fall_to_a_tenth(self, source: PictureSource):
        content = make_picture_content("siren", 28)
        training, losses = fit_picture(content, source, num_steps=10, num_points=10, seed=0)
        rates = []
        training.run(losses, lambda *_: rates.append(training.optimizer.param_groups[0]["lr"]))
        assert rates[0] == content.learning_rate and rates[-1] == pytest.approx(content.learning_rate * 0.1**0.9)

    def test_losses_that_are_no_numbers_stop_it(self):
        content = make_picture_content("siren", 28)
        training = Training(content, [{"params": list(content.parameters()), "lr": 1.0}], 5, 0)
        with pytest.raises(ValueError, match="at step 1; use smaller weights"):
            training.run(lambda *_: {"fit_loss": content.color.bias.sum() * float("nan")})

    def test_what_is_only_shown_is_not_minimised(self):
        weight = torch.nn.Linear(1, 1)
        training = Training(weight, [{"params": list(weight.parameters()), "lr": 0.1}], 1, 0)
        before = weight.bias.item()
        shown = []
        total = lambda *_: {"fit_loss": 0 * weight.bias.sum(), "psnr": 1e9 * weight.bias.sum()}  # noqa: E731
        training.run(total, lambda step, losses: shown.append(losses["total"]))
        assert shown == [0] and weight.bias.item() == before

    def test_places_lie_between_pixels_too(self, source: PictureSource):
        asked = []
        fit_losses(lambda positions: asked.append(positions) or positions.new_zeros(len(positions), 3), source, 1000)(
            0, torch.Generator().manual_seed(0)
        )
        assert float(asked[0][:, 0].abs().max()) == pytest.approx(1, abs=0.01)
        assert float(asked[0][:, 1].abs().max()) == pytest.approx(20 / 28, abs=0.01)
        assert len(asked[0].unique(dim=0)) == 1000


class TestWindowSampler:
    def test_all_of_the_picture(self, source: PictureSource):
        window, shift = windows(source)(0, torch.Generator().manual_seed(0))
        assert window == source.whole and all(abs(pixels) <= 0.5 for pixels in shift) and shift[0] != shift[1]

    def test_the_first_steps_see_it_at_half_its_size(self, source: PictureSource):
        coarse = WindowSampler(source, None, num_coarse=3)
        sizes = [coarse(step, torch.Generator())[0] for step in range(5)]
        assert [(window.height, window.width) for window in sizes] == [(10, 14)] * 3 + [(20, 28)] * 2
        assert all(window.bounds == source.whole.bounds for window in sizes)
        seen = source.look(sizes[0], (0.0, 0.0))[0]
        expected = source.rgb.reshape(3, 10, 2, 14, 2).mean((2, 4))
        torch.testing.assert_close(seen, expected, atol=1e-5, rtol=0)

    def test_patches_lie_in_the_picture_at_every_stride_and_reach_its_borders(self, source: PictureSource):
        generator = torch.Generator().manual_seed(0)
        drawn = [windows(source, patch=8)(0, generator)[0] for _ in range(400)]
        assert {round((window.bounds[2] - window.bounds[0]) * 28) for window in drawn} == {8, 16}
        assert all((window.height, window.width) == (8, 8) for window in drawn)
        lows, highs = zip(*[(window.bounds[:2], window.bounds[2:]) for window in drawn], strict=True)
        assert min(map(min, lows)) == 0 and max(map(max, highs)) == pytest.approx(1)

    def test_a_patch_sees_pixels_a_stride_apart(self, source: PictureSource):
        generator = torch.Generator().manual_seed(0)
        for _ in range(20):
            window, _ = windows(source, patch=4)(0, generator)
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
