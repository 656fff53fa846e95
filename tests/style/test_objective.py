from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from jaxtyping import TypeCheckError
from torch import Tensor

from ins3d.files.pictures import write_rgb
from ins3d.perception.features import PerceptualFeatures
from ins3d.perception.losses import relative_gram_loss, statistics_loss, statistics_of
from ins3d.style.losses import LOSSES, STYLE_LOSSES
from ins3d.style.mix import Mix, single_style
from ins3d.style.objective import StyleObjective
from ins3d.style.styles import parse_style
from ins3d.style.targets import StyleView, style_target

STYLE_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
CONTENT_LAYERS = ("relu2_2",)
TinyVgg = Callable[..., dict[str, Tensor]]
MakeObjective = Callable[..., StyleObjective]
WEIGHTS = {"content_loss": 1.0, "gram_loss": 2.0}
EVERY_WEIGHT = {"content_loss": 1.0, **{f"{name}_loss": 1.0 for name in STYLE_LOSSES}, "tv_loss": 1.0}


def gram_chw(features: Tensor) -> Tensor:
    return torch.einsum("bchw,bdhw->bcd", features, features) / features[0].numel()


@pytest.fixture
def pictures(random: torch.Generator) -> Tensor:
    """Two styles in the 256 steps that picture files have."""
    return torch.randint(0, 256, (2, 3, 40, 40), generator=random) / 255


@pytest.fixture
def patches(random: torch.Generator) -> Tensor:
    return 0.6 * torch.rand(2, 3, 32, 32, generator=random)


@pytest.fixture
def photographs(random: torch.Generator) -> Tensor:
    return torch.rand(2, 3, 32, 32, generator=random)


@pytest.fixture
def half_mask() -> Tensor:
    mask = torch.zeros(2, 1, 32, 32)
    mask[..., 16:] = 1
    return mask


@pytest.fixture
def make(tmp_path: Path, pictures: Tensor) -> MakeObjective:
    """Each of the pictures is a style, seen at its own size."""

    def make(state: dict[str, Tensor], weights: dict[str, float], content_layers=CONTENT_LAYERS, **view) -> StyleObjective:
        named = [name.removesuffix("_loss") for name in weights]
        losses = tuple(name for name in named if LOSSES[name].pulls_to == "style")
        looked_at = StyleView(**({"losses": losses, "layers": STYLE_LAYERS, "long_side": 40} | view))
        layers = tuple(dict.fromkeys([*looked_at.all_layers, *content_layers]))
        features = PerceptualFeatures(state, layers, source="tiny")
        styles = []
        for number, picture in enumerate(pictures):
            write_rgb(tmp_path / f"style {number}.png", picture)
            path = tmp_path / f"style {number}.png"
            styles.append(style_target(parse_style(str(path), "styles"), features, looked_at, torch.device("cpu")))
        return StyleObjective(features, styles, looked_at, content_layers, weights)

    return make


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(4)


def measure(objective: StyleObjective, patches: Tensor, photographs: Tensor, mask: Tensor | None = None) -> Tensor:
    styles = range(len(objective.styles))
    rows = [objective.measure_normalisers(patches, photographs, style, seeded(), mask) for style in styles]
    return torch.stack(rows)


