"""Plain, sine and skipping layers: numbers in, numbers out, one hidden width."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class Mlp(nn.Module):
    """`num_layers` linear layers with ReLU between them and none after the last."""

    def __init__(self, num_inputs: int, num_outputs: int, width: int, num_layers: int) -> None:
        super().__init__()
        sizes = [num_inputs] + [width] * (num_layers - 1) + [num_outputs]
        layers: list[nn.Module] = []
        for size_in, size_out in zip(sizes[:-1], sizes[1:], strict=True):
            layers += [nn.Linear(size_in, size_out), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, values: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """The last layer's answer, without activation."""
        return self.layers(values)


class SineMlp(nn.Module):
    """Linear layers, each followed by sin(30 x), drawn so that activations keep their spread (SIREN, section 3.2).

    Sitzmann et al. 2020. The last layer's sines come out; a linear read-out is the caller's.
    """

    FREQUENCY = 30.0

    def __init__(self, num_inputs: int, width: int, num_layers: int) -> None:
        super().__init__()
        layers = [nn.Linear(width if index else num_inputs, width) for index in range(num_layers)]
        self.layers = nn.ModuleList(layers)
        for index, layer in enumerate(layers):
            bound = (6 / width) ** 0.5 / self.FREQUENCY if index else 1 / num_inputs
            nn.init.uniform_(layer.weight, -bound, bound)

    def forward(self, values: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch width"]:
        """Sines in [-1, 1]."""
        for layer in self.layers:
            values = torch.sin(self.FREQUENCY * layer(values))
        return values


class SkippingMlp(nn.Module):
    """ReLU after each of `num_layers` layers, the inputs once more before layer `skip_to` (INR-st; NeRF)."""

    def __init__(self, num_inputs: int, num_outputs: int, width: int, num_layers: int, skip_to: int) -> None:
        super().__init__()
        self.skip_to = skip_to
        sizes = [num_inputs] + [width] * (num_layers - 1)
        sizes[skip_to] += num_inputs
        layers = [nn.Linear(size, width) for size in sizes]
        self.layers = nn.ModuleList(layers)
        for layer in layers:
            nn.init.xavier_uniform_(layer.weight)
        self.out = nn.Linear(width, num_outputs)

    def forward(self, values: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """The last layer's answer, without activation."""
        hidden = values
        for index, layer in enumerate(self.layers):
            hidden = F.relu(layer(torch.cat([hidden, values], dim=-1) if index == self.skip_to else hidden))
        return self.out(hidden)
