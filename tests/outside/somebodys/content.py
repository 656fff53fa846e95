"""A content of another package: a ball of one colour that is learned, met analytically; no samples, no networks."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ins3d.fields.merged_points import SurfacePoints
from ins3d.plugin.contents.content import Content, LearnableContent, Look


@dataclass
class BallSettings:
    """The keys of `--pipeline.model.content somebodys_ball`."""

    size: float = 0.5
    """Radius, in radii of the scene."""

    def setup(self) -> "Ball":
        """Builds it."""
        return Ball(self.size)


class Ball(Content, LearnableContent):
    """Around the scene's centre."""

    num_color_features = 3

    def __init__(self, size: float) -> None:
        super().__init__()
        self.size = size
        self.color = torch.nn.Parameter(torch.zeros(3))

    def look(self, rays, merging):
        """One point a ray, where it enters the ball."""
        to_center = self.placement.center - rays.origins
        closest = (to_center * rays.directions).sum(-1, keepdim=True)
        under_root = (self.size * self.placement.radius) ** 2 - (to_center.square().sum(-1, keepdim=True) - closest**2)
        hit = ((under_root > 0) & (closest > 0)).float()
        depth = torch.where(hit > 0, closest - under_root.clamp(min=0).sqrt(), self.placement.far + 2)
        colors = torch.sigmoid(self.color).expand(len(hit), 3)
        positions = self.placement(rays.origins + rays.directions * depth)
        points = SurfacePoints(*(each[:, None] for each in (positions, colors, hit, torch.zeros_like(hit))))
        return Look(hit * colors + (1 - hit) * self.background, hit, depth, points, hit[:, None])

    def restyle(self, points, features, directions):
        """There is no colour head: features are colours."""
        return features.clamp(0, 1)

    def normals(self, points):
        """Away from the centre."""
        return F.normalize(points - self.placement.center, dim=-1)

    def param_groups(self):
        """The colour."""
        return {"content": [self.color]}

    def training_outputs(self, rays, view_dropout):
        """As it is rendered."""
        return {"rgb": self.look(rays, None).rgb, "background": self.background}

    def losses(self, outputs, image):
        """The photometric one."""
        return {"rgb_loss": F.mse_loss(outputs["rgb"], image)}


@dataclass
class NothingSettings:
    """Registered, but it builds nothing."""