class TestRawValues:
    @pytest.fixture
    def objective(self, tiny_vgg: TinyVgg, make: MakeObjective) -> StyleObjective:
        return make(tiny_vgg("vgg16"), WEIGHTS)

    def test_content_loss_is_zero_at_the_photograph(self, objective: StyleObjective, photographs: Tensor):
        losses = objective.losses(photographs, photographs, 0, seeded())
        assert list(losses) == ["content_loss", "gram_loss"]
        assert losses["content_loss"].item() == 0 and losses["gram_loss"].item() > 0.01

    def test_style_loss_is_zero_at_the_style_that_was_asked_for(self, objective, pictures: Tensor):
        both = [objective.losses(pictures[1:], pictures[:1], style, seeded())["gram_loss"].item() for style in (1, 0)]
        assert both[0] < 1e-4 < 1e-2 < both[1]

    def test_are_their_formulas_written_out_without_weights(self, objective: StyleObjective, patches, photographs):
        losses = objective.losses(patches, photographs, 1, seeded())
        seen, wanted = objective.features(patches), objective.features(photographs)["relu2_2"]
        torch.testing.assert_close(losses["content_loss"], ((seen["relu2_2"] - wanted) ** 2).mean())
        targets = objective.styles[1].grams
        distances = [
            (gram_chw(seen[layer]) - targets[layer]).flatten(1).norm(dim=1).mean() / targets[layer].norm()
            for layer in STYLE_LAYERS
        ]
        torch.testing.assert_close(losses["gram_loss"], sum(distances) / 4)

    def test_several_styles_losses_and_total_variation_stand_side_by_side(self, tiny_vgg, make, patches, photographs):
        objective = make(tiny_vgg("vgg16"), EVERY_WEIGHT, layers=())
        losses = objective.losses(patches, photographs, 0, seeded())
        assert list(losses) == list(EVERY_WEIGHT) == objective.terms
        right, down = patches.diff(dim=3).abs().mean(), patches.diff(dim=2).abs().mean()
        torch.testing.assert_close(losses["tv_loss"], right + down)
        for name, loss in STYLE_LOSSES.items():
            maps = objective.features(patches, loss.layers)
            expected = loss.compare(maps, objective.styles[0].references[name], None, seeded())
            torch.testing.assert_close(losses[f"{name}_loss"], expected)

    def test_of_weight_0_are_not_computed(self, tiny_vgg: TinyVgg, make, patches, photographs):
        objective = make(tiny_vgg("vgg16"), {"content_loss": 0.0, "gram_loss": 1.0, "swd_loss": 0.0, "tv_loss": 0.0})
        assert list(objective.losses(patches, photographs, 0, seeded())) == ["gram_loss"] == objective.terms

    def test_of_several_scales_are_sums_over_pictures_shrunk_by_each(
        self, tiny_vgg: TinyVgg, make, pictures, patches, photographs
    ):
        state, layers = tiny_vgg("vgg16"), ("relu1_2", "relu2_2")
        objective = make(state, {"content_loss": 1.0, "statistics_loss": 1.0}, layers=layers, scales=(1, 2))
        losses, expected = objective.losses(patches, photographs, 1, seeded()), torch.zeros(())
        for scale in (1, 2):
            shrunk = (
                which.unfold(2, scale, scale).unfold(3, scale, scale).mean((4, 5)) for which in (patches, pictures[1:])
            )
            expected = expected + statistics_loss(*(statistics_of(objective.features(which, layers)) for which in shrunk))
        torch.testing.assert_close(losses["statistics_loss"], expected, rtol=1e-4, atol=1e-6)
        # Content is compared at full size alone.
        full_size = make(state, {"content_loss": 1.0}, layers=layers).losses(patches, photographs, 1, seeded())
        torch.testing.assert_close(losses["content_loss"], full_size["content_loss"])

    @pytest.mark.parametrize("weights", [WEIGHTS, EVERY_WEIGHT], ids=["default", "every loss"])
    def test_a_full_mask_changes_nothing_and_a_half_one_does(
        self, weights, tiny_vgg: TinyVgg, make, patches, photographs, half_mask: Tensor
    ):
        objective = make(tiny_vgg("vgg16"), weights)
        without, full, half = (
            objective.losses(patches, photographs, 0, seeded(), mask)
            for mask in (None, torch.ones_like(half_mask), half_mask)
        )
        torch.testing.assert_close(full, without)
        assert all(abs(half[name] - without[name]) > 1e-4 * without[name] for name in without)

    def test_an_empty_mask_gives_finite_losses_and_gradients(self, tiny_vgg: TinyVgg, make, patches, photographs, half_mask):
        patches.requires_grad_()
        losses = make(tiny_vgg("vgg16"), EVERY_WEIGHT).losses(patches, photographs, 0, seeded(), 0 * half_mask)
        sum(losses.values()).backward()
        assert patches.grad is not None and patches.grad.isfinite().all()

    def test_one_style_serves_several_patches(self, objective: StyleObjective, random: torch.Generator):
        patches, photographs = torch.rand(2, 3, 3, 32, 32, generator=random)
        together = objective.losses(patches, photographs, 0, seeded())["gram_loss"]
        alone = [objective.losses(patches[i : i + 1], photographs[i : i + 1], 0, seeded())["gram_loss"] for i in range(3)]
        torch.testing.assert_close(together, torch.stack(alone).mean())

    def test_gradients_reach_the_patches_and_nothing_else(self, objective, patches, photographs):
        patches.requires_grad_(), photographs.requires_grad_()
        sum(objective.losses(patches, photographs, 0, seeded()).values()).backward()
        assert patches.grad is not None and patches.grad.abs().max() > 0 and photographs.grad is None

    def test_refuses_patches_that_are_not_as_large_or_as_many_as_photographs(self, objective, patches, photographs):
        for wrong in (patches[..., :16], patches[:1]):
            with pytest.raises(TypeCheckError):
                objective.losses(wrong, photographs, 0, seeded())


