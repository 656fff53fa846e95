"""Which splats rays cross, and what each adds: for rays of any origin and direction, in any order; without a picture.

The compositor draws pictures of pinhole cameras sooner. Here rays are all there is: windows of training pixels, pictures
through lenses, what exporters ask for. Ellipses are those of the same rule, in a plane at right angles to the middle ray.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from ins3d.splats.compositing import COMPILED, LEAST_LIGHT, MOST_ALPHA, light_of, starts_of
from ins3d.splats.gaussians import Gaussians, rotation_matrices
from ins3d.splats.projection import LARGEST, LEAST_ALPHA, LOW_PASS, NEAR

WIDEST = 0.5
"""Cosine of the angle to their middle up to which rays are looked at together: 60 degrees."""
OUTSIDE = 0.3
"""How far outside the rays, in the plane at distance 1, an ellipse's shape is still that of its own place."""
RAYS_A_CELL = 16
GRID = 64
"""Cells across and down, of which those without a ray say which splats need not be looked at."""
MOST_PAIRS = 4_000_000
"""At once, of some 60 bytes each; fewer rays are looked at together where there are more."""
DEEP = 3.0
"""Standard deviations from a splat's middle within which a ray meets it."""


@dataclass(frozen=True)
class Crossings:
    """Pairs of a ray and a splat, by ray and distance."""

    rays: Int[Tensor, " pairs"]
    splats: Int[Tensor, " pairs"]
    weights: Float[Tensor, " pairs"]
    """Of the splats' colours in the rays'."""
    depths: Float[Tensor, " pairs"]
    """Along the ray, where the splat is densest; in scene units."""
    left: Float[Tensor, " rays"]
    """The light that comes through all."""


@dataclass(frozen=True)
class _Plane:
    """Rays of one origin as points of the plane at distance 1."""

    axes: Float[Tensor, "3 3"]
    """Rows: rightwards, downwards, forwards."""
    points: Float[Tensor, "rays 2"]


@dataclass(frozen=True)
class Cells:
    """A plane in cells, of a few rays each: which rays and which splats, the nearest first, lie in each."""

    rays: Int[Tensor, " rays"]
    ray_starts: Int[Tensor, " cells_and_one"]
    entries: Int[Tensor, " entries"]
    """Rows of what follows, by cell."""
    entry_starts: Int[Tensor, " cells_and_one"]
    splats: Int[Tensor, " splats"]
    """Their numbers."""
    points: Float[Tensor, "rays 2"]
    middles: Float[Tensor, "splats 2"]
    conics: Float[Tensor, "splats 3"]
    opacities: Float[Tensor, " splats"]

    @property
    def num_pairs(self) -> int:
        """Of a ray and a splat in one cell."""
        return int((self.ray_starts.diff() * self.entry_starts.diff()).sum())


