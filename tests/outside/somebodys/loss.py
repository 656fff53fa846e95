"""A style loss of another package: one file, and one line in its entry points."""

import torch
import torch.nn.functional as F


class ChannelMaxima:
    """How far the channels' largest activations are from the style's."""

    pulls_to = "style"
    layers = ("relu1_1", "relu2_1")
    measured_at = "start"

    def prepare(self, reference):
        """Of the style picture, once."""
        return {layer: maps.amax((2, 3)).float() for layer, maps in reference.items()}

    def value(self, seen, kept):
        """Of the pictures, in every step."""
        return torch.stack(
            [
                F.mse_loss(seen.maps[layer].amax((2, 3)).float(), of_style.expand(len(seen.pictures), -1))
                for layer, of_style in kept.items()
            ]
        ).mean()


CHANNEL_MAXIMA = ChannelMaxima()
