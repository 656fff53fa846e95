from collections.abc import Callable

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor

from ins3d.perceptual_losses import (
    content_loss,
    gram_loss,
    gram_matrix,
    grams_of,
    relative_content_loss,
    relative_gram_loss,
)

Maps = dict[str, Tensor]


@pytest.fixture
def maps(random: torch.Generator) -> Maps:
    return random_maps(random)


@pytest.fixture
def targets(random: torch.Generator) -> Maps:
    random.manual_seed(1)
    return random_maps(random)


def random_maps(random: torch.Generator) -> Maps:
    """Two layers of two pictures; the second is half as large, as after a pooling."""
    return {
        "relu1_1": torch.rand(2, 3, 8, 4, generator=random, dtype=torch.float64),
        "relu2_1": torch.rand(2, 5, 4, 2, generator=random, dtype=torch.float64),
    }


@pytest.fixture
def mask(random: torch.Generator) -> Tensor:
    return torch.rand(2, 1, 16, 8, generator=random, dtype=torch.float64)


def slow_shrunk(mask: Tensor, height: int, width: int) -> Tensor:
    """The mean of the mask under each cell of a smaller grid."""
    rows, columns = mask.shape[2] // height, mask.shape[3] // width
    shrunk = torch.zeros(len(mask), height, width, dtype=mask.dtype)
    for row in range(height):
        for column in range(width):
            cell = mask[:, 0, row * rows : (row + 1) * rows, column * columns : (column + 1) * columns]
            shrunk[:, row, column] = cell.mean((1, 2))
    return shrunk


def slow_gram(features: Tensor, mask: Tensor | None = None) -> Tensor:
    batch, channels, height, width = features.shape
    weights = torch.ones(batch, height, width, dtype=features.dtype) if mask is None else slow_shrunk(mask, height, width)
    pictures = []
    for picture in range(batch):
        gram = torch.zeros(channels, channels, dtype=features.dtype)
        for row in range(height):
            for column in range(width):
                here = features[picture, :, row, column]
                gram = gram + weights[picture, row, column] * torch.outer(here, here)
        pictures.append(gram / (channels * weights[picture].sum()))
    return torch.stack(pictures)


def slow_content_loss(maps: Maps, targets: Maps, mask: Tensor | None = None) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for layer, target in targets.items():
        batch, channels, height, width = target.shape
        weights = torch.ones(batch, height, width, dtype=target.dtype) if mask is None else slow_shrunk(mask, height, width)
        layer_sum = torch.zeros((), dtype=torch.float64)
        for picture in range(batch):
            for row in range(height):
                for column in range(width):
                    difference = maps[layer][picture, :, row, column] - target[picture, :, row, column]
                    layer_sum = layer_sum + weights[picture, row, column] * (difference**2).sum()
        total = total + layer_sum / (weights.sum() * channels)
    return total


def gradient(loss: Callable[[Maps], Tensor], maps: Maps) -> Maps:
    wanted = {layer: features.clone().requires_grad_() for layer, features in maps.items()}
    loss(wanted).backward()
    return {layer: features.grad for layer, features in wanted.items() if features.grad is not None}