class TestWeightedLosses:
    @pytest.fixture
    def objective(self, tiny_vgg: TinyVgg, make: MakeObjective) -> StyleObjective:
        return make(tiny_vgg("vgg16"), {"content_loss": 0.3, "gram_loss": 2.0, "statistics_loss": 0.5})

    def test_a_style_alone_counts_as_it_is_weighted(self, objective: StyleObjective, patches, photographs):
        alone = objective.losses(patches, photographs, 1, seeded())
        weighted = objective.weighted_losses(patches, photographs, single_style(1, 2), seeded())
        assert weighted.keys() == alone.keys()
        for name, value in weighted.items():
            torch.testing.assert_close(value, objective.weights[name] * alone[name])

    def test_a_blend_lies_as_far_between_two_styles_as_its_shares_say(self, objective: StyleObjective, patches, photographs):
        objective.normalisers = measure(objective, patches, photographs, None)
        first, second = (style.references["gram"] for style in objective.styles)

        def judged(place: float, mix: Mix) -> float:
            """As if the patches' Gram matrices lay on the way from the first style's to the second's."""

            def compare(seen, style, *_):
                grams = {layer: torch.lerp(first[layer], second[layer], place) for layer in first}
                return dict.fromkeys(objective.terms, torch.tensor(1.0)) | {
                    "gram_loss": relative_gram_loss(grams, objective.styles[style].references["gram"])
                }

            objective.apart  # noqa: B018  is measured with the real losses
            real, objective._compare = objective._compare, compare
            try:
                return float(objective.weighted_losses(patches, photographs, mix, seeded())["gram_loss"])
            finally:
                objective._compare = real

        for share in (0.2, 0.5, 0.8):
            places = [number / 20 for number in range(21)]
            values = [judged(place, Mix((1 - share, share))) for place in places]
            assert places[values.index(min(values))] == pytest.approx(share)

    def test_patches_are_looked_at_once_however_many_styles_there_are(self, objective, patches, photographs):
        objective.apart  # noqa: B018  is measured once, before
        looks = []
        see = objective._see
        objective._see = lambda *arguments: looks.append(1) or see(*arguments)
        objective.weighted_losses(patches, photographs, Mix((1.0, 1.0)), seeded())
        assert len(looks) == 1

    def test_what_is_not_the_styles_own_counts_by_shares_alone(self, objective: StyleObjective, patches, photographs):
        each = [objective.weighted_losses(patches, photographs, single_style(style, 2), seeded()) for style in (0, 1)]
        blend = objective.weighted_losses(patches, photographs, Mix((1.0, 3.0)), seeded())
        expected = 0.25 * each[0]["content_loss"] + 0.75 * each[1]["content_loss"]
        torch.testing.assert_close(blend["content_loss"], expected)

    def test_a_blend_of_nearly_one_style_is_judged_as_that(self, objective: StyleObjective, patches, photographs):
        alone = objective.weighted_losses(patches, photographs, single_style(1, 2), seeded())
        nearly = objective.weighted_losses(patches, photographs, Mix((1e-6, 1.0)), seeded())
        for name, value in nearly.items():
            torch.testing.assert_close(value, alone[name], rtol=1e-3, atol=0)

    def test_a_blends_gradients_are_finite_where_no_style_has_more_direction(self, tiny_vgg: TinyVgg, make):
        objective = make(tiny_vgg("vgg16"), {"coherence_loss": 1.0}, layers=())  # of two pictures of noise
        stripes = torch.sin(torch.arange(32.0)).expand(1, 3, 32, 32).clone().requires_grad_(True)
        blend = objective.weighted_losses(stripes, stripes.detach(), Mix((1.0, 1.0)), seeded())["coherence_loss"]
        blend.backward()
        assert blend.item() < 1e-5 and stripes.grad is not None and bool(stripes.grad.isfinite().all())

    def test_a_blends_gradients_are_finite_where_the_content_is_as_it_was(self, objective: StyleObjective, photographs):
        patches = photographs.clone().requires_grad_()
        sum(objective.weighted_losses(patches, photographs, Mix((1.0, 1.0)), seeded()).values()).backward()
        assert patches.grad is not None and patches.grad.isfinite().all() and patches.grad.abs().max() > 0

    def test_weaker_strokes_are_held_to_the_content(self, tiny_vgg: TinyVgg, make):
        objective = make(tiny_vgg("vgg16"), {"content_loss": 0.1, "gram_loss": 2.0, "tv_loss": 0.0})
        assert objective.weights_at(1.0) == objective.weights
        expected = {"content_loss": pytest.approx(0.1 + 0.3 * 0.75), "gram_loss": 0.5, "tv_loss": 0.0}
        assert objective.weights_at(0.25) == expected
        assert "content_loss" not in make(tiny_vgg("vgg16"), {"gram_loss": 2.0}).weights_at(0.25)


