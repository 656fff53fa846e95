from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ins3d.perceptual_features import PerceptualFeatures
from ins3d.style_objective import LossScale, StyleObjective
from ins3d.style_targets import StyleTarget

STYLE_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
CONTENT_LAYERS = ("relu2_2",)
TinyVgg = Callable[..., dict[str, Tensor]]


def gram_chw(features: Tensor) -> Tensor:
    return torch.einsum("bchw,bdhw->bcd", features, features) / features[0].numel()


def objective_of(state: dict[str, Tensor], pictures: Tensor, scale: LossScale) -> StyleObjective:
    """Each of the pictures is a style, seen at its own size."""
    features = PerceptualFeatures(state, STYLE_LAYERS, source="tiny")
    styles = []
    for number, picture in enumerate(pictures):
        maps = features(picture[None])
        styles.append(
            StyleTarget(f"style {number}", picture.mean((1, 2)), {layer: gram_chw(maps[layer]) for layer in STYLE_LAYERS})
        )
    return StyleObjective(features, styles, STYLE_LAYERS, CONTENT_LAYERS, scale)


@pytest.fixture
def pictures(random: torch.Generator) -> Tensor:
    return torch.rand(2, 3, 40, 40, generator=random)


@pytest.fixture
def patches(random: torch.Generator) -> Tensor:
    return torch.rand(1, 3, 32, 32, generator=random)


@pytest.fixture
def photographs(random: torch.Generator) -> Tensor:
    return torch.rand(1, 3, 32, 32, generator=random)


@pytest.fixture
def half_mask() -> Tensor:
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 16:] = 1
    return mask


class TestRelativeScale:
    @pytest.fixture
    def objective(self, tiny_vgg: TinyVgg, pictures: Tensor) -> StyleObjective:
        return objective_of(tiny_vgg("vgg16"), pictures, "relative")

    def test_content_loss_is_zero_at_the_photograph(self, objective: StyleObjective, photographs: Tensor):
        losses = objective.losses(photographs, photographs, style=0)
        assert set(losses) == {"content_loss", "style_loss"}
        assert losses["content_loss"].item() == 0 and losses["style_loss"].item() > 0.01

    def test_style_loss_is_zero_at_the_style_that_was_asked_for(self, objective, pictures: Tensor):
        own, other = (objective.losses(pictures[1:], pictures[:1], style)["style_loss"].item() for style in (1, 0))
        assert own < 1e-4 < 1e-2 < other

    def test_equals_its_formulas_written_out(self, objective: StyleObjective, patches: Tensor, photographs: Tensor):
        losses = objective.losses(patches, photographs, style=1)
        seen, wanted = objective.features(patches), objective.features(photographs)["relu2_2"]
        expected = ((seen["relu2_2"] - wanted) ** 2).mean() / (wanted**2).mean()
        torch.testing.assert_close(losses["content_loss"], expected)
        grams, targets = {layer: gram_chw(seen[layer]) for layer in STYLE_LAYERS}, objective.styles[1].grams
        distances = [(grams[layer] - targets[layer]).norm() / targets[layer].norm() for layer in STYLE_LAYERS]
        torch.testing.assert_close(losses["style_loss"], sum(distances) / 4)

    def test_does_not_depend_on_the_scale_of_the_encoder(self, tiny_vgg: TinyVgg, pictures, patches, photographs):
        state = tiny_vgg("vgg16")
        # VGG without biases is homogeneous: a first layer of three times the weight makes all maps three times as large.
        state = {key: value * 0 if "bias" in key else value for key, value in state.items()}
        larger = state | {"features.0.weight": 3 * state["features.0.weight"]}
        once, thrice = (
            objective_of(which, pictures, "relative").losses(patches, photographs, 0) for which in (state, larger)
        )
        torch.testing.assert_close(once, thrice, rtol=1e-4, atol=0)

    def test_a_full_mask_changes_nothing_and_a_half_one_does(self, objective, patches, photographs, half_mask: Tensor):
        without = objective.losses(patches, photographs, 0)
        torch.testing.assert_close(objective.losses(patches, photographs, 0, torch.ones(1, 1, 32, 32)), without)
        masked = objective.losses(patches, photographs, 0, half_mask)
        assert all(abs(masked[name] - without[name]) > 1e-4 for name in without)

    def test_an_empty_mask_gives_finite_losses_and_gradients(self, objective, patches, photographs):
        patches.requires_grad_()
        losses = objective.losses(patches, photographs, 0, torch.zeros(1, 1, 32, 32))
        sum(losses.values()).backward()
        assert patches.grad is not None and patches.grad.isfinite().all()

    def test_one_style_serves_several_patches(self, objective: StyleObjective, random: torch.Generator):
        patches, photographs = torch.rand(2, 3, 3, 32, 32, generator=random)
        together = objective.losses(patches, photographs, 0)["style_loss"]
        alone = [objective.losses(patches[i : i + 1], photographs[i : i + 1], 0)["style_loss"] for i in range(3)]
        torch.testing.assert_close(together, torch.stack(alone).mean())

    def test_gradients_reach_the_patches_and_nothing_else(self, objective, patches, photographs):
        patches.requires_grad_(), photographs.requires_grad_()
        sum(objective.losses(patches, photographs, 0).values()).backward()
        assert patches.grad is not None and patches.grad.abs().max() > 0 and photographs.grad is None