class CrossedSplats:
    """Splats that rays are sent through."""

    def __init__(self, splats: Gaussians) -> None:
        self.splats = splats
        turned = rotation_matrices(splats.rotations)
        self.half_axes = turned * splats.scales[:, None, :]
        self.inverse = turned.transpose(1, 2) / splats.scales.clamp(min=1e-12)[:, :, None]
        self.largest = splats.scales.amax(-1)
        self.sigmas = (2 * (splats.opacities / LEAST_ALPHA).clamp(min=1).log()).sqrt()
        """How many standard deviations from its middle the alpha of each is 1/255."""

    def crossings(self, origin: Float[Tensor, " 3"], directions: Float[Tensor, "rays 3"], pixel: float) -> Crossings:
        """Of rays from one point, along unit vectors. `pixel`: how wide one is at distance 1; 0 for rays that have none."""
        middle = F.normalize(directions.mean(0), dim=0)
        if float((directions @ middle).amin()) < WIDEST and len(directions) > 1:
            side = directions.abs().argmax(-1)
            side = 2 * side + (directions.gather(1, side[:, None])[:, 0] < 0)
            if len(side.unique()) == 1:  # within 55 degrees of an axis some lie near the middle: both parts are smaller
                side = (directions @ middle < WIDEST).long()
            return self._in_parts(origin, directions, pixel, side)
        cells = self._cells(origin, _plane(directions, middle), pixel)
        if cells.num_pairs > MOST_PAIRS and len(directions) > RAYS_A_CELL and not COMPILED:
            halves = (torch.arange(len(directions), device=directions.device) * 2 >= len(directions)).long()
            return self._in_parts(origin, directions, pixel, halves)
        rays, which, weights, left = march(cells)
        splats = cells.splats[which]
        return Crossings(rays, splats, weights, self._depths(origin, directions, rays, splats), left)

    def _in_parts(self, origin: Tensor, directions: Tensor, pixel: float, part: Tensor) -> Crossings:
        left, parts = directions.new_ones(len(directions)), []
        for which in (part == each for each in part.unique()):
            rows = which.nonzero()[:, 0]
            found = self.crossings(origin, directions[rows], pixel)
            left[rows] = found.left
            parts.append((rows[found.rays], found.splats, found.weights, found.depths))
        rays, splats, weights, depths = (torch.cat(each) for each in zip(*parts, strict=True))
        order = rays.argsort(stable=True)
        return Crossings(rays[order], splats[order], weights[order], depths[order], left)

    def _cells(self, origin: Tensor, plane: _Plane, pixel: float) -> "Cells":
        low, high = plane.points.amin(0), plane.points.amax(0)
        splats, middles, conics, reach = self._ellipses(origin, plane, pixel, low, high)
        extent = (high - low).clamp(min=float((high - low).amax()) / len(plane.points) + 1e-9)
        size = (extent.prod() * RAYS_A_CELL / len(plane.points)).sqrt()
        number = (extent / size).ceil().clamp(1, len(plane.points))
        across, down = (int(each) for each in number)

        def cell_of(places: Tensor) -> Int[Tensor, "places 2"]:
            return ((places - low) / extent * number).floor().clamp(min=0).minimum(number - 1).long()

        column, row = cell_of(plane.points).unbind(-1)
        cell, rays = torch.sort(row * across + column)
        begin = cell_of(middles - reach)
        wide, tall = (cell_of(middles + reach) + 1 - begin).unbind(-1)
        rank, within = _spread(wide * tall)
        row = torch.div(within, wide[rank], rounding_mode="floor")
        covered = (row + begin[rank, 1]) * across + within - row * wide[rank] + begin[rank, 0]
        covered, sorting = torch.sort(covered.int(), stable=True)
        return Cells(
            rays, starts_of(cell, across * down), rank[sorting], starts_of(covered, across * down), splats, plane.points,
            middles, conics, self.splats.opacities[splats],
        )  # fmt: skip

    def _ellipses(
        self, origin: Tensor, plane: _Plane, pixel: float, low: Tensor, high: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(numbers, middles, conics, half boxes) of the splats that may reach a ray, the nearest first."""
        seen = (self.splats.means - origin) @ plane.axes.T
        away = seen[:, 2].clamp(min=NEAR)
        middles = seen[:, :2] / away[:, None]
        # The longest that an axis can look, and the box of the rays.
        margin = LOW_PASS**0.5 * pixel + self.largest / away * (1 + (middles**2).sum(-1)).sqrt()
        margin = (self.sigmas * margin)[:, None]
        near = (seen[:, 2] > NEAR) & ((middles + margin > low) & (middles - margin < high)).all(-1)
        which = near.nonzero()[:, 0]
        which = which[_on_a_ray(plane.points, middles[which] - margin[which], middles[which] + margin[which], low, high)]
        # By distance: by depth along the middle ray, it would matter which rays are looked at together.
        which = which[seen[which].norm(dim=-1).argsort()]
        middles, away = middles[which], away[which]
        at = torch.maximum(torch.minimum(middles, high + OUTSIDE), low - OUTSIDE)
        shrunk = (LARGEST * away / self.largest[which]).clamp(max=1)
        axes = plane.axes @ (self.half_axes[which] * shrunk[:, None, None])
        rows = (axes[:, :2] - at[:, :, None] * axes[:, 2:]) / away[:, None, None]
        low_pass = LOW_PASS * pixel**2
        xx, yy = ((rows**2).sum(-1) + low_pass).unbind(-1)
        xy = (rows[:, 0] * rows[:, 1]).sum(-1)
        determinant = (xx * yy - xy * xy).clamp(min=1e-24)
        conics = torch.stack([yy, -xy, xx], dim=-1) / determinant[:, None]
        reach = self.sigmas[which, None] * torch.stack([xx, yy], dim=-1).sqrt()
        kept = ((middles + reach >= low) & (middles - reach <= high)).all(-1) & conics.isfinite().all(-1)
        kept &= reach.isfinite().all(-1) & (self.splats.opacities[which] > LEAST_ALPHA)
        return which[kept], middles[kept], conics[kept], reach[kept]

    def _depths(self, origin: Tensor, directions: Tensor, rays: Tensor, splats: Tensor) -> Float[Tensor, " pairs"]:
        """Where along the ray a splat is densest, but no farther from its middle than `DEEP` standard deviations."""
        towards = self.splats.means[splats] - origin
        inverse = self.inverse[splats]
        along = (inverse @ directions[rays][..., None])[..., 0]
        place = (inverse @ towards[..., None])[..., 0]
        found = (along * place).sum(-1) / (along * along).sum(-1).clamp(min=1e-24)
        middle, most = (towards * directions[rays]).sum(-1), DEEP * self.largest[splats]
        return torch.maximum(torch.minimum(found, middle + most), middle - most).clamp(min=NEAR)


def _on_a_ray(points: Tensor, first: Tensor, last: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Whether a box (from `first` to `last`) may have a ray in it: few rays are scattered over much that none looks at."""

    def cell_of(places: Tensor) -> Tensor:
        return ((places - low) / (high - low).clamp(min=1e-9) * GRID).floor().clamp(0, GRID - 1).long()

    column, row = cell_of(points).unbind(-1)
    counts = torch.bincount(row * GRID + column, minlength=GRID**2).reshape(GRID, GRID)
    sums = F.pad(counts.cumsum(0).cumsum(1), (1, 0, 1, 0))
    (left, top), (right, bottom) = cell_of(first).unbind(-1), (cell_of(last) + 1).unbind(-1)
    return sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left] > 0


