import math

import pytest
import torch
import torch.nn.functional as F

from ins3d.fields.mlp import SineMlp, SkippingMlp


class TestSineMlp:
    def test_equals_sines_written_out(self, random: torch.Generator):
        network = SineMlp(2, 8, num_layers=2)
        values = torch.rand(5, 2, generator=random) * 2 - 1
        first, second = network.layers
        hidden = torch.sin(30 * (values @ first.weight.T + first.bias))
        torch.testing.assert_close(network(values), torch.sin(30 * (hidden @ second.weight.T + second.bias)))

    def test_is_drawn_as_the_paper_says(self, random: torch.Generator):
        first, second = SineMlp(2, 256, num_layers=2).layers
        for layer, bound in ((first, 1 / 2), (second, math.sqrt(6 / 256) / 30)):
            assert float(layer.weight.abs().max()) <= bound
            # Uniform in +-bound has a standard deviation of bound / sqrt(3).
            assert float(layer.weight.std()) == pytest.approx(bound / math.sqrt(3), rel=0.1)

    def test_activations_keep_their_spread_through_the_layers(self, random: torch.Generator):
        # The arcsine distribution of section 3.2, whose standard deviation is sqrt(1/2), stays one.
        values = torch.rand(4096, 2, generator=random) * 2 - 1
        for depth in (2, 3, 6):
            assert float(SineMlp(2, 256, depth)(values).std()) == pytest.approx(math.sqrt(0.5), abs=0.05)


class TestSkippingMlp:
    def test_shows_the_inputs_once_more_to_one_layer(self, random: torch.Generator):
        network = SkippingMlp(3, 2, width=5, num_layers=4, skip_to=2)
        assert [layer.in_features for layer in network.layers] == [3, 5, 8, 5]
        values = torch.randn(7, 3, generator=random)
        hidden = values
        for number, layer in enumerate(network.layers):
            if number == 2:
                hidden = torch.cat([hidden, values], dim=1)
            hidden = F.relu(hidden @ layer.weight.T + layer.bias)
        torch.testing.assert_close(network(values), hidden @ network.out.weight.T + network.out.bias)

    def test_has_the_papers_number_of_parameters(self):
        # Spec B: 42 inputs, 8 layers of 256, the inputs again at layer 5, then 128; colour apart.
        layers = 42 * 256 + 256 + 4 * (256 * 256 + 256) + (298 * 256 + 256) + 2 * (256 * 256 + 256)
        network = SkippingMlp(42, 128, 256, num_layers=8, skip_to=5)
        assert sum(parameter.numel() for parameter in network.parameters()) == layers + 256 * 128 + 128
