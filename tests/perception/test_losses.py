from collections.abc import Callable

import kornia
import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor

from ins3d.perception.losses import (
    content_loss,
    gram_loss,
    gram_matrix,
    grams_of,
    nearest_neighbour_loss,
    relative_gram_loss,
    sliced_wasserstein_loss,
    statistics_loss,
    statistics_of,
    total_variation_loss,
    unit_vectors,
)

Maps = dict[str, Tensor]
MaskedLoss = Callable[[Maps, Maps, Tensor | None], Tensor]

# How a loss compares pictures with one style under a mask.
MASKED_LOSSES: dict[str, MaskedLoss] = {
    "gram": lambda maps, style, mask: gram_loss(grams_of(maps, mask), grams_of(style)),
    "gram_hw": lambda maps, style, mask: gram_loss(grams_of(maps, mask, "hw"), grams_of(style, norm="hw")),
    "relative_gram": lambda maps, style, mask: relative_gram_loss(grams_of(maps, mask), grams_of(style)),
    "statistics": lambda maps, style, mask: statistics_loss(statistics_of(maps, mask), statistics_of(style)),
    "nnfm": lambda maps, style, mask: nearest_neighbour_loss(unit_vectors(maps), unit_vectors(style), mask),
    "swd": lambda maps, style, mask: sliced_wasserstein_loss(maps, style, torch.Generator().manual_seed(5), mask),
    "content": lambda maps, style, mask: content_loss(
        maps, {name: f.expand(2, -1, -1, -1) for name, f in style.items()}, mask
    ),
    "tv": lambda maps, _, mask: torch.stack([total_variation_loss(f, shrunk(mask, f)) for f in maps.values()]).sum(),
}


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


def shrunk(mask: Tensor | None, features: Tensor) -> Tensor | None:
    """What a mask of the picture is for a map that is taken for a picture itself."""
    return None if mask is None else slow_shrunk(mask, *features.shape[2:])[:, None]


def position_weights(features: Tensor, mask: Tensor | None) -> Tensor:
    batch, _, height, width = features.shape
    return torch.ones(batch, height, width, dtype=features.dtype) if mask is None else slow_shrunk(mask, height, width)


def slow_gram(features: Tensor, mask: Tensor | None = None, norm: str = "chw") -> Tensor:
    batch, channels, height, width = features.shape
    weights = position_weights(features, mask)
    pictures = []
    for picture in range(batch):
        gram = torch.zeros(channels, channels, dtype=features.dtype)
        for row in range(height):
            for column in range(width):
                here = features[picture, :, row, column]
                gram = gram + weights[picture, row, column] * torch.outer(here, here)
        positions = weights[picture].sum()
        pictures.append(gram / {"chw": channels * positions, "hw": positions}[norm])
    return torch.stack(pictures)


def slow_content_loss(maps: Maps, targets: Maps, mask: Tensor | None = None) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for layer, target in targets.items():
        batch, channels, height, width = target.shape
        weights = position_weights(target, mask)
        layer_sum = torch.zeros((), dtype=torch.float64)
        for picture in range(batch):
            for row in range(height):
                for column in range(width):
                    difference = maps[layer][picture, :, row, column] - target[picture, :, row, column]
                    layer_sum = layer_sum + weights[picture, row, column] * (difference**2).sum()
        total = total + layer_sum / (weights.sum() * channels)
    return total


