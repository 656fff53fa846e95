"""Renders the scene and the style pictures that ship with the project: `python scripts/make/demo_scene.py`.

The scene is a still life by ray marching of a signed distance function, textured by formulas, lit by one lamp: nothing
is downloaded, and the same seed gives the same files.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import torch
import tyro
from rich.progress import track
from torch import Tensor

SCENES = Path(__file__).resolve().parents[2] / "scenes"
FLOOR, WALL, POT, APPLE, PEAR, BOWL, LEAF = range(7)


@dataclass
class Settings:
    """What to render."""

    output: Path = SCENES / "still_life"
    """Folder of the scene."""
    num_views: int = 60
    size: int = 144
    """Side of the square pictures, in pixels."""
    samples: int = 3
    """Rays along a pixel's side, averaged."""
    jpeg_quality: int = 92


# ---- shapes: positions [N, 3] (z up) to signed distances [N]


def distances(points: Tensor) -> Tensor:
    """Signed distance to each object, [N, 7], in the order of the constants above."""
    x, y, z = points.unbind(-1)
    floor = z
    wall = 1.7 - y
    radius = torch.hypot(x + 0.35, y - 0.25)
    profile = 0.30 + 0.12 * torch.sin(3.2 * (z - 0.12)) - 0.10 * torch.exp(-(((z - 0.95) / 0.12) ** 2))
    pot = torch.maximum((radius - profile) * 0.8, (z - 0.55).abs() - 0.55)
    apple = _apple(points - torch.tensor([0.55, -0.35, 0.25]), 0.25)
    apple2 = _apple(points - torch.tensor([0.15, -0.62, 0.22]), 0.22)
    pear_points = points - torch.tensor([0.75, 0.25, 0.30])
    pear = _smooth_union(
        pear_points.norm(dim=-1) - 0.28, (pear_points - torch.tensor([0.05, 0.0, 0.36])).norm(dim=-1) - 0.13, 0.16
    )
    bowl_points = points - torch.tensor([-0.65, -0.55, 0.34])
    shell = (bowl_points.norm(dim=-1) - 0.33).abs() - 0.025
    bowl = torch.maximum(shell, bowl_points[:, 2] - 0.02)
    leaves = torch.stack([_leaf(points, angle) for angle in (0.3, 1.5, 2.6, 3.9, 5.2)]).amin(0)
    return torch.stack([floor, wall, pot, torch.minimum(apple, apple2), pear, bowl, leaves], dim=-1)


def _apple(points: Tensor, radius: float) -> Tensor:
    dent = 0.09 * torch.exp(-((torch.hypot(points[:, 0], points[:, 1]) / 0.08) ** 2)) * (points[:, 2] > 0)
    return points.norm(dim=-1) - radius + dent


def _leaf(points: Tensor, angle: float) -> Tensor:
    """A flattened, drooping ellipsoid that grows out of the pot."""
    direction = torch.tensor([np.cos(angle), np.sin(angle), 0.0], dtype=points.dtype)
    side = torch.tensor([-np.sin(angle), np.cos(angle), 0.0], dtype=points.dtype)
    relative = points - torch.tensor([-0.35, 0.25, 1.25]) - 0.28 * direction
    along, across = relative @ direction, relative @ side
    height = relative[:, 2] - 0.35 * along + 0.8 * along**2
    scaled = torch.stack([along / 0.32, across / 0.12, height / 0.035], dim=-1)
    return (scaled.norm(dim=-1) - 1) * 0.03


def _smooth_union(first: Tensor, second: Tensor, width: float) -> Tensor:
    mix = (0.5 + 0.5 * (second - first) / width).clamp(0, 1)
    return torch.lerp(second, first, mix) - width * mix * (1 - mix)


# ---- colours


def base_colors(points: Tensor, objects: Tensor) -> Tensor:
    """RGB [N, 3] of the surface: a checked cloth, a striped wall, a painted pot, fruit with speckles."""
    x, y, z = points.unbind(-1)
    noise = _noise(points * 6)
    checks = ((torch.floor(x * 2.5) + torch.floor(y * 2.5)) % 2)[:, None]
    cloth = torch.where(checks > 0, _rgb(0.78, 0.72, 0.58), _rgb(0.55, 0.22, 0.20)) * (0.9 + 0.1 * noise)
    stripes = (torch.sin(x * 9) > 0)[:, None]
    dots = (torch.hypot((x * 2 % 1) - 0.5, (z * 2 % 1) - 0.5) < 0.16)[:, None]
    wall = torch.where(dots, _rgb(0.85, 0.65, 0.25), torch.where(stripes, _rgb(0.32, 0.42, 0.50), _rgb(0.40, 0.52, 0.58)))
    zigzag = (torch.sin(torch.atan2(y - 0.25, x + 0.35) * 10) * 0.06 + z * 4) % 1
    pot = torch.where((zigzag < 0.35)[:, None], _rgb(0.20, 0.32, 0.55), _rgb(0.85, 0.80, 0.70))
    apple = torch.lerp(_rgb(0.72, 0.12, 0.10), _rgb(0.85, 0.65, 0.20), (0.5 + 0.5 * noise).clamp(0, 1) ** 3)
    pear = torch.lerp(_rgb(0.70, 0.72, 0.25), _rgb(0.55, 0.45, 0.15), (_noise(points * 25) > 0.5).float() * 0.6)
    bowl = torch.where((torch.sin(z * 60) > 0.6)[:, None], _rgb(0.75, 0.45, 0.20), _rgb(0.30, 0.45, 0.40))
    leaf = torch.lerp(_rgb(0.15, 0.38, 0.15), _rgb(0.35, 0.55, 0.20), 0.5 + 0.5 * _noise(points * 15))
    table = torch.stack(torch.broadcast_tensors(cloth, wall, pot, apple, pear, bowl, leaf), dim=1)
    return table[torch.arange(len(points)), objects].clamp(0, 1)


