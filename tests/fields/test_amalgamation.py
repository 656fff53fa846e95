import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor

from ins3d.fields.amalgamation import Amalgamation


@pytest.fixture
def inputs(random: torch.Generator) -> dict[str, Tensor]:
    sizes = {"raw_density": 1, "density_features": 4, "color_features": 5, "style_features": 6}
    return {name: torch.randn(7, size, generator=random) for name, size in sizes.items()}


def amalgamation(*gates: float) -> Amalgamation:
    return Amalgamation(4, 5, 6, width=8, gate_init=gates)


def both(module: Amalgamation, inputs: dict[str, Tensor], strength: float) -> tuple[Tensor, Tensor]:
    how_much = torch.tensor(strength, dtype=inputs["raw_density"].dtype)
    density = module.raw_density(inputs["raw_density"], inputs["density_features"], inputs["style_features"], how_much)
    return density, module.color_features(inputs["color_features"], inputs["style_features"], how_much)


class TestAmalgamation:
    def test_has_as_many_parameters_as_the_paper(self):
        assert sum(parameter.numel() for parameter in Amalgamation(256, 256, 256).parameters()) == 460_291

    @pytest.mark.parametrize(("gates", "strength"), [((1.0, 1.0), 1.0), ((0.2, -0.5), 0.0)])
    def test_returns_the_content_bit_for_bit_at_gate_1_and_at_strength_0(self, gates, strength, inputs):
        density, features = both(amalgamation(*gates), inputs, strength)
        assert torch.equal(density, inputs["raw_density"])
        assert torch.equal(features, inputs["color_features"])

    def test_returns_the_style_networks_answer_at_gate_0(self, inputs: dict[str, Tensor]):
        module = amalgamation(0.0, 0.0)
        density, features = both(module, inputs, strength=1.0)
        style = inputs["style_features"]
        torch.testing.assert_close(density, module.density_mlp(torch.cat([inputs["density_features"], style], -1)))
        torch.testing.assert_close(features, module.color_mlp(torch.cat([inputs["color_features"], style], -1)))

    def test_equals_the_papers_formula_written_out(self, inputs: dict[str, Tensor]):
        module = amalgamation(0.7, 0.6)
        weights = {name: value.detach().double().numpy() for name, value in module.named_parameters()}

        def mlp(name: str, values: np.ndarray, num_layers: int) -> np.ndarray:
            for layer in range(num_layers):
                values = values @ weights[f"{name}.layers.{2 * layer}.weight"].T + weights[f"{name}.layers.{2 * layer}.bias"]
                values = values if layer == num_layers - 1 else np.maximum(values, 0)
            return values

        arrays = {name: value.double().numpy() for name, value in inputs.items()}
        e = arrays["style_features"]
        # Spec A.4: alpha = lambda alpha_c + (1 - lambda) m_d; f' = gamma f + (1 - gamma) m_c.
        m_d = mlp("density_mlp", np.concatenate([arrays["density_features"], e], -1), 2)
        m_c = mlp("color_mlp", np.concatenate([arrays["color_features"], e], -1), 4)
        density, features = both(module, inputs, strength=1.0)
        np.testing.assert_allclose(density.detach().numpy(), 0.7 * arrays["raw_density"] + 0.3 * m_d, atol=1e-5)
        np.testing.assert_allclose(features.detach().numpy(), 0.6 * arrays["color_features"] + 0.4 * m_c, atol=1e-5)

    def test_half_the_strength_is_half_way_to_the_style(self, inputs: dict[str, Tensor]):
        module = amalgamation(0.7, 0.6)
        for none, half, full in zip(*(both(module, inputs, strength) for strength in (0.0, 0.5, 1.0)), strict=True):
            torch.testing.assert_close(half, (none + full) / 2)

    def test_at_gates_of_exactly_1_every_weight_but_the_gates_has_zero_gradient(self, inputs: dict[str, Tensor]):
        gradients = gradients_of(amalgamation(1.0, 1.0), inputs)
        for name, gradient in gradients.items():
            assert (gradient.abs().max() > 0) == name.endswith("_gate"), name

    def test_at_gates_of_0_9_every_weight_has_a_gradient(self, inputs: dict[str, Tensor]):
        assert all(gradient.abs().max() > 0 for gradient in gradients_of(amalgamation(0.9, 0.9), inputs).values())

    def test_gradients_equal_finite_differences(self, inputs: dict[str, Tensor]):
        module = amalgamation(0.7, 0.6).double()
        doubles = [inputs[name].double().requires_grad_() for name in inputs]
        assert torch.autograd.gradcheck(lambda *values: both(module, dict(zip(inputs, values, strict=True)), 0.8), doubles)

    def test_that_does_not_see_the_content_mixes_in_the_same_whatever_it_is(self, inputs: dict[str, Tensor]):
        features, style = inputs["color_features"], inputs["style_features"]
        module = Amalgamation(None, features.shape[-1], style.shape[-1], 8, gate_init=(1.0, 0.0), sees_content=False)
        full = torch.tensor(1.0)
        torch.testing.assert_close(
            module.color_features(features, style, full), module.color_features(2 * features, style, full)
        )

    def test_gate_init_is_density_then_colour(self):
        module = amalgamation(0.25, 0.75)
        assert (module.density_gate.item(), module.rgb_gate.item()) == (0.25, 0.75)

    def test_refuses_features_of_another_number_of_points(self, inputs: dict[str, Tensor]):
        with pytest.raises(TypeCheckError):
            amalgamation(0.9, 0.9).color_features(inputs["color_features"], inputs["style_features"][:3], torch.tensor(1.0))


def gradients_of(module: Amalgamation, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    density, features = both(module, inputs, strength=1.0)
    (density.square().sum() + features.square().sum()).backward()
    return {name: parameter.grad for name, parameter in module.named_parameters() if parameter.grad is not None}