def slow_statistics(features: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """A position's weight is the share of it that counts; n positions leave n - 1 degrees of freedom."""
    batch, channels, height, width = features.shape
    weights = position_weights(features, mask)
    means, deviations = [], []
    for picture in range(batch):
        total = weights[picture].sum()
        for channel in range(channels):
            here = features[picture, channel]
            mean = sum(weights[picture, i, j] * here[i, j] for i in range(height) for j in range(width)) / total
            squares = sum(weights[picture, i, j] * (here[i, j] - mean) ** 2 for i in range(height) for j in range(width))
            freedom = total - (weights[picture] ** 2).sum() / total
            means.append(mean)
            deviations.append((squares / freedom + 1e-5) ** 0.5)
    return torch.stack(means).reshape(batch, channels), torch.stack(deviations).reshape(batch, channels)


def slow_nearest_neighbour_loss(features: Tensor, style: Tensor, mask: Tensor | None = None) -> Tensor:
    """Of every position the cosine distance to every position of the style; the smallest one counts."""
    batch, _, height, width = features.shape
    weights = position_weights(features, mask)
    candidates = [style[0, :, i, j] for i in range(style.shape[2]) for j in range(style.shape[3])]
    total = torch.zeros((), dtype=features.dtype)
    for picture in range(batch):
        for row in range(height):
            for column in range(width):
                here = features[picture, :, row, column]
                distances = [1 - (here * there).sum() / (here.norm() * there.norm()) for there in candidates]
                total = total + weights[picture, row, column] * torch.stack(distances).min()
    return total / weights.sum()


def slow_sliced_wasserstein_loss(
    maps: Maps, targets: Maps, generator: torch.Generator, mask: Tensor | None = None
) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for layer, target in targets.items():
        features = maps[layer]
        batch, channels, _, _ = features.shape
        weights = position_weights(features, mask)
        directions = torch.randn(channels, channels, generator=generator).double()
        for direction in directions:
            direction = direction / direction.norm()
            style = sorted((direction @ target[0].flatten(1)).tolist())
            for picture in range(batch):
                values = direction @ features[picture].flatten(1)
                distance = slow_quantile_distance(values, weights[picture].flatten(), style)
                total = total + distance / (batch * channels)
    return total


def slow_quantile_distance(values: Tensor, weights: Tensor, style: list[float]) -> Tensor:
    """The style's values stand at quantiles (k + 1/2) / m; between them it goes straight, outside it stays."""
    result, passed = torch.zeros((), dtype=values.dtype), 0.0
    for position in sorted(range(len(values)), key=lambda position: values[position].item()):
        weight = weights[position].item()
        quantile = (passed + weight / 2) / weights.sum().item()
        passed += weight
        place = quantile * len(style) - 0.5
        if place <= 0:
            wanted = style[0]
        elif place >= len(style) - 1:
            wanted = style[-1]
        else:
            wanted = style[int(place)] + (place - int(place)) * (style[int(place) + 1] - style[int(place)])
        result = result + weight * (values[position] - wanted) ** 2
    return result / weights.sum()


def slow_total_variation_loss(pictures: Tensor, mask: Tensor | None = None) -> Tensor:
    batch, channels, height, width = pictures.shape
    weights = torch.ones(batch, height, width, dtype=pictures.dtype) if mask is None else mask[:, 0]
    total = torch.zeros((), dtype=pictures.dtype)
    for down, right in ((1, 0), (0, 1)):
        steps, counted = torch.zeros((), dtype=pictures.dtype), 0.0
        for picture in range(batch):
            for row in range(height - down):
                for column in range(width - right):
                    other = (row + down, column + right)
                    weight = min(weights[picture, row, column].item(), weights[picture][other].item())
                    counted += channels * weight
                    here, there = pictures[picture, :, row, column], pictures[picture, :, other[0], other[1]]
                    steps = steps + weight * (here - there).abs().sum()
        total = total + steps / counted
    return total


def single(maps: Maps) -> Maps:
    """One picture as large, or smaller, than the others: a style."""
    return {layer: features[:1] for layer, features in maps.items()}


def as_float(maps: Maps) -> Maps:
    return {layer: features.float() for layer, features in maps.items()}


def shuffled(maps: Maps, random: torch.Generator) -> Maps:
    """The same feature vectors at other positions."""
    result = {}
    for layer, features in maps.items():
        flat = features.flatten(2)
        result[layer] = flat[:, :, torch.randperm(flat.shape[2], generator=random)].reshape(features.shape)
    return result


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

    def test_divides_by_what_its_norm_names(self):
        # Products 5, 1, 10 of two channels over two positions: over 2 positions, over 2 * 2.
        features = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])
        assert gram_matrix(features, norm="hw").tolist() == [[[2.5, 0.5], [0.5, 5.0]]]
        assert gram_matrix(features, norm="chw").tolist() == gram_matrix(features).tolist()

    @pytest.mark.parametrize("norm", ["chw", "hw"])
    def test_equals_a_slow_loop(self, maps: Maps, mask: Tensor, norm):
        for layer, features in maps.items():
            for used in (None, mask):
                found = grams_of({layer: features.float()}, None if used is None else used.float(), norm)
                torch.testing.assert_close(found[layer], slow_gram(features, used, norm).float())

    @pytest.mark.parametrize("norm", ["chw", "hw"])
    @pytest.mark.parametrize("masked", [False, True])
    def test_gradient_equals_the_slow_loops(self, maps: Maps, mask: Tensor, masked: bool, norm, random: torch.Generator):
        features = maps["relu1_1"]
        probe = torch.randn(2, 3, 3, generator=random)
        fast, slow = features.float().requires_grad_(), features.clone().requires_grad_()
        (gram_matrix(fast, mask.float() if masked else None, norm) * probe).sum().backward()
        (slow_gram(slow, mask if masked else None, norm) * probe).sum().backward()
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


