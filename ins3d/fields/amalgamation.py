"""AM, the amalgamation module: content and style features become the stylised density and colour features."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ins3d.fields.mlp import Mlp


class Amalgamation(nn.Module):
    """Mixes content and style under two trainable gates (spec A.4).

    At gate 1 and at strength 0 the content comes through unchanged, to the last bit.

    Differs from INS: the style's share is also multiplied by the strength (the sum of the style code), so that the zero
    code is the content; the release has no such code. Gates start at `gate_init` instead of 1, where every weight but
    the gates has gradient zero.
    """

    def __init__(
        self, num_density_features: int | None, num_color_features: int, num_style_features: int, width: int = 256,
        num_color_layers: int = 4, gate_init: tuple[float, float] = (1.0, 0.9),
        sees_content: bool = True,
    ) -> None:  # fmt: skip
        """Unless it `sees_content`, what is mixed in depends on the style features alone: nothing of how the content is
        stored, such as the cells of its planes, is taken for brushwork."""
        super().__init__()
        self.sees_content = sees_content
        if num_density_features is not None:  # a picture has no density
            self.density_mlp = Mlp(num_density_features + num_style_features, 1, width, num_layers=2)
            self.density_gate = nn.Parameter(torch.tensor(gate_init[0]))
        seen = num_style_features + (num_color_features if sees_content else 0)
        self.color_mlp = Mlp(seen, num_color_features, width, num_color_layers)
        self.rgb_gate = nn.Parameter(torch.tensor(gate_init[1]))

    def raw_density(
        self,
        content_raw_density: Float[Tensor, "*batch 1"],
        density_features: Float[Tensor, "*batch density_channels"],
        style_features: Float[Tensor, "*batch style_channels"],
        strength: Float[Tensor, ""],
    ) -> Float[Tensor, "*batch 1"]:
        """lambda * content + (1 - lambda) * m_d, before the activation; the release calls this gate `lemma`."""
        mixed = self.density_mlp(torch.cat([density_features, style_features], dim=-1))
        return content_raw_density + strength * (1 - self.density_gate) * (mixed - content_raw_density)

    def color_features(
        self,
        content_features: Float[Tensor, "*batch color_channels"],
        style_features: Float[Tensor, "*batch style_channels"],
        strength: Float[Tensor, ""],
    ) -> Float[Tensor, "*batch color_channels"]:
        """gamma * content + (1 - gamma) * m_c, for the content's own colour head."""
        seen = torch.cat([content_features, style_features], dim=-1) if self.sees_content else style_features
        mixed = self.color_mlp(seen)
        return content_features + strength * (1 - self.rgb_gate) * (mixed - content_features)
