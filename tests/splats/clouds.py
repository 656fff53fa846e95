"""Small scenes of splats, and cameras before them."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from ins3d.splats.field_views import FieldView, probe_directions
from ins3d.splats.gaussians import Gaussians, plain_gaussians
from ins3d.splats.views import View

BACKGROUND = torch.tensor([1.0, 0.5, 0.2])


def some_splats(number: int = 200, degree: int = 0, seed: int = 1) -> Gaussians:
    """Of all shapes, around the origin."""
    random = torch.Generator().manual_seed(seed)

    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=random)

    splats = plain_gaussians(
        torch.randn(number, 3, generator=random), rand(number, 3) * 0.2 + 0.01, torch.randn(number, 4, generator=random),
        rand(number) * 0.9 + 0.05, rand(number, 3),
    )  # fmt: skip
    coefficients = {0: 0, 1: 3, 2: 8, 3: 15}[degree]
    return Gaussians(**{**vars(splats), "harmonics": 0.3 * torch.randn(number, coefficients, 3, generator=random)})


def a_view(width: int = 40, height: int = 32, angle: float = 0.3, distance: float = 4.0) -> View:
    """From beside and a little above, looking at the origin; its middle is not that of the picture."""
    place = distance * torch.tensor([math.sin(angle), 0.2, math.cos(angle)])
    back = place / place.norm()
    right = torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0]), back)
    right = right / right.norm()
    pose = torch.stack([right, torch.linalg.cross(back, right), back, place], dim=-1)
    return View(pose, 1.2 * width, 1.25 * width, width / 2 + 1.5, height / 2 - 0.7, width, height)


def drawn_one_by_one(view: View, splats: Gaussians, background: Tensor) -> Tensor:
    """The same picture by the definition: splats in order of depth, each over all pixels; gradients by autograd."""
    pose = view.camera_to_world
    rotation = pose[:, :3] * torch.tensor([1.0, -1.0, -1.0])
    local = (splats.means - pose[:, 3]) @ rotation
    down, across = torch.meshgrid(torch.arange(view.height) + 0.5, torch.arange(view.width) + 0.5, indexing="ij")
    light, picture = torch.ones_like(down), torch.zeros(view.height, view.width, 3)
    for index in local[:, 2].argsort().tolist():
        x, y, z = local[index]
        if z <= 0.01:
            continue
        w, i, j, k = splats.rotations[index] / splats.rotations[index].norm()
        own = torch.stack([
            torch.stack([1 - 2 * (j * j + k * k), 2 * (i * j - w * k), 2 * (i * k + w * j)]),
            torch.stack([2 * (i * j + w * k), 1 - 2 * (i * i + k * k), 2 * (j * k - w * i)]),
            torch.stack([2 * (i * k - w * j), 2 * (j * k + w * i), 1 - 2 * (i * i + j * j)]),
        ])  # fmt: skip
        spread = own @ torch.diag(splats.scales[index] ** 2) @ own.T
        limits = 1.3 * view.width / (2 * view.fx), 1.3 * view.height / (2 * view.fy)
        u, v = (x / z).clamp(-limits[0], limits[0]), (y / z).clamp(-limits[1], limits[1])
        zero = torch.zeros(())
        slope = torch.stack([
            torch.stack([view.fx / z, zero, -view.fx * u / z]), torch.stack([zero, view.fy / z, -view.fy * v / z])
        ])  # fmt: skip
        covariance = slope @ rotation.T @ spread @ rotation @ slope.T + 0.3 * torch.eye(2)
        conic = torch.linalg.inv(covariance)
        away = torch.stack([across - (view.fx * x / z + view.cx), down - (view.fy * y / z + view.cy)], dim=-1)
        power = -0.5 * torch.einsum("hwi,ij,hwj->hw", away, conic, away)
        alpha = (splats.opacities[index] * power.exp()).clamp(max=0.99)
        alpha = torch.where(alpha >= 1 / 255, alpha, 0)
        picture = picture + (light * alpha)[..., None] * splats.rgb[index]
        light = light * (1 - alpha)
    return picture + light[..., None] * background


def seen_ball(number: int = 12, side: int = 48) -> list[FieldView]:
    """What cameras all around see of a ball of radius 1 before nothing, whose colours are known: two looks of it."""
    found = []
    for index in range(number):
        view = a_view(side, side, angle=2 * math.pi * index / number)
        view = replace(view, camera_to_world=_tilted(view.camera_to_world, 0.6 * math.sin(2.3 * index)))
        points, _, hit = _first_hits(view)
        pictures = torch.stack([ball_rgb(points), 1 - ball_rgb(points)]) * hit
        probes = view.resized(side // 2, side // 2)
        _, distances, ends = _first_hits(probes)
        edges = torch.linspace(2, 6, 33).expand(len(distances.flatten()), 33)
        inside = (edges[:, :-1] <= distances.reshape(-1, 1)) & (distances.reshape(-1, 1) < edges[:, 1:])
        found.append(FieldView(view, pictures, hit, probes, edges, inside * ends.reshape(-1, 1)))
    return found


def ball_rgb(points: Tensor) -> Tensor:
    """Soft stripes in three directions."""
    return 0.5 + 0.4 * torch.sin(4 * points)


def _tilted(pose: Tensor, angle: float) -> Tensor:
    turn = torch.tensor([[1.0, 0, 0], [0, math.cos(angle), -math.sin(angle)], [0, math.sin(angle), math.cos(angle)]])
    return turn @ pose


def _first_hits(view: View) -> tuple[Tensor, Tensor, Tensor]:
    """(points, distances, 1 where there is one) of a camera's pixels on the ball."""
    directions = probe_directions(view).reshape(*view.shape, 3)
    along = -(directions * view.center).sum(-1, keepdim=True)
    below = along**2 - (view.center @ view.center - 1)
    hit = (below > 0).float()
    distances = along - below.clamp(min=0).sqrt()
    return view.center + distances * directions, distances, hit