class TestGramNormalisations:
    """Spec 0.4: how the weights of one paper convert to another's, for as many positions on both sides."""

    @pytest.mark.parametrize("layer", ["relu1_1", "relu2_1"])
    def test_by_positions_is_channels_squared_times_as_large(self, layer: str, maps: Maps, targets: Maps):
        maps, style = {layer: maps[layer].float()}, {layer: targets[layer][:1].float()}
        by_both = gram_loss(grams_of(maps), grams_of(style))
        by_positions = gram_loss(grams_of(maps, norm="hw"), grams_of(style, norm="hw"))
        torch.testing.assert_close(by_positions, maps[layer].shape[1] ** 2 * by_both)

    def test_weight_1000_over_channels_squared_of_the_notebook_is_weight_1000(self, maps: Maps, targets: Maps):
        # Gatys's notebook weighs each layer so: all layers then count as in INS.
        maps, style = as_float(maps), as_float(single(targets))
        notebook = torch.zeros(())
        for layer, features in maps.items():
            found, wanted = ({layer: gram_matrix(which[layer], norm="hw")} for which in (maps, style))
            notebook = notebook + 1e3 / features.shape[1] ** 2 * gram_loss(found, wanted)
        torch.testing.assert_close(notebook, 1e3 * gram_loss(grams_of(maps), grams_of(style)))

    def test_the_papers_raw_loss_is_a_quarter_of_that_by_positions(self, maps: Maps, targets: Maps):
        # Gatys et al., CVPR 2016, eq. 4: 1 / (4 C^2 M^2) * sum of (G - A)^2, summed over layers.
        maps, style = as_float(single(maps)), as_float(single(targets))
        paper = torch.zeros(())
        for layer, features in maps.items():
            channels, positions = features.shape[1], features[0, 0].numel()
            raw = positions * gram_matrix(features, norm="hw") - positions * gram_matrix(style[layer], norm="hw")
            paper = paper + (raw**2).sum() / (4 * channels**2 * positions**2)
        torch.testing.assert_close(paper, gram_loss(grams_of(maps, norm="hw"), grams_of(style, norm="hw")) / 4)


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


class TestStatistics:
    def test_are_worked_out_by_hand(self):
        # 1, 2, 3, 6: mean 3, squared distances 4 + 1 + 0 + 9 = 14, over 4 - 1 positions; 1e-5 inside the root.
        mean, std = statistics_of({"a": torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])})["a"]
        assert mean.item() == 3 and std.item() == pytest.approx((14 / 3 + 1e-5) ** 0.5)

    def test_are_torchs_mean_and_unbiased_variance(self, maps: Maps):
        for layer, (mean, std) in statistics_of(maps).items():
            torch.testing.assert_close(mean, maps[layer].mean((2, 3)).float())
            torch.testing.assert_close(std, (maps[layer].var((2, 3), unbiased=True) + 1e-5).sqrt().float())

    @pytest.mark.parametrize("masked", [False, True])
    def test_equal_a_slow_loop_in_value_and_gradient(self, maps: Maps, mask: Tensor, masked: bool, random: torch.Generator):
        features = maps["relu1_1"]
        probe = torch.randn(2, 2, 3, generator=random)
        fast, slow = features.float().requires_grad_(), features.clone().requires_grad_()
        found = torch.stack(statistics_of({"a": fast}, mask.float() if masked else None)["a"])
        expected = torch.stack(slow_statistics(slow, mask if masked else None))
        torch.testing.assert_close(found, expected.float())
        (found * probe).sum().backward(), (expected * probe).sum().backward()
        assert slow.grad is not None
        torch.testing.assert_close(fast.grad, slow.grad.float())

    def test_do_not_know_where_things_are(self, maps: Maps, random: torch.Generator):
        torch.testing.assert_close(statistics_of(shuffled(maps, random)), statistics_of(maps))

    def test_of_a_constant_map_have_a_finite_gradient(self):
        features = torch.ones(1, 2, 4, 4, requires_grad=True)
        mean, std = statistics_of({"a": features})["a"]
        (mean + std).sum().backward()
        torch.testing.assert_close(std, torch.full((1, 2), 1e-5**0.5))
        assert features.grad is not None
        torch.testing.assert_close(features.grad, torch.full_like(features, 1 / 16))

    def test_of_a_single_position_are_finite(self):
        mean, std = statistics_of({"a": torch.full((1, 2, 1, 1), 3.0)})["a"]
        assert mean.tolist() == [[3, 3]] and std.isfinite().all()

    def test_refuse_a_mask_with_channels(self, maps: Maps):
        with pytest.raises(TypeCheckError):
            statistics_of(maps, torch.ones(2, 3, 8, 4))


