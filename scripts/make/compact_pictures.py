"""Crops become pictures on their way from a content to a style."""

import torch
from torch import Tensor

from ins3d.perception.features import FeatureMaps
from ins3d.perception.losses import content_loss, grams_of, relative_gram_loss
from ins3d.transfer.crops import Crops

CONTENT_LAYER = "relu2_2"


class OnPolicyPictures:
    """Pictures that Adam pulls towards styles by what the student says of them; begun anew every `lifetime` steps."""

    def __init__(
        self, photographs: Crops, paintings: Crops, number: int, generator: torch.Generator, lifetime: int = 80
    ) -> None:
        self.photographs = photographs
        self.paintings = paintings
        self.number = number
        self.generator = generator
        self.lifetime = lifetime
        self.age = lifetime
        self.pixels = torch.zeros(0)
        self.contents = torch.zeros(0)
        self.styles = torch.zeros(0)
        self.content_weight = torch.zeros(1)
        self.momentum = torch.zeros(2)

    def pictures(self) -> Tensor:
        """The pictures as they are now; gradients can reach them."""
        if self.age >= self.lifetime:
            self._begin()
        return self.pixels.requires_grad_(True)

    def loss(self, maps: FeatureMaps, contents: FeatureMaps, styles: FeatureMaps) -> Tensor:
        """What the student says is wrong with the pictures, summed over them, from its features of all three."""
        style = relative_gram_loss(grams_of(maps), grams_of(styles))
        size = contents[CONTENT_LAYER].square().mean()
        return self.number * (style + self.content_weight[0] * content_loss(maps, contents) / size)

    def move(self, gradient: Tensor) -> None:
        """One step of Adam on the pixels; at first large, so that the whole way is seen within a lifetime."""
        self.age += 1
        rate = 0.04 * (1 - self.age / (self.lifetime + 1)) + 0.005
        mean, square = self.momentum
        mean.mul_(0.9).add_(gradient, alpha=0.1)
        square.mul_(0.99).addcmul_(gradient, gradient, value=0.01)
        mean_hat, square_hat = mean / (1 - 0.9**self.age), square / (1 - 0.99**self.age)
        self.pixels = (self.pixels.detach() - rate * mean_hat / (square_hat.sqrt() + 1e-8)).clamp(0, 1)

    def _begin(self) -> None:
        self.age = 0
        self.contents = self.photographs.draw(self.number)
        self.styles = self.paintings.draw(self.number)
        # From nothing but texture to hardly any style.
        self.content_weight = torch.rand(1, generator=self.generator) ** 2
        self.pixels = self.contents.clone()
        self.momentum = torch.zeros(2, *self.pixels.shape)

    def state_dict(self) -> dict[str, Tensor | int]:
        """Everything that a resumed run needs."""
        tensors = {name: getattr(self, name).detach() for name in self._tensors()}
        return tensors | {"age": self.age}

    def load_state_dict(self, state: dict[str, Tensor | int]) -> None:
        """Goes on from there."""
        for name, value in state.items():
            setattr(self, name, value)

    def _tensors(self) -> tuple[str, ...]:
        return ("pixels", "contents", "styles", "content_weight", "momentum")
