from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ins3d.files.pictures import read_rgb, write_rgb
from ins3d.perception.color_transfer import color_statistics
from ins3d.perception.features import PerceptualFeatures
from ins3d.perception.losses import grams_of, relative_gram_loss
from ins3d.perception.weights import load_encoder
from ins3d.pictures import pixel_optimization
from ins3d.pictures.pixel_objective import PixelObjective, PixelSettings
from ins3d.pictures.pixel_optimization import gatys, match_histograms, texture
from ins3d.style.losses import GATYS_LAYERS, STYLE_LOSSES

TinyVgg = Callable[..., dict[str, Tensor]]
LAYERS = ("relu1_1", "relu2_1")
SMALL = PixelSettings(
    long_sides=(24,), steps=40, style_layers=LAYERS, content_layers=("relu2_1",), content_weight=0.1, colors="none"
)


@pytest.fixture
def features(tiny_vgg: TinyVgg) -> PerceptualFeatures:
    return PerceptualFeatures(tiny_vgg(last=7), LAYERS + ("relu2_2",), "tiny", "average")


@pytest.fixture
def content() -> Tensor:
    """Grey, with a bright square; 24 high, 20 wide."""
    picture = torch.full((3, 24, 20), 0.4)
    picture[:, 8:16, 6:14] = 0.9
    return picture


@pytest.fixture
def style() -> Tensor:
    """Slanted red and blue stripes with a little noise, so that no channel is the image of another."""
    rows, columns = torch.meshgrid(torch.arange(24.0), torch.arange(24.0), indexing="ij")
    wave = 0.5 + 0.4 * torch.sin(1.3 * rows + 0.8 * columns)
    noise = torch.rand(3, 24, 24, generator=torch.Generator().manual_seed(3))
    return 0.9 * torch.stack([wave, 0.3 * torch.ones_like(wave), 1 - wave]) + 0.1 * noise