class TestStatisticsLoss:
    def test_is_zero_at_the_style(self, maps: Maps):
        assert statistics_loss(statistics_of(maps), statistics_of(maps)).item() == 0

    def test_is_worked_out_by_hand(self):
        # Layer a: means differ by 1 and 3, mean square 5; deviations by 0 and 2, 2. Layer b: 1 and 4. The sum is 12.
        found = {
            "a": (torch.tensor([[1.0, 3.0]]), torch.tensor([[1.0, 2.0]])),
            "b": (torch.ones(1, 1), 3 * torch.ones(1, 1)),
        }
        wanted = {"a": (torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 4.0]])), "b": (torch.zeros(1, 1), torch.ones(1, 1))}
        assert statistics_loss(found, wanted).item() == 12

    def test_equals_a_slow_loop_with_one_style_for_many_pictures(self, maps: Maps, targets: Maps):
        expected = 0.0
        for layer, features in maps.items():
            style = slow_statistics(targets[layer][:1])
            for found, wanted in zip(slow_statistics(features), style, strict=True):
                entries = [(found[i, j] - wanted[0, j]).item() ** 2 for i in range(2) for j in range(found.shape[1])]
                expected += sum(entries) / len(entries)
        loss = statistics_loss(statistics_of(maps), statistics_of(single(targets)))
        assert loss.item() == pytest.approx(expected, rel=1e-5)

    def test_gradient_equals_finite_differences(self, maps: Maps, targets: Maps):
        found, style = ({layer: slow_statistics(f) for layer, f in which.items()} for which in (maps, targets))
        inputs = [value.requires_grad_() for pair in found.values() for value in pair]

        def loss(*values: Tensor) -> Tensor:
            return statistics_loss({"relu1_1": (values[0], values[1]), "relu2_1": (values[2], values[3])}, style)

        assert torch.autograd.gradcheck(loss, inputs)

    def test_names_a_layer_that_was_not_computed(self, maps: Maps):
        with pytest.raises(KeyError, match="relu3_1"):
            statistics_loss(statistics_of(maps), {"relu3_1": (torch.zeros(1, 3), torch.zeros(1, 3))})


class TestUnitVectors:
    def test_have_length_one_and_keep_their_direction(self, maps: Maps):
        for layer, vectors in unit_vectors(maps).items():
            torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2, *maps[layer].shape[2:]))
            cosine = torch.nn.functional.cosine_similarity(vectors, maps[layer].float())
            torch.testing.assert_close(cosine, torch.ones_like(cosine))

    def test_join_the_layers_of_one_block(self, maps: Maps):
        # A vector of the block is all its layers' vectors, one after the other; (3, 0) and (0, 4) give (.6, 0, 0, .8).
        first, second = torch.tensor([[[[3.0]], [[0.0]]]]), torch.tensor([[[[0.0]], [[4.0]]]])
        joined = unit_vectors({"relu3_1": first, "relu3_2": second})
        assert set(joined) == {"relu3_1 relu3_2"}
        torch.testing.assert_close(joined["relu3_1 relu3_2"].flatten(), torch.tensor([0.6, 0, 0, 0.8]))
        assert set(unit_vectors(maps)) == {"relu1_1", "relu2_1"}

    def test_of_zeros_are_zeros_with_a_finite_gradient(self):
        features = torch.zeros(1, 3, 2, 2, requires_grad=True)
        vectors = unit_vectors({"a": features})["a"]
        vectors.sum().backward()
        assert vectors.abs().max() == 0 and features.grad is not None and features.grad.isfinite().all()