class TestGramMatrix:
    def test_is_worked_out_by_hand(self):
        # Channels (1, 2) and (3, -1) over two positions: products 5, 1, 10, divided by 2 channels * 2 positions.
        features = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])
        assert gram_matrix(features).tolist() == [[[1.25, 0.25], [0.25, 2.5]]]

    def test_counts_positions_by_their_mask(self):
        # Only the first position counts: products 1, 3, 9, divided by 2 channels * 1 position.
        features = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])
        assert gram_matrix(features, torch.tensor([[[[1.0, 0.0]]]])).tolist() == [[[0.5, 1.5], [1.5, 4.5]]]

    def test_equals_a_slow_loop(self, maps: Maps, mask: Tensor):
        for layer, features in maps.items():
            found = grams_of({layer: features.float()}), grams_of({layer: features.float()}, mask.float())
            torch.testing.assert_close(found[0][layer], slow_gram(features).float())
            torch.testing.assert_close(found[1][layer], slow_gram(features, mask).float())

    @pytest.mark.parametrize("masked", [False, True])
    def test_gradient_equals_the_slow_loops(self, maps: Maps, mask: Tensor, masked: bool, random: torch.Generator):
        features = maps["relu1_1"]
        probe = torch.randn(2, 3, 3, generator=random)
        fast, slow = features.float().requires_grad_(), features.clone().requires_grad_()
        (gram_matrix(fast, mask.float() if masked else None) * probe).sum().backward()
        (slow_gram(slow, mask if masked else None) * probe).sum().backward()
        assert slow.grad is not None
        torch.testing.assert_close(fast.grad, slow.grad.float())

    def test_takes_a_mask_of_another_precision_than_its_features(self, maps: Maps, mask: Tensor):
        expected = gram_matrix(maps["relu1_1"].float(), mask.float())
        for precision in (torch.bfloat16, torch.float64):
            found = gram_matrix(maps["relu1_1"].to(precision), mask.float())
            torch.testing.assert_close(found.float(), expected, atol=2e-2, rtol=2e-2)

    def test_does_not_know_where_things_are(self, maps: Maps, random: torch.Generator):
        features = maps["relu1_1"].float()
        order = torch.randperm(32, generator=random)
        shuffled = features.flatten(2)[:, :, order].reshape(features.shape)
        torch.testing.assert_close(gram_matrix(shuffled), gram_matrix(features))

    def test_of_a_constant_mask_is_that_of_no_mask(self, maps: Maps):
        features = maps["relu1_1"].float()
        torch.testing.assert_close(gram_matrix(features, torch.full((2, 1, 16, 8), 0.3)), gram_matrix(features))

    def test_of_an_empty_mask_is_zero_with_finite_gradient(self, maps: Maps):
        features = maps["relu1_1"].float().requires_grad_()
        gram = gram_matrix(features, torch.zeros(2, 1, 16, 8))
        gram.sum().backward()
        assert gram.abs().max() == 0 and features.grad is not None and features.grad.isfinite().all()

    def test_sums_in_float32_what_comes_in_bfloat16(self):
        # In bfloat16 a running sum of ones stands still at 256.
        assert gram_matrix(torch.ones(1, 1, 100, 100, dtype=torch.bfloat16)).item() == 1.0

    def test_refuses_a_mask_with_channels(self, maps: Maps):
        with pytest.raises(TypeCheckError):
            gram_matrix(maps["relu1_1"], torch.ones(2, 3, 8, 4))


class TestGramLoss:
    def test_is_zero_at_the_style(self, maps: Maps):
        grams = grams_of(maps)
        assert gram_loss(grams, grams).item() == 0

    def test_is_worked_out_by_hand(self):
        # Layer a: differences 1, 0, 0, 2, mean square 5 / 4; layer b: 3, mean square 9; the sum is 10.25.
        grams = {"a": torch.tensor([[[2.0, 1.0], [1.0, 5.0]]]), "b": torch.tensor([[[4.0]]])}
        targets = {"a": torch.tensor([[[1.0, 1.0], [1.0, 3.0]]]), "b": torch.tensor([[[1.0]]])}
        assert gram_loss(grams, targets).item() == 10.25

    def test_equals_a_slow_loop_with_one_style_for_many_pictures(self, maps: Maps, targets: Maps):
        grams = {layer: slow_gram(features) for layer, features in maps.items()}
        style = {layer: slow_gram(features[:1]) for layer, features in targets.items()}
        expected = 0.0
        for layer in grams:
            entries = [
                (grams[layer][picture, i, j] - style[layer][0, i, j]).item() ** 2
                for picture in range(2)
                for i in range(grams[layer].shape[1])
                for j in range(grams[layer].shape[2])
            ]
            expected += sum(entries) / len(entries)
        assert gram_loss(grams, style).item() == pytest.approx(expected, rel=1e-9)

    def test_gradient_equals_finite_differences(self, maps: Maps, targets: Maps):
        grams, style = ({layer: slow_gram(f) for layer, f in which.items()} for which in (maps, targets))
        inputs = [gram.requires_grad_() for gram in grams.values()]
        assert torch.autograd.gradcheck(lambda *values: gram_loss(dict(zip(grams, values, strict=True)), style), inputs)

    def test_grows_with_the_fourth_power_of_the_features(self, maps: Maps, targets: Maps):
        # Spec 0.4, scale rule.
        once = gram_loss(grams_of(maps), grams_of(targets))
        doubled = [{layer: 2 * features for layer, features in which.items()} for which in (maps, targets)]
        torch.testing.assert_close(gram_loss(grams_of(doubled[0]), grams_of(doubled[1])), 16 * once)

    def test_refuses_a_style_of_other_channels(self):
        with pytest.raises((TypeCheckError, RuntimeError)):
            gram_loss({"a": torch.zeros(1, 2, 2)}, {"a": torch.zeros(1, 3, 3)})