class TestNormalisers:
    @pytest.mark.parametrize("masked", [False, True])
    def test_every_style_loss_is_1_where_the_style_stage_starts(
        self, masked, tiny_vgg: TinyVgg, make, patches, photographs, half_mask
    ):
        mask = half_mask if masked else None
        objective = make(tiny_vgg("vgg16"), EVERY_WEIGHT)
        objective.normalisers = measure(objective, patches, photographs, mask)
        assert objective.normalisers.shape == (2, len(EVERY_WEIGHT))
        for style in (0, 1):
            losses = objective.losses(patches, photographs, style, seeded(), mask)
            for name in STYLE_LOSSES:
                assert losses[f"{name}_loss"].item() == pytest.approx(1, rel=1e-5), name

    def test_content_is_1_at_another_photograph_and_0_at_its_own(self, tiny_vgg, make, patches, photographs):
        objective = make(tiny_vgg("vgg16"), WEIGHTS)
        objective.normalisers = measure(objective, patches, photographs)
        other, own = (objective.losses(seen, photographs, 1, seeded()) for seen in (photographs.flip(0), photographs))
        assert other["content_loss"].item() == pytest.approx(1) and own["content_loss"].item() == 0

    def test_total_variation_is_1_at_the_photographs(self, tiny_vgg: TinyVgg, make, patches, photographs):
        objective = make(tiny_vgg("vgg16"), {"gram_loss": 1.0, "tv_loss": 0.1})
        objective.normalisers = measure(objective, patches, photographs)
        losses = objective.losses(photographs, photographs, 0, seeded())
        assert losses["tv_loss"].item() == pytest.approx(1)
        assert objective.losses(patches, photographs, 0, seeded())["tv_loss"].item() == pytest.approx(0.6, rel=0.1)

    def test_a_loss_that_is_a_share_is_divided_by_nothing(self, tiny_vgg: TinyVgg, make, patches, photographs):
        objective = make(tiny_vgg("vgg16"), {"gram_loss": 1.0, "coherence_loss": 2.0}, layers=())
        raw = objective.losses(patches, photographs, 0, seeded())
        objective.normalisers = measure(objective, patches, photographs)
        found = objective.losses(patches, photographs, 0, seeded())
        assert found["coherence_loss"] == raw["coherence_loss"] and 0 < raw["coherence_loss"] < 1
        assert found["gram_loss"] != raw["gram_loss"]

    def test_losses_are_raw_values_divided_by_normalisers(self, tiny_vgg: TinyVgg, make, patches, photographs):
        objective = make(tiny_vgg("vgg16"), EVERY_WEIGHT)
        raw = objective.losses(patches, photographs, 1, seeded())
        objective.normalisers = 1 + torch.arange(2.0 * len(raw)).reshape(2, -1)
        for term, (name, value) in enumerate(objective.losses(patches, photographs, 1, seeded()).items()):
            torch.testing.assert_close(value, raw[name] / (1 + len(raw) + term))

    def test_that_would_be_0_are_1(self, tiny_vgg: TinyVgg, make, patches):
        # Of one grey picture only, content and total variation have nothing to measure.
        objective = make(tiny_vgg("vgg16"), {"content_loss": 1.0, "gram_loss": 1.0, "tv_loss": 1.0})
        gray = torch.full((2, 3, 32, 32), 0.5)
        normalisers = measure(objective, patches, gray)
        assert normalisers[:, 0].tolist() == normalisers[:, 2].tolist() == [1, 1]
        objective.normalisers = normalisers
        assert all(value.isfinite() for value in objective.losses(patches, gray, 0, seeded()).values())

    @pytest.mark.parametrize("name", STYLE_LOSSES)
    def test_make_losses_free_of_the_scale_of_the_last_layer(self, name: str, tiny_vgg, make, patches, photographs):
        state = tiny_vgg("vgg16", last=10)
        doubled = state | {f"features.10.{kind}": 2 * state[f"features.10.{kind}"] for kind in ("weight", "bias")}
        self.compare_two_encoders(name, ("relu3_1",), state, doubled, make, patches, photographs)

    @pytest.mark.parametrize("name", STYLE_LOSSES)
    def test_make_losses_free_of_the_scale_of_the_encoder(self, name: str, tiny_vgg, make, patches, photographs):
        # VGG without biases is homogeneous: a first layer of three times the weight makes all maps three times as large.
        state = {key: 0 * value if key.endswith("bias") else value for key, value in tiny_vgg("vgg16").items()}
        larger = state | {"features.0.weight": 3 * state["features.0.weight"]}
        self.compare_two_encoders(name, STYLE_LAYERS, state, larger, make, patches, photographs)

    def compare_two_encoders(self, name, layers, state, scaled, make, patches, photographs):
        later, found, raw = 0.7 * patches.flip(3) + 0.2 * photographs, [], []
        for which in (state, scaled):
            weights = {"content_loss": 1.0, f"{name}_loss": 1.0}
            objective = make(which, weights, content_layers=layers[-1:], layers=layers)
            raw.append(objective.losses(later, photographs, 0, seeded()))
            objective.normalisers = measure(objective, patches, photographs)
            found.append(objective.losses(later, photographs, 0, seeded()))
        # AdaIN's 1e-5 inside the root does not scale along.
        torch.testing.assert_close(found[0], found[1], rtol=1e-3, atol=1e-6)
        assert raw[1]["content_loss"] > 3.9 * raw[0]["content_loss"]

    def test_have_no_gradient(self, tiny_vgg: TinyVgg, make, patches, photographs):
        objective = make(tiny_vgg("vgg16"), WEIGHTS)
        assert not measure(objective, patches.requires_grad_(), photographs.requires_grad_()).requires_grad

    def test_must_be_as_many_as_the_losses(self, tiny_vgg: TinyVgg, make, patches, photographs):
        objective = make(tiny_vgg("vgg16"), WEIGHTS)
        objective.normalisers = torch.ones(2, 3)
        with pytest.raises(ValueError, match="zip"):
            objective.losses(patches, photographs, 0, seeded())