def march(
    cells: Cells,
) -> tuple[Int[Tensor, " pairs"], Int[Tensor, " pairs"], Float[Tensor, " pairs"], Float[Tensor, " rays"]]:
    """(rays, rows of splats, weights, by ray and distance; what is left of each ray's light)."""
    if COMPILED and cells.points.device.type == "cpu":
        from ins3d.splats.compiled import marched

        return marched(cells)
    in_cell, of_cell = cells.ray_starts.diff(), cells.entry_starts.diff()
    entry, within = _spread(in_cell.repeat_interleave(of_cell))
    cell = torch.arange(len(of_cell), device=of_cell.device).repeat_interleave(of_cell)[entry]
    rays, which = cells.rays[cells.ray_starts[cell] + within], cells.entries[entry]
    right, down = (cells.points[rays] - cells.middles[which]).unbind(-1)
    xx, xy, yy = cells.conics[which].unbind(-1)
    power = -0.5 * (xx * right * right + yy * down * down) - xy * right * down
    alphas = (cells.opacities[which] * power.exp()).clamp(max=MOST_ALPHA)
    kept = (alphas >= LEAST_ALPHA).nonzero()[:, 0]
    rays, sorting = torch.sort(rays[kept], stable=True)
    which, alphas = which[kept[sorting]], alphas[kept[sorting]]
    before, left = light_of(rays, alphas, len(cells.points))
    lit = (before > LEAST_LIGHT).nonzero()[:, 0]
    return rays[lit], which[lit], (alphas * before)[lit], left


def _plane(directions: Tensor, middle: Tensor) -> _Plane:
    helper = F.one_hot(middle.abs().argmin(), 3).to(middle)
    right = F.normalize(torch.linalg.cross(helper, middle), dim=0)
    axes = torch.stack([right, torch.linalg.cross(middle, right), middle])
    seen = directions @ axes.T
    return _Plane(axes, seen[:, :2] / seen[:, 2:])


def _spread(counts: Int[Tensor, " rows"]) -> tuple[Int[Tensor, " pairs"], Int[Tensor, " pairs"]]:
    """(the row of each pair, the number of the pair within it), where a row has so many."""
    rows = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
    return rows, torch.arange(len(rows), device=counts.device) - (counts.cumsum(0) - counts)[rows]