class TestRelativeGramLoss:
    def test_is_zero_at_the_style_with_finite_gradient(self, maps: Maps):
        grams = {layer: slow_gram(features).requires_grad_() for layer, features in maps.items()}
        loss = relative_gram_loss(grams, {layer: gram.detach().clone() for layer, gram in grams.items()})
        loss.backward()
        assert loss.item() < 1e-5
        assert all(gram.grad is not None and gram.grad.isfinite().all() for gram in grams.values())

    def test_is_worked_out_by_hand(self):
        # Layer a: |(3, 0; 0, 0)| / |(3, 0; 0, 4)| = 3 / 5; layer b: |1| / |2| = 1 / 2; the mean is .55.
        grams = {"a": torch.tensor([[[6.0, 0.0], [0.0, 4.0]]]), "b": torch.tensor([[[1.0]]])}
        targets = {"a": torch.tensor([[[3.0, 0.0], [0.0, 4.0]]]), "b": torch.tensor([[[2.0]]])}
        assert relative_gram_loss(grams, targets).item() == pytest.approx(0.55)

    def test_equals_a_slow_loop_with_one_style_for_many_pictures(self, maps: Maps, targets: Maps):
        grams = {layer: slow_gram(features) for layer, features in maps.items()}
        style = {layer: slow_gram(features[:1]) for layer, features in targets.items()}
        distances = []
        for layer in grams:
            for picture in range(2):
                difference = grams[layer][picture] - style[layer][0]
                squared = sum(entry**2 for entry in difference.flatten().tolist())
                distances.append((squared / sum(entry**2 for entry in style[layer].flatten().tolist())) ** 0.5)
        assert relative_gram_loss(grams, style).item() == pytest.approx(sum(distances) / 4, rel=1e-6)

    def test_gradient_equals_finite_differences(self, maps: Maps, targets: Maps):
        grams, style = ({layer: slow_gram(f) for layer, f in which.items()} for which in (maps, targets))
        inputs = [gram.requires_grad_() for gram in grams.values()]
        assert torch.autograd.gradcheck(
            lambda *values: relative_gram_loss(dict(zip(grams, values, strict=True)), style), inputs
        )

    @pytest.mark.parametrize("scale", [0.1, 30.0])
    def test_does_not_depend_on_the_scale_of_the_encoder(self, maps: Maps, targets: Maps, scale: float):
        once = relative_gram_loss(grams_of(maps), grams_of(targets))
        scaled = [{layer: scale * features for layer, features in which.items()} for which in (maps, targets)]
        again = relative_gram_loss(grams_of(scaled[0]), grams_of(scaled[1]))
        torch.testing.assert_close(again, once, rtol=1e-4, atol=0)

    def test_of_a_picture_without_features_is_one(self, targets: Maps):
        style = grams_of(targets)
        blank = {layer: torch.zeros_like(gram) for layer, gram in style.items()}
        assert relative_gram_loss(blank, style).item() == pytest.approx(1, abs=1e-5)

    def test_is_finite_for_a_style_without_features(self):
        grams = {"a": torch.ones(1, 2, 2, requires_grad=True)}
        loss = relative_gram_loss(grams, {"a": torch.zeros(1, 2, 2)})
        loss.backward()
        assert loss.isfinite() and grams["a"].grad is not None and grams["a"].grad.isfinite().all()


