import copy
import math

import pytest
import torch

from ins3d.pictures.content import make_picture_content
from ins3d.pictures.fitting import PictureSource, Training, fit_losses, fit_picture
from ins3d.pictures.rendering import StrengthMap, render_picture
from ins3d.style.mix import Mix


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
        ask = lambda positions, pixel: asked.append(positions) or positions.new_zeros(len(positions), 3)  # noqa: E731
        fit_losses(ask, [source], 1000)(0, torch.Generator().manual_seed(0))
        assert float(asked[0][:, 0].abs().max()) == pytest.approx(1, abs=0.01)
        assert float(asked[0][:, 1].abs().max()) == pytest.approx(20 / 28, abs=0.01)
        assert len(asked[0].unique(dim=0)) == 1000

    def test_every_second_step_sees_the_finest_picture_and_the_others_smaller_ones(self, source: PictureSource):
        pixels = []
        ask = lambda positions, pixel: pixels.append(pixel) or positions.new_zeros(len(positions), 3)  # noqa: E731
        losses = fit_losses(ask, [source.reduced(14), source], 10)
        for step in range(4):
            losses(step, torch.Generator().manual_seed(0))
        assert pixels == pytest.approx([2 / 14, 2 / 28, 2 / 28, 2 / 28])

    def test_a_picture_fitted_at_several_sizes_is_its_reduction_when_pixels_are_wide(self):
        # Stripes as fine as pixels, on a slope: half as large, the slope alone is left.
        rgb = torch.linspace(0.3, 0.7, 256).expand(3, 256, 256) + 0.25 * (torch.arange(256) % 2 * 2 - 1)
        source = PictureSource(rgb)
        torch.manual_seed(0)
        content = make_picture_content("planes", 256)
        content.finest = 2 / 256
        training, losses = fit_picture(content, source, num_steps=150, num_points=2000, seed=0)
        training.run(losses)
        small = render_picture(content, source.reduced(128).whole, Mix((1.0,)), StrengthMap())
        assert float((small - source.reduced(128).rgb).abs().mean()) < 0.03
        content.finest = None  # as a file of version 0.2: pixels are asked at their centres
        assert float((render_picture(content, source.reduced(128).whole, Mix((1.0,)), StrengthMap()) - small).std()) > 0.03