def _rgb(red: float, green: float, blue: float) -> Tensor:
    return torch.tensor([[red, green, blue]])


def _noise(points: Tensor) -> Tensor:
    """A smooth pattern in [-1, 1], [N, 1]."""
    x, y, z = points.unbind(-1)
    wave = torch.sin(x + 1.7 * torch.sin(y)) + torch.sin(y * 1.3 + 1.1 * torch.sin(z)) + torch.sin(z * 1.7 + torch.sin(x))
    return (wave / 3)[:, None]


# ---- rendering


def march(origins: Tensor, directions: Tensor) -> Tensor:
    """Distances to the first hit, by sphere tracing with careful steps."""
    travelled = torch.full(origins.shape[:1], 0.2)
    for _ in range(110):
        travelled = travelled + 0.8 * distances(origins + travelled[:, None] * directions).amin(-1)
    return travelled


def normals(points: Tensor) -> Tensor:
    """Unit normals by central differences."""
    step = 1e-3
    offsets = torch.eye(3) * step
    slopes = [distances(points + offset).amin(-1) - distances(points - offset).amin(-1) for offset in offsets]
    return torch.nn.functional.normalize(torch.stack(slopes, dim=-1), dim=-1)


def shade(points: Tensor) -> Tensor:
    """Colour with light from a lamp, its shadow, and a little light from everywhere."""
    lamp = torch.tensor([-1.6, -2.2, 3.0])
    normal = normals(points)
    to_lamp = torch.nn.functional.normalize(lamp - points, dim=-1)
    lit = torch.ones(len(points))
    travelled = torch.full((len(points),), 0.03)
    for _ in range(30):
        gap = distances(points + 0.01 * normal + travelled[:, None] * to_lamp).amin(-1)
        lit = torch.minimum(lit, (10 * gap / travelled).clamp(0, 1))
        travelled = travelled + gap.clamp(min=0.02)
    diffuse = (normal * to_lamp).sum(-1).clamp(min=0) * lit
    objects = distances(points).argmin(-1)
    light = 0.38 + 0.12 * normal[:, 2] + 0.75 * diffuse
    return (base_colors(points, objects) * light[:, None]).clamp(0, 1) ** 0.9


def camera_pose(index: int, count: int, random: np.random.Generator) -> np.ndarray:
    """A handheld half circle in front of the table: 4x4 camera to world, looking along -z, y up."""
    angle = np.pi * (1.5 + 0.42 * np.sin(2 * np.pi * index / count) + 0.02 * random.normal())
    height = 1.05 + 0.45 * np.sin(2 * np.pi * 3 * index / count) + 0.05 * random.normal()
    center = np.array([2.7 * np.cos(angle), 2.7 * np.sin(angle), height])
    target = np.array([0.05, 0.0, 0.55]) + 0.08 * random.normal(size=3)
    back = center - target
    back /= np.linalg.norm(back)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :4] = np.stack([right, np.cross(back, right), back, center], axis=1)
    return pose


def render(pose: np.ndarray, size: int, focal: float, samples: int) -> np.ndarray:
    """A picture [size, size, 3] of bytes."""
    fine = size * samples
    rows, columns = torch.meshgrid(torch.arange(fine) + 0.5, torch.arange(fine) + 0.5, indexing="ij")
    local = torch.stack([columns / samples - size / 2, size / 2 - rows / samples, -focal * torch.ones_like(rows)], dim=-1)
    matrix = torch.from_numpy(pose).float()
    directions = torch.nn.functional.normalize(local.reshape(-1, 3) @ matrix[:3, :3].T, dim=-1)
    origins = matrix[:3, 3].expand_as(directions)
    points = origins + march(origins, directions)[:, None] * directions
    colors = shade(points).reshape(size, samples, size, samples, 3).mean((1, 3))
    return (colors * 255).round().byte().numpy()


def main(settings: Settings) -> None:
    """Renders all views and writes transforms.json."""
    random = np.random.default_rng(0)
    folder = settings.output / "images"
    folder.mkdir(parents=True, exist_ok=True)
    focal = 1.15 * settings.size
    frames = []
    for index in track(range(settings.num_views), description="rendering"):
        pose = camera_pose(index, settings.num_views, random)
        name = f"images/{index:03d}.jpg"
        picture = render(pose, settings.size, focal, settings.samples)
        imageio.imwrite(settings.output / name, picture, quality=settings.jpeg_quality)
        frames.append({"file_path": name, "transform_matrix": pose.round(6).tolist()})
    camera = {"camera_model": "OPENCV", "fl_x": focal, "fl_y": focal, "cx": settings.size / 2, "cy": settings.size / 2,
              "w": settings.size, "h": settings.size, "k1": 0, "k2": 0, "p1": 0, "p2": 0}  # fmt: skip
    (settings.output / "transforms.json").write_text(json.dumps({**camera, "frames": frames}, indent=1))


if __name__ == "__main__":
    main(tyro.cli(Settings))
