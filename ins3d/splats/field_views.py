"""What a field shows cameras, as splats are made of it."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ins3d.splats.views import View


@dataclass
class FieldView:
    """Pictures of one camera, and how the field is spread along some of its rays."""

    view: View
    pictures: Float[Tensor, "looks height width 3"]
    """The content, then every style alone at full strength, in [0, 1]; without the background, that is, times alpha."""
    alpha: Float[Tensor, "height width 1"]
    """The share of each pixel that is not background."""
    probes: View
    """The same camera with fewer pixels: its rays are those below."""
    edges: Float[Tensor, "rays edges"]
    """Of the samples along each ray, in scene units from the camera; may be of half precision."""
    weights: Float[Tensor, "rays samples"]
    """Volume rendering weights of the samples."""

    def over(self, look: int, background: Float[Tensor, " 3"]) -> Float[Tensor, "height width 3"]:
        """One of the pictures over a background."""
        return self.pictures[look] + (1 - self.alpha) * background

    def window(self, left: int, top: int, width: int, height: int) -> "FieldView":
        """A part of it; the probes are those of the whole."""
        rows, columns = slice(top, top + height), slice(left, left + width)
        view = self.view.window(left, top, width, height)
        pictures, alpha = self.pictures[:, rows, columns], self.alpha[rows, columns]
        return FieldView(view, pictures, alpha, self.probes, self.edges, self.weights)


def probe_directions(view: View) -> Float[Tensor, "rays 3"]:
    """Unit vectors through the middles of a camera's pixels, row by row."""
    rows, columns = torch.meshgrid(torch.arange(view.height) + 0.5, torch.arange(view.width) + 0.5, indexing="ij")
    local = torch.stack([(columns - view.cx) / view.fx, (rows - view.cy) / view.fy, torch.ones_like(rows)], dim=-1)
    return torch.nn.functional.normalize(local.reshape(-1, 3) @ view.axes(), dim=-1)