class TestNearestNeighbourLoss:
    def test_is_zero_at_the_style_and_at_a_shuffled_one(self, targets: Maps, random: torch.Generator):
        style = single(targets)
        for picture in (style, shuffled(style, random)):
            assert nearest_neighbour_loss(unit_vectors(picture), unit_vectors(style)).item() == pytest.approx(0, abs=1e-6)

    def test_is_worked_out_by_hand(self):
        # Style vectors (0, 1) and (.8, .6). (1, 0) is nearest to the second, at 1 - .8; (.6, .8) too, at 1 - .96: mean .12.
        vectors = torch.tensor([[[[1.0, 0.6]], [[0.0, 0.8]]]])
        style = torch.tensor([[[[0.0, 0.8]], [[1.0, 0.6]]]])
        assert nearest_neighbour_loss({"a": vectors}, {"a": style}).item() == pytest.approx(0.12)
        assert nearest_neighbour_loss({"a": vectors}, {"a": style}, torch.tensor([[[[1.0, 0.0]]]])).item() == pytest.approx(
            0.2
        )

    @pytest.mark.parametrize("masked", [False, True])
    def test_equals_a_slow_loop_in_value_and_gradient(self, maps: Maps, targets: Maps, mask: Tensor, masked: bool):
        # The style is smaller than the pictures.
        maps, style = {"a": maps["relu1_1"]}, {"a": targets["relu1_1"][:1, :, :5, :3]}

        def fast(maps: Maps) -> Tensor:
            return nearest_neighbour_loss(unit_vectors(maps), unit_vectors(style), mask.float() if masked else None)

        def slow(maps: Maps) -> Tensor:
            return slow_nearest_neighbour_loss(maps["a"], style["a"], mask if masked else None)

        torch.testing.assert_close(fast(maps), slow(maps).float())
        torch.testing.assert_close(as_float(gradient(fast, maps)), as_float(gradient(slow, maps)), atol=1e-6, rtol=1e-4)

    def test_gradient_equals_finite_differences(self, maps: Maps, targets: Maps, mask: Tensor):
        # Of the distance itself, in float64; `unit_vectors` rounds to float32.
        inputs = [features[:, :, :4].contiguous().requires_grad_() for features in maps.values()]
        assert torch.autograd.gradcheck(
            lambda *values: nearest_neighbour_loss(dict(zip(maps, values, strict=True)), single(targets), mask), inputs
        )

    @pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
    def test_does_not_depend_on_the_chunks(self, chunk: int, maps: Maps, targets: Maps, mask: Tensor):
        def loss(maps: Maps, chunk: int) -> Tensor:
            return nearest_neighbour_loss(unit_vectors(maps), unit_vectors(single(targets)), mask.float(), chunk)

        torch.testing.assert_close(loss(maps, chunk), loss(maps, 1024))
        torch.testing.assert_close(gradient(lambda m: loss(m, chunk), maps), gradient(lambda m: loss(m, 1024), maps))

    def test_does_not_know_where_things_are(self, maps: Maps, targets: Maps, random: torch.Generator):
        vectors, style = unit_vectors(maps), unit_vectors(single(targets))
        expected = nearest_neighbour_loss(vectors, style)
        torch.testing.assert_close(nearest_neighbour_loss(shuffled(vectors, random), style), expected)
        torch.testing.assert_close(nearest_neighbour_loss(vectors, shuffled(style, random)), expected)

    @pytest.mark.parametrize("scale", [0.1, 30.0])
    def test_does_not_depend_on_the_scale_of_the_encoder(self, maps: Maps, targets: Maps, scale: float):
        once = MASKED_LOSSES["nnfm"](maps, single(targets), None)
        scaled = [{layer: scale * features for layer, features in which.items()} for which in (maps, single(targets))]
        torch.testing.assert_close(MASKED_LOSSES["nnfm"](*scaled, None), once)

    def test_of_a_picture_without_features_is_one_with_a_finite_gradient(self, targets: Maps):
        blank = {layer: torch.zeros_like(features) for layer, features in targets.items()}
        loss = MASKED_LOSSES["nnfm"](blank, single(targets), None)
        assert loss.item() == len(blank)
        gradients = gradient(lambda maps: MASKED_LOSSES["nnfm"](maps, single(targets), None), blank)
        assert len(gradients) == 2 and all(found.isfinite().all() for found in gradients.values())

    def test_refuses_a_style_of_other_channels_or_layers(self, maps: Maps):
        vectors = unit_vectors(maps)
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            nearest_neighbour_loss({"a": vectors["relu1_1"]}, {"a": vectors["relu2_1"]})
        with pytest.raises(KeyError, match="relu1_1"):
            nearest_neighbour_loss(vectors, {"relu2_1": vectors["relu2_1"]})


