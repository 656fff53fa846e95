"""Where splats are looked at from: the cameras that are given, or some all around what is dense."""

from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation, Slerp
from torch import Tensor

from ins3d.files.cameras import PosedCamera, read_cameras
from ins3d.files.colmap import read_colmap
from ins3d.placement.cameras import ObjectCameras, looking_cameras, walk
from ins3d.placement.scene import Placement, placement_from_points
from ins3d.splats.gaussians import Gaussians
from ins3d.splats.projection import project
from ins3d.splats.views import View

DISTANCE = 3.0
"""Of cameras around splats from their middle, in radii of the ball that they show."""
NEARLY_ALL, COMPACT = 0.98, 2.5
"""Share of the splats that is shown where it lies within so many times the distance within which half of them lie."""
IN_THE_WAY = 0.15
"""Share of that distance before a camera in which nothing solid may be."""
FEWEST = 4
NEIGHBOURS = 4


def given_views(path: Path, size: int) -> list[View]:
    """The cameras of a transforms.json, or of a folder of COLMAP's, `size` pixels along their longer side.

    Lenses are taken for straight ones: splats know no others. Raises FileNotFoundError or ValueError naming `cameras`.
    """
    if path.is_dir() and (path / "transforms.json").is_file():
        path = path / "transforms.json"
    posed = read_colmap(path) if path.is_dir() else read_cameras(path, (size, size))
    if not posed:
        raise ValueError(f"cameras: {path} has no frames; give the cameras of these splats, or leave them out.")
    return [_view(posed[name], size) for name in sorted(posed)]


def _view(camera: PosedCamera, size: int) -> View:
    shape = camera.shape or 1.0
    width, height = max(round(size * min(shape, 1)), 1), max(round(size / max(shape, 1)), 1)
    fx, fy, cx, cy = (camera.intrinsics * torch.tensor([width, height] * 2)).tolist()
    return View(camera.camera_to_world, fx, fy, cx, cy, width, height)


def views_around(splats: Gaussians, number: int, size: int) -> list[View]:
    """Square pictures from all sides of where splats are dense, of cameras that stand in the open.

    Nearly all splats lie in a picture; where some lie far beyond the others, as of an object in its surroundings, the half
    that is nearest to the median of all.
    """
    weight = splats.opacities
    solid = splats.means[weight > 0.3] if int((weight > 0.3).sum()) > 10 else splats.means
    middle = solid.median(dim=0).values
    own = splats.scales.amax(-1).median()  # of few splats: what they cover themselves
    away = (solid - middle).norm(dim=-1).sort().values
    half, nearly_all = away[len(away) // 2], away[int(NEARLY_ALL * (len(away) - 1))]
    radius = torch.maximum(nearly_all if nearly_all < COMPACT * half else half, 2 * own)
    height = 1 - 2 * (torch.arange(2 * number) + 0.5) / (2 * number)
    angle = torch.arange(2 * number) * torch.pi * (3 - 5**0.5)
    flat = (1 - height.square()).sqrt()
    centers = DISTANCE * torch.stack([flat * angle.sin(), height, flat * angle.cos()], dim=-1)
    cameras = looking_cameras(centers, "y", size)
    apart = torch.cdist(centers * radius + middle, solid[torch.linspace(0, len(solid) - 1, 20_000).long().unique()]).amin(1)
    free = apart > IN_THE_WAY * DISTANCE * radius
    chosen = (free if int(free.sum()) >= FEWEST else torch.ones_like(free)).nonzero()[:, 0]
    chosen = chosen[torch.linspace(0, len(chosen) - 1, min(number, len(chosen))).round().long()]
    return in_scene(cameras[chosen.tolist()], middle, float(radius))


def in_scene(cameras: ObjectCameras, middle: Float[Tensor, " 3"], radius: float) -> list[View]:
    """Cameras around the unit ball as views of the scene whose ball lies there."""
    found = []
    for pose, (fx, fy, cx, cy) in zip(cameras.camera_to_world, cameras.intrinsics.tolist(), strict=True):
        placed = torch.cat([pose[:, :3], (pose[:, 3] * radius + middle)[:, None]], dim=1)
        found.append(View(placed, fx, fy, cx, cy, cameras.width, cameras.height))
    return found


def walk_through(views: list[View], number: int) -> list[View]:
    """From each view to the nearest that is left, and back to the first: `number` views, all of the first one's size."""
    order, left = [0], set(range(1, len(views)))
    places = torch.stack([view.center for view in views])
    while left:
        order.append(min(left, key=lambda each: float((places[order[-1]] - places[each]).norm())))
        left.remove(order[-1])
    every = max(len(order) // max(number // 12, 2), 1)
    stops = [views[each].resized(views[0].width, views[0].height) for each in order[::every]]
    middle = places.mean(0)
    scale = float((places - middle).norm(dim=-1).median().clamp(min=1e-9))
    poses = torch.stack(
        [torch.cat([s.camera_to_world[:, :3], ((s.center - middle) / scale)[:, None]], dim=1) for s in stops]
    )
    intrinsics = torch.tensor([[s.fx, s.fy, s.cx, s.cy] for s in stops])
    return in_scene(walk(ObjectCameras(poses, intrinsics, *views[0].shape), number), middle, scale)


def place_of(splats: Gaussians, views: list[View]) -> Placement:
    """Where strokes are fine: around four fifths of what the cameras see. Raises ValueError where they see nothing."""
    points, depths = [], []
    for view in views:
        ellipses = project(view, splats.means, splats.scales, splats.rotations, splats.opacities)
        _, inside = view.places(view.seen_from(splats.means))
        shown = ellipses.seen & inside & (splats.opacities > 0.1)
        points.append(splats.means[shown])
        depths.append(ellipses.depths[shown])
    if sum(map(len, points)) == 0:
        raise ValueError(
            f"cameras: none of {len(views)} cameras sees a splat; give the cameras of this scene, or leave them out."
        )
    every, depth = torch.cat(points), torch.cat(depths)
    some = torch.linspace(0, len(every) - 1, 1_000_000).long().unique()
    found = placement_from_points(every[some], depth[some], "what the cameras see of the splats")
    return replace(found, radius=max(found.radius, 2 * float(splats.scales.amax(-1).median())))  # few are all in one place


def between(views: list[View], number: int, generator: torch.Generator) -> list[View]:
    """Views from places between the given ones and their near neighbours: the first looks as the first, and so on, evenly.

    A field can be looked at from anywhere; splats that are fitted to the photographs' cameras alone look well from there.
    """
    places = torch.stack([view.center for view in views])
    apart = torch.cdist(places, places).fill_diagonal_(float("inf"))
    found = []
    for index in torch.linspace(0, len(views) - 1, number).round().long().tolist():
        near = [*apart[index].argsort()[: min(NEIGHBOURS, len(views) - 1)].tolist(), index]
        other = views[near[int(torch.randint(max(len(near) - 1, 1), (), generator=generator))]]
        share = 0.2 + 0.6 * float(torch.rand((), generator=generator))
        rotations = torch.stack([each.camera_to_world[:, :3] for each in (views[index], other)])
        turned = Slerp([0, 1], Rotation.from_matrix(rotations.double().numpy()))(share).as_matrix()
        place = torch.lerp(views[index].center, other.center, share)
        pose = torch.cat([torch.from_numpy(turned).to(place), place[:, None]], dim=1)
        found.append(replace(views[index], camera_to_world=pose))
    return found
