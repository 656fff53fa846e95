import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from ins3d.fields.point_encoding import FrequencyEncoding
from ins3d.fields.style_features import StyleFeatures, StylePlanes


class TestStyleFeatures:
    def test_has_as_many_parameters_as_the_paper(self):
        assert count(StyleFeatures(FrequencyEncoding(3, 10), 1)) == 214_784

    def test_each_further_style_costs_four_weights_per_channel(self):
        # The code enters all four layers: 4 * 256.
        assert count(StyleFeatures(FrequencyEncoding(3, 10), 3)) == 214_784 + 2 * 1_024

    def test_equals_the_papers_network_written_out(self, random: torch.Generator):
        encoding = FrequencyEncoding(3, 10)
        network = StyleFeatures(encoding, num_styles=2, width=12)
        positions, code = torch.rand(5, 3, generator=random), torch.tensor([0.3, 0.7])
        columns = torch.stack(list(network.columns), dim=-1).detach().double().numpy()  # layer, channel, style
        rest = [layer.weight.detach().double().numpy() for layer in network.layers]
        weights = [columns[0]] + [np.concatenate([rest[i], columns[i + 1]], axis=-1) for i in range(3)]
        biases = [b.detach().double().numpy() for b in (network.first_bias, *(layer.bias for layer in network.layers))]
        encoded = encoding(positions).double().numpy()
        s = np.repeat(code.double().numpy()[None], 5, axis=0)
        # Spec A.3: l0(s), l1([e, xyz_enc, s]), l2([e, s]), l3([e, s]), ReLU after each.
        e = np.maximum(s @ weights[0].T + biases[0], 0)
        e = np.maximum(np.concatenate([e, encoded, s], axis=-1) @ weights[1].T + biases[1], 0)
        for layer in (2, 3):
            e = np.maximum(np.concatenate([e, s], axis=-1) @ weights[layer].T + biases[layer], 0)
        np.testing.assert_allclose(network(positions, code).detach().numpy(), e, atol=1e-5)

    def test_one_code_serves_a_batch_of_any_shape(self, random: torch.Generator):
        network = StyleFeatures(StylePlanes(3, (4, 8), 4), num_styles=3, width=8)
        positions, code = torch.rand(2, 4, 3, generator=random), torch.tensor([0.0, 1.0, 0.0])
        torch.testing.assert_close(network(positions, code)[1, 2], network(positions[1, 2], code))

    def test_hands_the_spread_to_the_encoding(self, random: torch.Generator):
        network = StyleFeatures(StylePlanes(1, (32,), 4), num_styles=1, width=32)
        positions, code = torch.rand(6, 3, generator=random), torch.ones(1)
        # A huge spread leaves nothing of the planes, so every point gets the same answer.
        blurred = network(positions, code, torch.full((6, 1), 100.0))
        torch.testing.assert_close(blurred, blurred[:1].expand(6, -1))
        assert not torch.allclose(network(positions, code), blurred)

    def test_gradients_reach_the_code_and_equal_finite_differences(self, random: torch.Generator):
        network = StyleFeatures(FrequencyEncoding(3, 3), num_styles=2, width=6).double()
        positions = torch.rand(3, 3, generator=random).double()
        code = torch.tensor([0.4, 0.6], dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda code: network(positions, code), (code,))

    def test_refuses_a_code_for_every_point(self, random: torch.Generator):
        network = StyleFeatures(FrequencyEncoding(3, 3), num_styles=2, width=6)
        with pytest.raises(TypeCheckError):
            network(torch.zeros(4, 3), torch.zeros(4, 2))


class TestStylePlanes:
    def test_are_read_by_style_and_weighed_by_the_code(self, random: torch.Generator):
        planes = StylePlanes(3, (4, 8), 4)
        positions, spread = torch.rand(5, 3, generator=random), torch.full((5, 1), 0.1)
        read = [planes.styles[index](positions, spread) for index in range(3)]
        code = torch.tensor([0.2, 0.0, 0.7])
        torch.testing.assert_close(planes(positions, code, spread), 0.2 * read[0] + 0.7 * read[2])
        assert planes(positions, code, spread).shape == (5, planes.num_outputs)

    def test_a_style_that_weighs_nothing_is_neither_read_nor_moved(self, random: torch.Generator):
        planes = StylePlanes(2, (4,), 4)
        planes(torch.rand(5, 3, generator=random), torch.tensor([0.0, 0.5])).sum().backward()
        assert all(parameter.grad is None for parameter in planes.styles[0].parameters())
        assert all(float(parameter.grad.abs().sum()) > 0 for parameter in planes.styles[1].parameters())


def count(network: StyleFeatures) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