class TestSlicedWassersteinLoss:
    def test_is_zero_at_the_style_and_at_a_shuffled_one(self, targets: Maps, random: torch.Generator):
        style = single(targets)
        for picture in (style, shuffled(style, random)):
            assert sliced_wasserstein_loss(picture, style, random).item() == pytest.approx(0, abs=1e-10)

    def test_is_zero_for_a_style_that_shows_everything_twice(self, maps: Maps, random: torch.Generator):
        style = {layer: features.repeat_interleave(2, dim=3) for layer, features in single(maps).items()}
        assert sliced_wasserstein_loss(single(maps), style, random).item() == pytest.approx(0, abs=1e-10)

    def test_is_worked_out_by_hand(self, random: torch.Generator):
        # With one channel the direction is 1 or -1, which changes nothing. 0, 2 and 1, 5: (1 + 9) / 2.
        picture = {"a": torch.tensor([[[[2.0, 0.0]]]])}
        assert sliced_wasserstein_loss(picture, {"a": torch.tensor([[[[1.0, 5.0]]]])}, random).item() == 5
        # 0 and 2 stand at quantiles 1/4 and 3/4; of 0, 1, 2, 5 there stand 1/2 and 3.5: (.25 + 2.25) / 2.
        larger = {"a": torch.tensor([[[[5.0, 1.0], [2.0, 0.0]]]])}
        assert sliced_wasserstein_loss(picture, larger, random).item() == 1.25
        # 0 counts three times as much as 2: quantiles 3/8 and 7/8, where 0, 4 has 1 and, past its last value, 4.
        mask, style = torch.tensor([[[[0.25, 0.75]]]]), {"a": torch.tensor([[[[0.0, 4.0]]]])}
        assert sliced_wasserstein_loss(picture, style, random, mask).item() == 0.75 * 1 + 0.25 * 4

    @pytest.mark.parametrize("style_size", [(8, 4), (5, 3), (16, 16)])
    @pytest.mark.parametrize("masked", [False, True])
    def test_equals_a_slow_loop_in_value_and_gradient(self, maps: Maps, mask: Tensor, masked: bool, style_size, random):
        style = {"relu1_1": torch.rand(1, 3, *style_size, generator=random, dtype=torch.float64)}
        used = mask if masked else None

        def loss(maps: Maps, of: Callable[..., Tensor]) -> Tensor:
            return of(maps, style, torch.Generator().manual_seed(7), used)

        fast, slow = sliced_wasserstein_loss, slow_sliced_wasserstein_loss
        torch.testing.assert_close(loss(maps, fast), loss(maps, slow), atol=1e-7, rtol=1e-5)
        found, expected = (gradient(lambda maps, of=of: loss(maps, of), maps) for of in (fast, slow))
        torch.testing.assert_close(found, expected, atol=1e-7, rtol=1e-5)

    def test_gradient_equals_finite_differences(self, maps: Maps, targets: Maps, mask: Tensor):
        inputs = [features.requires_grad_() for features in maps.values()]

        def loss(*values: Tensor) -> Tensor:
            generator = torch.Generator().manual_seed(3)
            return sliced_wasserstein_loss(dict(zip(maps, values, strict=True)), single(targets), generator, mask)

        assert torch.autograd.gradcheck(loss, inputs)

    def test_does_not_know_where_things_are(self, maps: Maps, targets: Maps, random: torch.Generator):
        loss, style = MASKED_LOSSES["swd"], single(targets)
        expected = loss(maps, style, None)
        torch.testing.assert_close(loss(shuffled(maps, random), style, None), expected)
        torch.testing.assert_close(loss(maps, shuffled(style, random), None), expected)

    def test_of_a_shift_is_its_square_over_the_channels(self, maps: Maps, random: torch.Generator):
        # A shift by d moves the projection on a unit vector u by u.d; the mean of (u.d)^2 over directions is |d|^2 / C.
        style = {"relu1_1": maps["relu1_1"][:1]}
        moved = {"relu1_1": style["relu1_1"] + torch.tensor([3.0, 0.0, 4.0])[:, None, None]}
        losses = [sliced_wasserstein_loss(moved, style, random).item() for _ in range(1000)]
        assert sum(losses) / 1000 == pytest.approx(25 / 3, rel=0.05)

    def test_draws_its_directions_from_the_generator(self, maps: Maps, targets: Maps, random: torch.Generator):
        state = random.get_state()
        first, second = (sliced_wasserstein_loss(maps, single(targets), random).item() for _ in range(2))
        random.set_state(state)
        assert sliced_wasserstein_loss(maps, single(targets), random).item() == first != second

    def test_one_style_serves_several_pictures(self, maps: Maps, targets: Maps):
        loss, style = MASKED_LOSSES["swd"], single(targets)
        alone = [loss({layer: f[i : i + 1] for layer, f in maps.items()}, style, None) for i in range(2)]
        torch.testing.assert_close(loss(maps, style, None), torch.stack(alone).mean())

    def test_refuses_a_style_of_other_channels_or_layers(self, maps: Maps, random: torch.Generator):
        with pytest.raises(RuntimeError, match="size mismatch|shapes cannot be multiplied"):
            sliced_wasserstein_loss(maps, {"relu1_1": maps["relu2_1"]}, random)
        with pytest.raises(KeyError, match="relu3_1"):
            sliced_wasserstein_loss(maps, {"relu3_1": maps["relu2_1"]}, random)