class TestReleaseView:
    @pytest.fixture
    def objective(self, tiny_vgg: TinyVgg, make: MakeObjective) -> StyleObjective:
        return make(tiny_vgg("vgg16"), {"content_loss": 1.0, "gram_chw_loss": 1e11}, square=True)

    @pytest.mark.parametrize("masked", [False, True])
    def test_equals_the_release_written_out(self, masked, objective, pictures, patches, photographs, half_mask):
        # Rendered colours may leave [0, 1]; the release clamps them.
        patches = 1.4 * patches - 0.2
        state = {f"features.{key}": value for key, value in objective_convs(objective).items()}
        mask = half_mask if masked else torch.ones_like(half_mask)
        seen, wanted = (release_maps(state, picture, mask) for picture in (patches, photographs))
        painted = release_maps(state, pictures[1:], torch.ones(1, 1, 40, 40))
        content = ((seen["relu2_2"] - wanted["relu2_2"]) ** 2).mean()
        style = torch.zeros(())
        for layer in STYLE_LAYERS:
            difference = gram_chw(seen[layer]) - gram_chw(painted[layer])
            style = style + (difference**2).mean()
        losses = objective.losses(patches, photographs, 1, seeded(), half_mask if masked else None)
        torch.testing.assert_close(losses["content_loss"], content, rtol=1e-4, atol=1e-7)
        torch.testing.assert_close(losses["gram_chw_loss"], style, rtol=1e-4, atol=1e-9)

    def test_content_loss_is_zero_at_the_photograph(self, objective: StyleObjective, photographs: Tensor, half_mask: Tensor):
        assert objective.losses(photographs, photographs, 0, seeded())["content_loss"].item() == 0
        assert objective.losses(photographs, photographs, 0, seeded(), half_mask)["content_loss"].item() == 0

    def test_what_the_mask_hides_does_not_matter(self, objective, patches, photographs, half_mask: Tensor):
        before = objective.losses(patches, photographs, 0, seeded(), half_mask)
        patches[..., :16] = 0
        after = objective.losses(patches, photographs, 0, seeded(), half_mask)
        torch.testing.assert_close(after, before)

    def test_gradients_reach_the_patches_inside_0_and_1(
        self, objective: StyleObjective, patches: Tensor, photographs: Tensor
    ):
        patches[..., :16] = 1.5
        patches.requires_grad_()
        sum(objective.losses(patches, photographs, 0, seeded()).values()).backward()
        assert patches.grad is not None
        assert patches.grad[..., :16].abs().max() == 0 and patches.grad[..., 16:].abs().max() > 0


