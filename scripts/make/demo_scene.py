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
from torch.nn.functional import normalize

SCENES = Path(__file__).resolve().parents[2] / "scenes"
FLOOR, WALL, POT, APPLE, PEAR, BOWL, LEAF, STALK = range(8)
POT_AT = (-0.35, 0.25)
WALL_BENDS, WALL_RADIUS = (2.2, 0.5), 1.2
"""The wall stands behind the table and turns forward, in a quarter of a circle, on both sides."""
STALKS = ((0.55, -0.35, 0.40), (0.15, -0.62, 0.34), (0.80, 0.25, 0.77))
LAMP = (-1.6, -2.2, 3.0)
ARRIVED = 5e-4


@dataclass
class Settings:
    """What to render."""

    output: Path = SCENES / "still_life"
    """Folder of the scene."""
    num_views: int = 60
    size: int = 320
    """Side of the square pictures, in pixels."""
    samples: int = 2
    """Rays along a pixel's side, averaged."""
    jpeg_quality: int = 92


# ---- shapes: positions [N, 3] (z up) to signed distances [N]


def distances(points: Tensor) -> Tensor:
    """Signed distance to each object, [N, 8], in the order of the constants above."""
    x, y, z = points.unbind(-1)
    aside, behind = x.abs() - WALL_BENDS[0], y - WALL_BENDS[1]
    bend = torch.hypot(aside.clamp(min=0), behind.clamp(min=0)) + torch.maximum(aside, behind).clamp(max=0)
    radius = torch.hypot(x - POT_AT[0], y - POT_AT[1])
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
    leaves = torch.minimum(_leaves(points, 5, 0.3, slope=0.35), _leaves(points, 4, 0.9, slope=1.0))
    stalks = torch.stack([_stalk(points - torch.tensor(foot)) for foot in STALKS]).amin(0)
    return torch.stack([z, WALL_RADIUS - bend, pot, torch.minimum(apple, apple2), pear, bowl, leaves, stalks], dim=-1)


def _apple(points: Tensor, radius: float) -> Tensor:
    dent = 0.09 * torch.exp(-((torch.hypot(points[:, 0], points[:, 1]) / 0.08) ** 2)) * (points[:, 2] > 0)
    return points.norm(dim=-1) - radius + dent


def _stalk(points: Tensor) -> Tensor:
    """A twig that bends to the side."""
    x, y, z = points.unbind(-1)
    height = z.clamp(0, 0.1)
    return torch.stack([x - 3 * height**2, y, z - height], dim=-1).norm(dim=-1) * 0.8 - 0.011


def _leaves(points: Tensor, count: int, turn: float, slope: float) -> Tensor:
    """Flattened, drooping ellipsoids that grow out of the pot to all sides; only the nearest one is looked at."""
    along, across = _in_leaf(points, count, turn)
    along, above = along - 0.28, points[:, 2] - 1.25
    local = torch.stack([along, across, above - slope * along + 0.8 * along**2], dim=-1)
    radii = torch.tensor([0.32, 0.12, 0.035])
    scaled = (local / radii).norm(dim=-1)
    near = 0.6 / (1 + slope) * scaled * (scaled - 1) / (local / radii**2).norm(dim=-1).clamp(min=1e-6)
    return torch.maximum(near, torch.stack([along, across, above], dim=-1).norm(dim=-1) - 0.55)


def _in_leaf(points: Tensor, count: int, turn: float) -> tuple[Tensor, Tensor]:
    """How far along, and beside, the nearest of `count` directions out of the pot, of which the first is `turn`."""
    x, y = points[:, 0] - POT_AT[0], points[:, 1] - POT_AT[1]
    sector = 2 * np.pi / count
    angle = torch.remainder(torch.atan2(y, x) - turn + sector / 2, sector) - sector / 2
    radius = torch.hypot(x, y)
    return radius * angle.cos(), radius * angle.sin()


def _smooth_union(first: Tensor, second: Tensor, width: float) -> Tensor:
    mix = (0.5 + 0.5 * (second - first) / width).clamp(0, 1)
    return torch.lerp(second, first, mix) - width * mix * (1 - mix)