class TestReleaseScale:
    @pytest.fixture
    def objective(self, tiny_vgg: TinyVgg, pictures: Tensor) -> StyleObjective:
        return objective_of(tiny_vgg("vgg16"), pictures, "release")

    @pytest.mark.parametrize("masked", [False, True])
    def test_equals_the_release_written_out(self, masked, objective, tiny_vgg, patches, photographs, half_mask, random):
        # Rendered colours may leave [0, 1]; the release clamps them.
        patches = 1.4 * patches - 0.2
        state = {f"features.{key}": value for key, value in objective_convs(objective).items()}
        mask = half_mask if masked else torch.ones(1, 1, 32, 32)
        seen, wanted = (release_maps(state, picture, mask) for picture in (patches, photographs))
        content = ((seen["relu2_2"] - wanted["relu2_2"]) ** 2).mean()
        style = torch.zeros(())
        for layer in STYLE_LAYERS:
            difference = gram_chw(seen[layer]) - objective.styles[1].grams[layer]
            style = style + (difference**2).mean()
        losses = objective.losses(patches, photographs, 1, half_mask if masked else None)
        torch.testing.assert_close(losses["content_loss"], content, rtol=1e-4, atol=1e-7)
        torch.testing.assert_close(losses["style_loss"], style, rtol=1e-4, atol=1e-9)

    def test_content_loss_is_zero_at_the_photograph(self, objective: StyleObjective, photographs: Tensor, half_mask: Tensor):
        assert objective.losses(photographs, photographs, 0)["content_loss"].item() == 0
        assert objective.losses(photographs, photographs, 0, half_mask)["content_loss"].item() == 0

    def test_what_the_mask_hides_does_not_matter(self, objective, patches, photographs, half_mask: Tensor):
        before = objective.losses(patches, photographs, 0, half_mask)
        patches[..., :16] = 0
        after = objective.losses(patches, photographs, 0, half_mask)
        torch.testing.assert_close(after, before)

    def test_gradients_reach_the_patches_inside_0_and_1(
        self, objective: StyleObjective, patches: Tensor, photographs: Tensor
    ):
        patches[..., :16] = 1.5
        patches.requires_grad_()
        sum(objective.losses(patches, photographs, 0).values()).backward()
        assert patches.grad is not None
        assert patches.grad[..., :16].abs().max() == 0 and patches.grad[..., 16:].abs().max() > 0


class TestGramDistance:
    def test_is_the_relative_style_loss_whatever_the_scale(self, tiny_vgg: TinyVgg, pictures: Tensor, patches: Tensor):
        state = tiny_vgg("vgg16")
        relative = objective_of(state, pictures, "relative")
        expected = relative.losses(patches, patches, 1)["style_loss"]
        for objective in (relative, objective_of(state, pictures, "release")):
            torch.testing.assert_close(objective.gram_distance(patches, 1), expected)

    def test_is_zero_at_the_style_and_has_no_gradient(self, tiny_vgg: TinyVgg, pictures: Tensor):
        objective = objective_of(tiny_vgg("vgg16"), pictures, "relative")
        distance = objective.gram_distance(pictures[:1].requires_grad_(), 0)
        assert distance.item() < 1e-4 and not distance.requires_grad


def objective_convs(objective: StyleObjective) -> dict[str, Tensor]:
    """The encoder's weights by layer name."""
    return {key: value for key, value in objective.features.convs.state_dict().items()}


def release_maps(state: dict[str, Tensor], pictures: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Spec A.7 line by line: x255, clamp, nearest to 224x224, /255, normalise, multiply by the mask, VGG-16."""
    pictures = (pictures * 255).clamp(0, 255)
    # Nearest neighbour by hand: 224 is seven times 32.
    pictures, mask = (values.repeat_interleave(7, dim=2).repeat_interleave(7, dim=3) for values in (pictures, mask))
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