class TestTotalVariationLoss:
    def test_of_a_constant_picture_is_zero_with_a_finite_gradient(self, mask: Tensor):
        for used in (None, mask):
            picture = torch.full((2, 3, 16, 8), 0.4, dtype=torch.float64, requires_grad=True)
            loss = total_variation_loss(picture, used)
            loss.backward()
            assert loss.item() == 0 and picture.grad is not None and picture.grad.isfinite().all()

    def test_is_worked_out_by_hand(self):
        # Steps to the right 1 and 0, mean 1/2; steps down 3 and 2, mean 5/2.
        picture = torch.tensor([[[[0.0, 1.0], [3.0, 3.0]]]])
        assert total_variation_loss(picture).item() == 3
        # Without the first pixel there are the lower step to the right, 0, and the right one down, 2.
        assert total_variation_loss(picture, torch.tensor([[[[0.0, 1.0], [1.0, 1.0]]]])).item() == 2

    def test_is_kornias_with_a_full_mask_or_none(self, random: torch.Generator):
        pictures = torch.rand(2, 3, 9, 7, generator=random)
        expected = kornia.losses.total_variation(pictures, reduction="mean").mean()
        for used in (None, torch.ones(2, 1, 9, 7), torch.ones(1, 1, 9, 7)):
            torch.testing.assert_close(total_variation_loss(pictures, used), expected)

    @pytest.mark.parametrize("masked", [False, True])
    def test_equals_a_slow_loop_in_value_and_gradient(self, masked: bool, mask: Tensor, random: torch.Generator):
        pictures = {"p": torch.rand(2, 3, 16, 8, generator=random, dtype=torch.float64)}
        used = mask if masked else None
        torch.testing.assert_close(total_variation_loss(pictures["p"], used), slow_total_variation_loss(pictures["p"], used))
        fast = gradient(lambda maps: total_variation_loss(maps["p"], used), pictures)
        slow = gradient(lambda maps: slow_total_variation_loss(maps["p"], used), pictures)
        torch.testing.assert_close(fast, slow)

    def test_gradient_equals_finite_differences(self, mask: Tensor, random: torch.Generator):
        pictures = torch.rand(2, 3, 4, 4, generator=random, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda pictures: total_variation_loss(pictures, mask[:, :, :4, :4]), [pictures])

    def test_does_not_change_when_a_picture_is_mirrored_or_brightened(self, mask: Tensor, random: torch.Generator):
        pictures = torch.rand(2, 3, 16, 8, generator=random, dtype=torch.float64)
        expected = total_variation_loss(pictures, mask)
        torch.testing.assert_close(total_variation_loss(pictures.flip(3), mask.flip(3)), expected)
        torch.testing.assert_close(total_variation_loss(pictures + 0.5, mask), expected)

    def test_refuses_a_mask_of_another_size_or_with_channels(self):
        with pytest.raises(RuntimeError):
            total_variation_loss(torch.ones(2, 3, 8, 8), torch.ones(2, 1, 4, 4))
        with pytest.raises(TypeCheckError):
            total_variation_loss(torch.ones(2, 3, 8, 8), torch.ones(2, 3, 8, 8))