# ---- colours


def base_colors(points: Tensor, objects: Tensor) -> Tensor:
    """RGB [N, 3] of the surface: a checked cloth, flowered wallpaper, a painted pot, fruit with speckles."""
    noise = _noise(points * 6)
    apple = torch.lerp(_rgb(0.70, 0.10, 0.08), _rgb(0.88, 0.66, 0.22), (0.5 + 0.5 * noise).clamp(0, 1) ** 3)
    apple = torch.lerp(apple, _rgb(0.95, 0.78, 0.45), (_noise(points * 55) > 0.72).float() * 0.5)
    pear = torch.lerp(_rgb(0.72, 0.72, 0.25), _rgb(0.80, 0.45, 0.20), ((points[:, :1] - 0.75) * 2.5).clamp(0, 0.6))
    pear = torch.lerp(pear, _rgb(0.52, 0.40, 0.14), (_noise(points * 25) > 0.5).float() * 0.6)
    bowl = torch.where((torch.sin(points[:, 2:] * 60) > 0.6), _rgb(0.78, 0.47, 0.20), _rgb(0.28, 0.46, 0.42))
    stalk = _rgb(0.30, 0.20, 0.12)
    colors = [_cloth(points, noise), _wallpaper(points, noise), _glaze(points), apple, pear, bowl, _green(points), stalk]
    table = torch.stack(torch.broadcast_tensors(*colors), dim=1)
    return table[torch.arange(len(points)), objects].clamp(0, 1)


def _cloth(points: Tensor, noise: Tensor) -> Tensor:
    """Checks, and a stitched line inside each square."""
    squares = points[:, :2] * 2.5
    red = squares.floor().sum(1, keepdim=True) % 2 > 0
    stitched = ((squares % 1 - 0.5).abs().amax(1, keepdim=True) - 0.38).abs() < 0.02
    fields = torch.where(red, _rgb(0.60, 0.19, 0.17), _rgb(0.84, 0.78, 0.64))
    lines = torch.where(red, _rgb(0.84, 0.60, 0.44), _rgb(0.62, 0.30, 0.26))
    return torch.where(stitched, lines, fields) * (0.92 + 0.08 * noise)


def _wallpaper(points: Tensor, noise: Tensor) -> Tensor:
    """Stripes with thin edges, and flowers in rows; both go round the wall's bends."""
    x, y, z = points.unbind(-1)
    aside, behind = x.abs() - WALL_BENDS[0], y - WALL_BENDS[1]
    turned = torch.atan2(aside.clamp(min=0), behind.clamp(min=0))
    along = x.sign() * (x.abs().clamp(max=WALL_BENDS[0]) + WALL_RADIUS * turned + (-behind).clamp(min=0) * (aside > 0))
    wave = torch.sin(along * 9)[:, None]
    stripes = torch.where(wave > 0, _rgb(0.30, 0.41, 0.52), _rgb(0.41, 0.54, 0.60))
    stripes = torch.where((wave - 0.3).abs() < 0.09, _rgb(0.62, 0.66, 0.58), stripes) * (0.96 + 0.04 * noise)
    right, up = along * 2 % 1 - 0.5, z * 2 % 1 - 0.5
    radius = torch.hypot(right, up)[:, None]
    petals = 0.15 + 0.045 * torch.cos(6 * torch.atan2(up, right))[:, None]
    flowers = torch.where(radius < 0.06, _rgb(0.70, 0.30, 0.16), _rgb(0.90, 0.70, 0.28))
    return torch.where(radius < petals, flowers, stripes)


def _glaze(points: Tensor) -> Tensor:
    """Zigzags on white, with a thin line of gold under each."""
    x, y, z = points.unbind(-1)
    zigzag = ((torch.sin(torch.atan2(y - POT_AT[1], x - POT_AT[0]) * 10) * 0.06 + z * 4) % 1)[:, None]
    white = torch.where((zigzag - 0.55).abs() < 0.04, _rgb(0.74, 0.55, 0.24), _rgb(0.88, 0.84, 0.75))
    return torch.where(zigzag < 0.35, _rgb(0.17, 0.29, 0.56), white)


