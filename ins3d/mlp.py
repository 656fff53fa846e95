"""Plain layers: numbers in, numbers out, one hidden width."""

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