class TestGramDistance:
    def test_is_the_relative_gram_loss_whatever_the_losses_and_normalisers(self, tiny_vgg: TinyVgg, make, patches: Tensor):
        state = tiny_vgg("vgg16")
        expected = make(state, WEIGHTS).losses(patches, patches, 1, seeded())["gram_loss"]
        others = make(state, WEIGHTS), make(state, {"nnfm_loss": 1.0}), make(state, WEIGHTS, scales=(1, 2))
        others[0].normalisers = torch.full((2, 2), 7.0)
        for objective in others:
            torch.testing.assert_close(objective.gram_distance(patches, 1), expected)

    def test_looks_at_its_own_layers_when_none_are_chosen(self, tiny_vgg: TinyVgg, make, patches: Tensor):
        state = tiny_vgg("vgg16")
        own = make(state, {"nnfm_loss": 1.0}, layers=())
        chosen = make(state, WEIGHTS, layers=("relu1_2", "relu2_2", "relu3_3", "relu4_1"))
        torch.testing.assert_close(own.gram_distance(patches, 0), chosen.gram_distance(patches, 0))

    def test_is_zero_at_the_style_and_has_no_gradient(self, tiny_vgg: TinyVgg, make, pictures: Tensor):
        distance = make(tiny_vgg("vgg16"), WEIGHTS).gram_distance(pictures[:1].requires_grad_(), 0)
        assert distance.item() < 1e-4 and not distance.requires_grad

    def test_does_not_look_where_the_mask_is_zero(self, tiny_vgg: TinyVgg, make, patches: Tensor, half_mask: Tensor):
        # A mask has soft edges inside the encoder, whose layers see beyond their cell: only far from them nothing is seen.
        objective, far = make(tiny_vgg("vgg16"), WEIGHTS, layers=("relu1_2",)), patches.clone()
        far[..., :12] = 0
        before, after = (objective.gram_distance(which, 0, half_mask) for which in (patches, far))
        torch.testing.assert_close(after, before)
        assert (objective.gram_distance(far, 0) - objective.gram_distance(patches, 0)).abs() > 1e-3


def objective_convs(objective: StyleObjective) -> dict[str, Tensor]:
    """The encoder's weights by layer name."""
    return {key: value for key, value in objective.features.convs.state_dict().items()}


def release_maps(state: dict[str, Tensor], pictures: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Spec A.7 line by line: x255, clamp, nearest to 224x224, /255, normalise, multiply by the mask, VGG-16."""
    pictures = (pictures * 255).clamp(0, 255)
    # Nearest neighbour by hand: output pixel i shows input pixel floor(i * size / 224).
    places = torch.arange(224) * pictures.shape[2] // 224
    pictures, mask = (values[:, :, places][:, :, :, places] for values in (pictures, mask))
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    hidden = (pictures / 255 - mean[:, None, None]) / std[:, None, None] * mask
    maps = {}
    for step in "1_1 1_2 pool 2_1 2_2 pool 3_1 3_2 3_3 pool 4_1 4_2 4_3".split():
        if step == "pool":
            hidden = F.max_pool2d(hidden, 2)
            continue
        key = f"features.relu{step}"
        hidden = maps[f"relu{step}"] = F.relu(F.conv2d(hidden, state[f"{key}.weight"], state[f"{key}.bias"], padding=1))
    return maps


def test_blends_of_styles_that_share_a_picture_are_as_large_as_others(
    tiny_vgg: TinyVgg, make: MakeObjective, pictures: Tensor, tmp_path: Path
):
    plain = make(tiny_vgg("vgg16"), {"content_loss": 0.3, "gram_loss": 1.0})
    both = parse_style(f"both={tmp_path / 'style 0.png'}+{tmp_path / 'style 1.png'}", "styles")
    joined = style_target(both, plain.features, plain.view, torch.device("cpu"))
    shared = replace(plain, styles=[joined, plain.styles[0]])
    assert all(len(style.pictures) == number for style, number in zip(shared.styles, (2, 1), strict=True))
    values = [
        objective.weighted_losses(pictures.flip(3), pictures, Mix((0.5, 0.5)), seeded())["gram_loss"]
        for objective in (plain, shared)
    ]
    assert float(values[1]) < 3 * float(values[0])