def _green(points: Tensor) -> Tensor:
    """Leaves with a light vein."""
    green = torch.lerp(_rgb(0.18, 0.46, 0.19), _rgb(0.48, 0.68, 0.26), 0.5 + 0.5 * _noise(points * 15))
    vein = torch.minimum(_in_leaf(points, 5, 0.3)[1].abs(), _in_leaf(points, 4, 0.9)[1].abs()) < 0.012
    return torch.where(vein[:, None], _rgb(0.74, 0.84, 0.46), green)


def _rgb(red: float, green: float, blue: float) -> Tensor:
    return torch.tensor([[red, green, blue]])


def _noise(points: Tensor) -> Tensor:
    """A smooth pattern in [-1, 1], [N, 1]."""
    x, y, z = points.unbind(-1)
    wave = torch.sin(x + 1.7 * torch.sin(y)) + torch.sin(y * 1.3 + 1.1 * torch.sin(z)) + torch.sin(z * 1.7 + torch.sin(x))
    return (wave / 3)[:, None]


# ---- rendering


def march(origins: Tensor, directions: Tensor) -> Tensor:
    """Distances to the first hit, [N], by sphere tracing with careful steps; rays that have arrived are left alone."""
    travelled = torch.full(origins.shape[:1], 0.2)
    moving = torch.arange(len(origins))
    for _ in range(110):
        gap = distances(origins[moving] + travelled[moving, None] * directions[moving]).amin(-1)
        travelled[moving] += 0.8 * gap
        moving = moving[gap > ARRIVED]
    return travelled


def lit(points: Tensor, to_lamp: Tensor) -> Tensor:
    """Share of the lamp that is seen, [N]: 0 in a shadow, between at its soft edge."""
    far = to_lamp.norm(dim=-1)
    ways = to_lamp / far[:, None]
    share, travelled, open_ways = torch.ones_like(far), torch.full_like(far, 0.03), torch.arange(len(far))
    for _ in range(30):
        gap = distances(points[open_ways] + travelled[open_ways, None] * ways[open_ways]).amin(-1)
        share[open_ways] = torch.minimum(share[open_ways], (10 * gap / travelled[open_ways]).clamp(0, 1))
        travelled[open_ways] += gap.clamp(min=0.02)
        open_ways = open_ways[(share[open_ways] > 0) & (travelled[open_ways] < far[open_ways])]
    return share


def normals(points: Tensor) -> Tensor:
    """Unit normals by central differences."""
    step = 1e-3
    offsets = torch.eye(3) * step
    slopes = [distances(points + offset).amin(-1) - distances(points - offset).amin(-1) for offset in offsets]
    return normalize(torch.stack(slopes, dim=-1), dim=-1)


def shade(points: Tensor) -> Tensor:
    """Colour in a warm lamp with its shadow and a cool light from everywhere, darker where things are near."""
    normal = normals(points)
    to_lamp = torch.tensor(LAMP) - points
    diffuse = (normal * normalize(to_lamp, dim=-1)).sum(-1).clamp(min=0) * lit(points + 0.01 * normal, to_lamp)
    nearness = [1 - distances(points + reach * normal).amin(-1) / reach for reach in (0.08, 0.25)]
    open_sky = (1 - 0.30 * nearness[0] - 0.30 * nearness[1]).clamp(0, 1)
    everywhere = (0.50 + 0.12 * normal[:, 2]) * open_sky
    light = everywhere[:, None] * _rgb(0.94, 0.98, 1.08) + 0.85 * diffuse[:, None] * _rgb(1.06, 1.0, 0.88)
    return (base_colors(points, distances(points).argmin(-1)) * light).clamp(0, 1) ** 0.9


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
    directions = normalize(local.reshape(-1, 3) @ matrix[:3, :3].T, dim=-1)
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