class TestContentLoss:
    def test_is_zero_at_the_content(self, maps: Maps, mask: Tensor):
        assert content_loss(maps, maps).item() == 0 and content_loss(maps, maps, mask).item() == 0

    def test_is_worked_out_by_hand(self):
        # Differences 1, 0, 0, 2 of one map: mean square 5 / 4. The mask keeps the last position alone: 4.
        maps, target = {"a": torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])}, {"a": torch.tensor([[[[0.0, 2.0], [3.0, 4.0]]]])}
        assert content_loss(maps, target).item() == 1.25
        assert content_loss(maps, target, torch.tensor([[[[0.0, 0.0], [0.0, 1.0]]]])).item() == 4.0

    @pytest.mark.parametrize("masked", [False, True])
    def test_equals_a_slow_loop_in_value_and_gradient(self, maps: Maps, targets: Maps, mask: Tensor, masked: bool):
        used = mask if masked else None
        torch.testing.assert_close(content_loss(maps, targets, used), slow_content_loss(maps, targets, used))
        fast = gradient(lambda maps: content_loss(maps, targets, used), maps)
        slow = gradient(lambda maps: slow_content_loss(maps, targets, used), maps)
        torch.testing.assert_close(fast, slow)

    def test_gradient_equals_finite_differences(self, maps: Maps, targets: Maps, mask: Tensor):
        inputs = [features.requires_grad_() for features in maps.values()]
        assert torch.autograd.gradcheck(
            lambda *values: content_loss(dict(zip(maps, values, strict=True)), targets, mask), inputs
        )

    def test_of_an_empty_mask_is_zero_with_finite_gradient(self, maps: Maps, targets: Maps):
        empty = torch.zeros(2, 1, 16, 8, dtype=torch.float64)
        assert content_loss(maps, targets, empty).item() == 0
        gradients = gradient(lambda maps: content_loss(maps, targets, empty), maps)
        assert all(found.abs().max() == 0 for found in gradients.values())

    def test_does_not_look_where_the_mask_is_zero(self, maps: Maps, targets: Maps):
        mask = torch.ones(2, 1, 16, 8, dtype=torch.float64)
        mask[:, :, :8] = 0
        before = content_loss(maps, targets, mask)
        for features in maps.values():
            features[:, :, : features.shape[2] // 2] = 1e3
        torch.testing.assert_close(content_loss(maps, targets, mask), before)

    def test_compares_only_the_layers_of_the_target(self, maps: Maps, targets: Maps):
        one = {"relu2_1": targets["relu2_1"]}
        torch.testing.assert_close(content_loss(maps, one), slow_content_loss(maps, one))

    def test_names_a_layer_that_was_not_computed(self, maps: Maps):
        with pytest.raises(KeyError, match="relu3_1"):
            content_loss(maps, {"relu3_1": torch.zeros(2, 3, 2, 1)})


class TestRelativeContentLoss:
    def test_is_zero_at_the_content_and_one_for_a_blank_answer(self, maps: Maps, mask: Tensor):
        blank = {layer: torch.zeros_like(features) for layer, features in maps.items()}
        for used in (None, mask):
            assert relative_content_loss(maps, maps, used).item() == 0
            assert relative_content_loss(blank, maps, used).item() == pytest.approx(1)

    def test_is_worked_out_by_hand(self):
        # Mean square difference (1 + 9) / 2 = 5, mean square target (4 + 16) / 2 = 10.
        maps, target = {"a": torch.tensor([[[[1.0, 1.0]]]])}, {"a": torch.tensor([[[[2.0, 4.0]]]])}
        assert relative_content_loss(maps, target).item() == 0.5

    @pytest.mark.parametrize("masked", [False, True])
    def test_equals_a_slow_loop_in_value_and_gradient(self, maps: Maps, targets: Maps, mask: Tensor, masked: bool):
        used = mask if masked else None
        blank = {layer: torch.zeros_like(features) for layer, features in targets.items()}

        def slow(maps: Maps) -> Tensor:
            return slow_content_loss(maps, targets, used) / slow_content_loss(blank, targets, used)

        torch.testing.assert_close(relative_content_loss(maps, targets, used), slow(maps))
        fast = gradient(lambda maps: relative_content_loss(maps, targets, used), maps)
        torch.testing.assert_close(fast, gradient(slow, maps))

    @pytest.mark.parametrize("scale", [0.1, 30.0])
    def test_does_not_depend_on_the_scale_of_the_encoder(self, maps: Maps, targets: Maps, scale: float):
        scaled = [{layer: scale * features for layer, features in which.items()} for which in (maps, targets)]
        torch.testing.assert_close(relative_content_loss(*scaled), relative_content_loss(maps, targets))

    @pytest.mark.parametrize("empty", ["mask", "content"])
    def test_is_finite_at_an_empty_mask_and_at_content_without_features(self, maps: Maps, empty: str):
        nothing = {layer: torch.zeros_like(features) for layer, features in maps.items()}
        targets = nothing if empty == "content" else maps
        mask = torch.zeros(2, 1, 16, 8, dtype=torch.float64) if empty == "mask" else None
        gradients = gradient(lambda maps: relative_content_loss(maps, targets, mask), maps)
        assert all(found.isfinite().all() for found in gradients.values())
