import copy

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from ins3d.fields.content_features import ContentFeatures, FrequencyContent, GridContent, PlanesContent


def slow_frequencies(values: np.ndarray, count: int) -> np.ndarray:
    parts = [values]
    for power in range(count):
        parts += [np.sin(2.0**power * values), np.cos(2.0**power * values)]
    return np.concatenate(parts, axis=-1)


@pytest.fixture(params=["grid", "planes", "frequency"])
def content(request: pytest.FixtureRequest, random: torch.Generator) -> ContentFeatures:
    if request.param == "planes":
        return PlanesContent(resolutions=(4, 8), channels=4, num_features=6, width=10)
    if request.param == "grid":
        return GridContent(resolutions=(4, 8), channels=4, log2_size=8, num_features=6, width=10)
    return FrequencyContent(width=16)


def some_points(random: torch.Generator, *shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    positions = torch.rand(*shape, 3, generator=random) - 0.5
    directions = torch.nn.functional.normalize(torch.randn(*shape, 3, generator=random), dim=-1)
    return positions, directions


class TestEveryContentField:
    def test_answers_each_point_by_itself(self, content: ContentFeatures, random: torch.Generator):
        positions, directions = some_points(random, 4, 5)
        together = content(positions)
        alone = content(positions[2, 3])
        torch.testing.assert_close(together.raw_density[2, 3], alone.raw_density)
        torch.testing.assert_close(together.color_features[2, 3], alone.color_features)
        rgb = content.rgb(together.color_features, directions)
        torch.testing.assert_close(rgb[2, 3], content.rgb(alone.color_features, directions[2, 3]))

    def test_says_how_many_features_it_gives(self, content: ContentFeatures, random: torch.Generator):
        point = content(some_points(random, 7)[0])
        assert point.density_features.shape == (7, content.num_density_features)
        assert point.color_features.shape == (7, content.num_color_features)

    def test_colour_lies_between_0_and_1_and_density_is_not_negative(
        self, content: ContentFeatures, random: torch.Generator
    ):
        positions, directions = some_points(random, 50)
        rgb = content.rgb(100 * content(positions).color_features, directions)
        assert 0 <= rgb.min() < rgb.max() <= 1
        assert content.density(torch.linspace(-50, 50, 101)[:, None]).min() >= 0

    def test_without_directions_is_what_zeros_in_place_of_the_encoded_direction_give(
        self, content: ContentFeatures, random: torch.Generator, monkeypatch: pytest.MonkeyPatch
    ):
        positions, directions = some_points(random, 6)
        features = content(positions).color_features
        without = content.rgb(features, None)
        num_encoded = content.direction_encoding.num_outputs
        monkeypatch.setattr(
            content.direction_encoding, "forward", lambda values: torch.zeros(*values.shape[:-1], num_encoded)
        )
        assert torch.equal(content.rgb(features, directions), without)

    def test_colour_depends_on_the_direction(self, content: ContentFeatures, random: torch.Generator):
        positions, directions = some_points(random, 6)
        features = content(positions).color_features
        assert not torch.allclose(content.rgb(features, directions), content.rgb(features, -directions))

    def test_gradients_equal_finite_differences(self, content: ContentFeatures, random: torch.Generator):
        positions, directions = some_points(random, 3)
        positions = positions.double().requires_grad_()
        double = copy.deepcopy(content).double()

        def answer(positions):
            point = double(positions)
            return point.raw_density, double.rgb(point.color_features, directions.double())

        assert torch.autograd.gradcheck(answer, (positions,))

    def test_refuses_positions_of_two_numbers(self, content: ContentFeatures):
        with pytest.raises(TypeCheckError):
            content(torch.zeros(4, 2))


class TestEncodedContent:
    def test_density_is_the_exponential(self):
        raw = torch.tensor([[-3.0], [0.0], [2.0]])
        torch.testing.assert_close(PlanesContent((4,), 2).density(raw), torch.tensor([[0.049787], [1.0], [7.389056]]))

    def test_density_and_its_gradient_stay_finite_for_any_raw_density(self):
        raw = torch.tensor([[-1e4], [1e4]], requires_grad=True)
        density = PlanesContent((4,), 2).density(raw)
        density.sum().backward()
        assert density.isfinite().all() and raw.grad is not None and raw.grad.isfinite().all()

    def test_serves_density_and_colour_from_the_same_features(self, random: torch.Generator):
        point = PlanesContent((4,), 2, num_features=5)(some_points(random, 3)[0])
        assert torch.equal(point.density_features, point.color_features)


class TestFrequencyContent:
    def test_has_as_many_parameters_as_the_paper(self):
        assert sum(parameter.numel() for parameter in FrequencyContent().parameters()) == 595_844

    def test_equals_the_papers_network_written_out(self, random: torch.Generator):
        content = FrequencyContent(width=16)
        positions, directions = some_points(random, 9)
        weights = {name: value.detach().double().numpy() for name, value in content.named_parameters()}

        def linear(name: str, values: np.ndarray) -> np.ndarray:
            return values @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

        # Spec A.2: 8 layers, ReLU after each; after layer index 4 comes [encoded, hidden]; heads without activation.
        encoded = slow_frequencies(positions.double().numpy(), 10)
        hidden = encoded
        for layer in range(8):
            hidden = np.maximum(linear(f"trunk.{layer}", hidden), 0)
            if layer == 4:
                hidden = np.concatenate([encoded, hidden], axis=-1)
        features = linear("color_features", hidden)
        encoded_directions = slow_frequencies(directions.double().numpy(), 4)
        views = np.maximum(linear("views", np.concatenate([features, encoded_directions], axis=-1)), 0)

        point = content(positions)
        np.testing.assert_allclose(point.raw_density.detach().numpy(), linear("raw_density", hidden), atol=1e-4)
        np.testing.assert_allclose(point.density_features.detach().numpy(), hidden, atol=1e-4)
        np.testing.assert_allclose(point.color_features.detach().numpy(), features, atol=1e-4)
        expected = 1 / (1 + np.exp(-linear("color", views)))
        np.testing.assert_allclose(content.rgb(point.color_features, directions).detach().numpy(), expected, atol=1e-4)

    def test_density_is_the_positive_part(self):
        assert FrequencyContent(16).density(torch.tensor([[-2.0], [0.0], [3.0]])).tolist() == [[0], [0], [3]]