class Steps:
    """A report that keeps everything."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.losses: list[dict[str, float]] = []
        self.pictures: list[Tensor] = []

    def __call__(self, step: int, losses: dict[str, float], picture: Callable[[], Tensor]) -> None:
        self.numbers.append(step)
        self.losses.append(losses)
        self.pictures.append(picture())


def gram_distance(features: PerceptualFeatures, picture: Tensor, style: Tensor) -> float:
    grams, targets = (grams_of(features(seen[None], LAYERS)) for seen in (picture, style))
    return relative_gram_loss(grams, targets).item()


def far_from(picture: Tensor, other: Tensor) -> float:
    return (picture - other).square().mean().sqrt().item()


class TestGatys:
    @pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
    def test_style_distance_falls_to_a_third_in_forty_steps(self, features, content, style, optimizer):
        painted = gatys(content, style, features, replace(SMALL, optimizer=optimizer))
        assert gram_distance(features, painted, style) < gram_distance(features, content, style) / 3

    @pytest.mark.parametrize("loss", list(STYLE_LOSSES))
    def test_lowers_every_style_loss(self, features, content, style, loss):
        steps = Steps()
        gatys(content, style, features, replace(SMALL, steps=15, style_loss=(loss,)), steps)
        assert steps.losses[0][f"{loss}_loss"] == pytest.approx(1, rel=1e-3)
        assert min(losses[f"{loss}_loss"] for losses in steps.losses) < 0.8

    def test_keeps_the_content_when_its_weight_is_large(self, features, content, style):
        free, held = (gatys(content, style, features, replace(SMALL, content_weight=weight)) for weight in (0.1, 1000.0))
        assert far_from(held, content) < 0.25 * far_from(free, content)

    def test_gives_the_content_back_when_it_is_the_style_too(self, features, style):
        assert far_from(gatys(style, style, features, replace(SMALL, steps=10)), style) < 0.01

    @pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
    @pytest.mark.parametrize("long_sides", [(24,), (12, 24), (8, 16, 24)])
    def test_evaluates_exactly_as_often_as_it_is_told(self, features, content, style, optimizer, long_sides):
        seen, steps = [], Steps()
        features.register_forward_hook(lambda encoder, images, maps: seen.append(images[0].requires_grad))
        settings = replace(SMALL, steps=17, optimizer=optimizer, long_sides=long_sides)
        gatys(content, style, features, settings, steps)
        assert sum(seen) == 17 and steps.numbers == list(range(1, 18))

    def test_goes_on_for_as_long_as_it_is_told_where_nothing_is_left_to_do(self, features, style):
        steps = Steps()
        gatys(style, style, features, replace(SMALL, steps=50), steps)
        assert steps.numbers[-1] == 50

    def test_goes_from_coarse_to_fine_with_half_of_the_steps_each(self, features, content, style):
        steps = Steps()
        painted = gatys(content, style, features, replace(SMALL, long_sides=(12, 24), steps=9), steps)
        assert [tuple(picture.shape) for picture in steps.pictures] == [(3, 12, 10)] * 4 + [(3, 24, 20)] * 5
        assert painted.shape == (3, 24, 20)
        # The fine picture starts from what the coarse one reached, which the unstylised content is not.
        assert far_from(steps.pictures[4], content) > 0.02

    def test_first_losses_are_one_for_style_and_none_for_content(self, features, content, style):
        steps = Steps()
        gatys(content, style, features, replace(SMALL, steps=1, tv_weight=0.5), steps)
        assert steps.losses[0] == pytest.approx(
            {"total": 1.5, "content_loss": 0, "gram_loss": 1, "tv_loss": 1}, rel=1e-5, abs=1e-9
        )

    def test_same_seed_same_picture(self, features, content, style):
        settings = replace(SMALL, steps=8, style_loss=("swd",), optimizer="adam")
        pictures = [gatys(content, style, features, replace(settings, seed=seed)) for seed in (0, 0, 1)]
        assert torch.equal(pictures[0], pictures[1]) and not torch.equal(pictures[0], pictures[2])

    def test_returns_the_best_picture_it_has_seen(self, features, content, style, monkeypatch):
        steps = Steps()
        settings = replace(SMALL, steps=12, optimizer="adam")
        monkeypatch.setattr(pixel_optimization, "ADAM_RATE", 0.5)  # overshoots
        painted = gatys(content, style, features, settings, steps)
        assert torch.equal(painted, steps.pictures[-1])
        totals = [losses["total"] for losses in steps.losses]
        assert torch.equal(painted, steps.pictures[totals.index(min(totals))])

    def test_clamps_at_the_end(self, features, content, style):
        painted = gatys(content, style, features, replace(SMALL, content_weight=0.0))
        assert painted.min() >= 0 and painted.max() <= 1

    def test_stops_at_a_loss_that_is_not_a_number(self, features, content, style):
        broken = content.clone()
        broken[0, 3, 3] = float("nan")
        with pytest.raises(
            ValueError, match=r"^content_loss is nan at step 1; use optimizer adam, or give it less weight\.$"
        ):
            gatys(broken, style, features, SMALL)

    def test_refuses_a_size_at_which_the_encoder_sees_nothing(self, features, content, style):
        sentence = (
            r"^content: 2x3 pixels are too few for the encoder's deepest layer, which needs 4 a side; "
            r"use a larger size, or style and content layers less deep\.$"
        )
        with pytest.raises(ValueError, match=sentence):
            gatys(content, style, features, replace(SMALL, long_sides=(3,)))


class TestColors:
    def test_of_the_style_are_the_results_mean_and_covariance(self, features, content, style):
        painted = pixel_optimization._with_colors(content + 0.05 * style[:, :, :20], "style", content, style)
        found, wanted = (color_statistics(picture.flatten(1).T) for picture in (painted, style))
        torch.testing.assert_close(found.mean, wanted.mean, atol=1e-4, rtol=0)

    def test_of_the_style_come_before_too(self, features, content, style):
        steps = Steps()
        gatys(content, style, features, replace(SMALL, steps=1, colors="style"), steps)
        assert (steps.pictures[0].mean((1, 2)) - style.mean((1, 2))).abs().max() < 0.02

    def test_of_the_content_stay_but_for_their_brightness(self, features, content, style):
        colored = (content * torch.tensor([0.6, 0.9, 0.7]).reshape(3, 1, 1)).clamp(0.2, 0.8)
        painted = gatys(colored, style, features, replace(SMALL, steps=10, colors="content"))
        change = painted - colored
        inside = ((painted > 0) & (painted < 1)).all(0)
        assert inside.float().mean() > 0.5 and change.abs().max() > 0.02
        torch.testing.assert_close(change[0][inside], change[1][inside], atol=1e-5, rtol=0)
        torch.testing.assert_close(change[0][inside], change[2][inside], atol=1e-5, rtol=0)

    def test_none_leaves_them_to_the_losses(self, features, content, style):
        steps = Steps()
        gatys(content, style, features, replace(SMALL, steps=1), steps)
        assert torch.equal(steps.pictures[0], content)


class TestTexture:
    def test_has_the_size_asked_for(self, features, style):
        assert texture(style, features, replace(SMALL, steps=3)).shape == (3, 24, 24)
        assert texture(style, features, replace(SMALL, steps=3), height=16, width=37).shape == (3, 16, 37)
        assert texture(style, features, replace(SMALL, steps=4, long_sides=(12, 24)), width=30).shape == (3, 24, 30)

    def test_has_the_sources_values_in_every_channel(self, features, style):
        made = texture(style, features, replace(SMALL, steps=5))
        torch.testing.assert_close(made.flatten(1).sort().values, style.flatten(1).sort().values, atol=1e-4, rtol=0)

    def test_comes_nearer_to_the_source_than_noise(self, features, style):
        steps, noise = Steps(), texture(style, features, replace(SMALL, steps=1))
        made = texture(style, features, SMALL, report=steps)
        assert steps.losses[-1]["gram_loss"] < 1 / 3
        # Matched histograms know nothing of how channels go together, and give some of that back.
        assert gram_distance(features, made, style) < 0.7 * gram_distance(features, noise, style)

    def test_same_seed_same_picture(self, features, style):
        made = [texture(style, features, replace(SMALL, steps=3, seed=seed)) for seed in (0, 0, 1)]
        assert torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])

    def test_starts_from_noise_of_the_sources_mean_and_covariance(self, style):
        noise = pixel_optimization._noise(style, 300, 300, torch.Generator().manual_seed(0))
        found, wanted = (color_statistics(picture.flatten(1).T) for picture in (noise, style))
        torch.testing.assert_close(found.mean, wanted.mean, atol=5e-3, rtol=0)
        torch.testing.assert_close(found.covariance, wanted.covariance, atol=3e-3, rtol=0)

    def test_refuses_a_result_that_is_too_small(self, features, style):
        with pytest.raises(ValueError, match=r"^height and width: 24x3 pixels are too few .* needs 4 a side"):
            texture(style, features, SMALL, height=3)

    def test_needs_two_scales_to_be_twice_as_large(self, features, style):
        with pytest.raises(ValueError, match=r"needs 48 a side; use a larger size"):
            texture(style, features, replace(SMALL, style_scales=(1, 12)))


class TestMatchHistograms:
    def test_is_worked_out_by_hand(self):
        # Four values take the place of two: quantiles 1/8, 3/8, 5/8, 7/8 of (0, 1), whose own stand at 1/4 and 3/4.
        picture = torch.tensor([[[5.0, -1.0, 2.0, 3.0]]]).expand(3, -1, -1)
        source = torch.tensor([[[1.0, 0.0]]]).expand(3, -1, -1)
        assert match_histograms(picture, source)[0, 0].tolist() == [1.0, 0.0, 0.25, 0.75]

    def test_keeps_the_order_of_values(self, content, style):
        matched = match_histograms(torch.rand(3, 9, 7, generator=torch.Generator().manual_seed(0)), style)
        again = match_histograms(matched, style)
        torch.testing.assert_close(again, matched)


class TestPixelObjective:
    def test_total_variation_is_one_at_the_content_and_where_there_is_none_at_the_source(self, features, content, style):
        settings = replace(SMALL, tv_weight=1.0)
        painting, texture = PixelObjective(features, settings, style, content), PixelObjective(features, settings, style)
        painting.measure_normalisers(content, style[:, :, :20])
        texture.measure_normalisers(torch.rand(3, 16, 37), style)
        assert painting.losses(content)["tv_loss"].item() == pytest.approx(1)
        assert texture.losses(style)["tv_loss"].item() == pytest.approx(1) and "content_loss" not in texture.losses(style)

    def test_random_projections_stay_for_lbfgs_and_change_for_adam(self, features, content, style):
        for optimizer, same in (("lbfgs", True), ("adam", False)):
            settings = replace(SMALL, style_loss=("swd",), optimizer=optimizer)
            objective = PixelObjective(features, settings, style, content)
            values = [objective.losses(content)["swd_loss"].item() for _ in range(2)]
            assert (values[0] == values[1]) is same

    def test_the_style_may_be_looked_at_in_another_size_than_the_picture(self, features, content, style):
        settings = replace(SMALL, long_sides=(12, 24), style_size=18, steps=4)
        assert [settings.style_side(side) for side in settings.long_sides] == [9, 18]
        sizes = []
        features.register_forward_hook(lambda encoder, images, maps: sizes.append(tuple(images[0].shape[2:])))
        gatys(content, style, features, settings)
        assert {(9, 9), (18, 18)} < set(sizes) and (24, 24) not in sizes

    def test_content_is_one_at_the_style_picture(self, features, content, style):
        objective = PixelObjective(features, SMALL, style, content)
        objective.measure_normalisers(content, style[:, :, :20])
        assert objective.losses(style[:, :, :20])["content_loss"].item() == pytest.approx(1)
        assert objective.losses(content)["content_loss"].item() == 0

    def test_layers_are_gatys_for_statistics_and_their_own_for_neighbours(self):
        assert PixelSettings(style_loss=("gram", "statistics:2")).all_layers == GATYS_LAYERS
        settings = PixelSettings(style_loss=("gram", "nnfm:0.3"), content_layers=("relu2_1",))
        own = (*STYLE_LOSSES["gram"].layers, *STYLE_LOSSES["nnfm"].layers, "relu2_1")
        assert settings.all_layers == tuple(dict.fromkeys(own))
        assert PixelSettings(style_loss=("gram", "nnfm"), style_layers=LAYERS).all_layers == (*LAYERS, "relu4_1")

    def test_refuses_layers_that_the_encoder_was_not_built_for(self, features, content, style):
        with pytest.raises(ValueError, match=r"^style-layers: the encoder ends at relu2_2, before relu3_1"):
            PixelObjective(features, replace(SMALL, style_layers=("relu3_1",)), style, content)

    @pytest.mark.parametrize(
        ("wrong", "sentence"),
        [
            ({"steps": 0}, "steps: 0 is too few; use at least 1, one for each size."),
            ({"steps": 1, "long_sides": (12, 24)}, "steps: 1 is too few; use at least 2, one for each size."),
            ({"long_sides": (24, 12)}, "size: (24, 12) must grow, coarse to fine; use for example (128, 256)."),
            ({"long_sides": (0,)}, "size: (0,) must grow, coarse to fine; use for example (128, 256)."),
            ({"content_weight": -1.0}, "content-weight: -1.0 is too little; use 0 or more."),
            ({"tv_weight": float("nan")}, "tv-weight: nan is too little; use 0 or more."),
            ({"style_loss": ("gram:0",)}, "style-loss: every weight is 0; give one of them a weight above 0."),
            ({"style_scales": (0,)}, "style-scales: (0,) must hold 1, the pictures as they are, or more; use 1 2 4."),
            ({"style_scales": ()}, "style-scales: () must hold 1, the pictures as they are, or more; use 1 2 4."),
        ],
    )
    def test_refuses_bad_settings(self, wrong, sentence):
        with pytest.raises(ValueError) as error:
            replace(SMALL, **wrong)
        assert str(error.value) == sentence


@pytest.mark.weights
class TestWithVgg19:
    def test_paints_a_photograph(self, assets: Path, tmp_path: Path):
        weights = assets / "vgg" / "vgg19_caffe_conv1_1-conv4_1_f16.safetensors"
        settings = PixelSettings(long_sides=(32,), steps=12)
        features = load_encoder(weights, "vgg19", settings.all_layers, torch.device("cpu"), "average")
        content = read_rgb(assets / "images" / "kodak" / "03.png", "content")
        style = read_rgb(assets / "styles" / "starry_night.jpg", "styles")
        steps = Steps()
        write_rgb(tmp_path / "painted.png", gatys(content, style, features, settings, steps))
        assert min(losses["gram_loss"] for losses in steps.losses) < 0.6
