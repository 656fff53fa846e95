"""Splats are put where a field is dense, and get the opacity that the field has there.

Points drawn from the weights along rays, and not the rays' mean depths: those lie between what is near and what is far
wherever a pixel sees both, and hang as veils behind every edge (docs/results.md, Splats).
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.spatial import cKDTree
from torch import Tensor

from ins3d.splats.field_views import FieldView, probe_directions
from ins3d.splats.gaussians import Gaussians, plain_gaussians
from ins3d.splats.views import View, nearest_pixel

LEAST_ACCUMULATION = 0.75
"""Of a ray from which a point is drawn."""
LEAST_OPACITY = 0.05
"""Of what the field has around a point; else it is no surface."""
LEAST_SEEN = 0.1
"""Of a camera's light that reaches a point, for one camera at least."""
WIDTH = 0.6
"""Standard deviation of a splat, in distances to its neighbours."""
NEIGHBOURS = 4
MOST_OPACITY = 0.98


def place_splats(
    seen: list[FieldView], cell: float, most: int, generator: torch.Generator
) -> tuple[Gaussians, Float[Tensor, "looks splats 3"]]:
    """(round splats, one for each cell of the space that rays end in, at most `most`; their colours under every look).

    `cell`: a cell's width, in pixels of the nearest camera. Where there are too many, those that show most are kept.
    Raises ValueError where rays end nowhere.
    """
    views = [each.view for each in seen]
    points, looks = (torch.cat(parts) for parts in zip(*(_drawn_points(each, generator) for each in seen), strict=True))
    points, looks, pixel = _merged(points, looks, views, cell)
    alpha, most_light, mass = around(points, cell * pixel, seen)
    kept = (alpha > LEAST_OPACITY) & (most_light > LEAST_SEEN)
    if int(kept.sum()) <= NEIGHBOURS:
        raise ValueError("load-config: the run's field is empty where its cameras look; no splats can be made of it.")
    chosen = mass.masked_fill(~kept, -1).argsort(descending=True)[: min(most, int(kept.sum()))]
    points, looks, alpha, pixel = (each[chosen] for each in (points, looks, alpha, pixel))
    apart = cKDTree(points.numpy()).query(points.numpy(), k=NEIGHBOURS + 1, workers=-1)[0][:, 1:].mean(-1)
    size = torch.minimum(torch.from_numpy(apart).float(), 2 * cell * pixel)
    upright = torch.tensor([1.0, 0, 0, 0]).expand(len(points), 4)
    scales = WIDTH * size[:, None].expand(-1, 3)
    return plain_gaussians(points, scales, upright, _opacity(alpha), looks[:, :3]), looks.unflatten(1, (-1, 3)).movedim(1, 0)


def _opacity(alpha: Float[Tensor, " splats"]) -> Float[Tensor, " splats"]:
    """Of splats that together hide `alpha`: `layers` of them lie over each other where each is `WIDTH` of its cell wide."""
    layers = 2 * math.pi * WIDTH**2
    return (1 - (1 - alpha.clamp(max=0.999)) ** (1 / layers)).clamp(max=MOST_OPACITY)


def _drawn_points(seen: FieldView, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(places, colours of all looks in a row): one for each ray that ends, anywhere in a sample that is drawn by weight."""
    weights, edges = seen.weights.float(), seen.edges.float()
    ending = weights.sum(-1) > LEAST_ACCUMULATION
    weights, edges = weights[ending], edges[ending]
    looks = seen.pictures.permute(0, 3, 1, 2) / seen.alpha.clamp(min=LEAST_ACCUMULATION).permute(2, 0, 1)
    reduced = F.interpolate(looks, seen.probes.shape, mode="bilinear", antialias=True)
    looks = reduced.permute(2, 3, 0, 1).flatten(0, 1).flatten(1)[ending]
    if not len(weights):
        return weights.new_zeros(0, 3), looks
    sample = torch.multinomial(weights.clamp(min=1e-8), 1, generator=generator)
    near, far = edges.gather(1, sample), edges.gather(1, sample + 1)
    distances = near + (far - near) * torch.rand(len(near), 1, generator=generator)
    return seen.probes.center + distances * probe_directions(seen.probes)[ending], looks


def _merged(points: Tensor, looks: Tensor, views: list[View], cell: float) -> tuple[Tensor, Tensor, Tensor]:
    """(mean places, mean colours, the nearest camera's pixel there) of the points in each cell."""
    pixel = nearest_pixel(points, views)
    inside = pixel.isfinite()
    points, looks, pixel = points[inside], looks[inside], pixel[inside]
    # Cells of neighbouring widths do not lie within each other: few widths, powers of the root of two.
    level = ((cell * pixel).log2() * 2).round()
    index = (points / (2 ** (level / 2))[:, None]).floor()
    keys = torch.cat([level[:, None], index], dim=-1).long()
    cells, counts = torch.unique(keys, dim=0, return_inverse=True, return_counts=True)[1:]
    table = torch.cat([points, pixel[:, None], looks], dim=-1)
    means = table.new_zeros(len(counts), table.shape[1]).index_add_(0, cells, table) / counts[:, None]
    return means[:, :3], means[:, 4:], means[:, 3]


def around(
    points: Float[Tensor, "points 3"], reach: Float[Tensor, " points"], seen: list[FieldView]
) -> tuple[Float[Tensor, " points"], Float[Tensor, " points"], Float[Tensor, " points"]]:
    """What the field has around points: (its opacity, the share of light that reaches it at most, what it shows in all).

    From the rays that pass there: opacity of the stretch from `reach` before to `reach` behind a point, the mean of all
    cameras by how much light still gets there.
    """
    light, shown, most = (torch.zeros(len(points)) for _ in range(3))
    for each in seen:
        local = each.probes.seen_from(points)
        places, inside = each.probes.places(local)
        inside = inside.nonzero()[:, 0]
        column, row = places[inside].long().unbind(-1)
        ray = row * each.probes.width + column
        weights, edges = each.weights[ray].float(), each.edges[ray].float()
        distance, within = local[inside].norm(dim=-1, keepdim=True), reach[inside, None]
        before = _ended(distance - within, edges, weights)
        shown.index_add_(0, inside, _ended(distance + within, edges, weights) - before)
        left = (1 - before).clamp(min=0)
        light.index_add_(0, inside, left)
        most[inside] = torch.maximum(most[inside], left)
    return (shown / light.clamp(min=1e-6)).clamp(0, 1), most, shown


def _ended(place: Tensor, edges: Tensor, weights: Tensor) -> Float[Tensor, " rays"]:
    """The share of each ray that has ended before a place of it."""
    return (weights * ((place - edges[:, :-1]) / edges.diff(dim=-1).clamp(min=1e-6)).clamp(0, 1)).sum(-1)