@pytest.mark.parametrize("name", MASKED_LOSSES)
class TestMasks:
    """What every loss does with a mask."""

    def test_a_full_mask_is_no_mask_and_a_half_one_is_not(self, name: str, maps: Maps, targets: Maps):
        loss, style = MASKED_LOSSES[name], single(targets)
        full = torch.ones(2, 1, 16, 8, dtype=torch.float64)
        without = loss(maps, style, None)
        torch.testing.assert_close(loss(maps, style, full), without, atol=1e-7, rtol=1e-5)
        torch.testing.assert_close(loss(maps, style, 0.3 * full), without, atol=1e-7, rtol=1e-5)
        full[..., :4] = 0
        assert abs(loss(maps, style, full) - without) > 1e-4 * without

    def test_what_it_hides_does_not_matter(self, name: str, maps: Maps, targets: Maps):
        loss, style = MASKED_LOSSES[name], single(targets)
        mask = torch.ones(2, 1, 16, 8, dtype=torch.float64)
        mask[:, :, :8] = 0
        before = loss(maps, style, mask)
        for features in maps.values():
            features[:, :, : features.shape[2] // 2] = 1e3
        torch.testing.assert_close(loss(maps, style, mask), before, atol=1e-7, rtol=1e-5)
        gradients = gradient(lambda maps: loss(maps, style, mask), maps)
        assert all(found[:, :, : found.shape[2] // 2].abs().max() == 0 for found in gradients.values())

    def test_an_empty_one_gives_a_finite_loss_and_gradient(self, name: str, maps: Maps, targets: Maps):
        loss, style = MASKED_LOSSES[name], single(targets)
        empty = torch.zeros(2, 1, 16, 8, dtype=torch.float64)
        assert loss(maps, style, empty).isfinite()
        gradients = gradient(lambda maps: loss(maps, style, empty), maps)
        assert all(found.abs().max() == 0 for found in gradients.values())

    def test_of_one_picture_it_serves_all(self, name: str, maps: Maps, targets: Maps, mask: Tensor):
        loss, style = MASKED_LOSSES[name], single(targets)
        expected = loss(maps, style, mask[:1].expand(2, -1, -1, -1))
        torch.testing.assert_close(loss(maps, style, mask[:1]), expected, atol=1e-7, rtol=1e-5)


class TestLargeStyles:
    def test_neighbours_are_searched_among_positions_that_are_spread_over_them(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("ins3d.perception.losses.MOST_NEIGHBOURS", 16)
        maps, style = (unit_vectors({"relu3_1": torch.randn(1, 8, 12, 12)}) for _ in range(2))
        spread = torch.linspace(0, 143, 16).long()
        fewer = {"relu3_1": style["relu3_1"].flatten(2)[:, :, spread].reshape(1, 8, 4, 4)}
        assert torch.equal(nearest_neighbour_loss(maps, style), nearest_neighbour_loss(maps, fewer))
        assert float(nearest_neighbour_loss(style, style)) > 0.01
