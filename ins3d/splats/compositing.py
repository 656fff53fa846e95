"""Ellipses become a picture, front to back, with the backward pass written out; in plain torch, made for a CPU.

Where numba is installed, `compiled` does the same in half the time.

Every pixel that an ellipse reaches makes a pair. Pairs are sorted by pixel, and by depth within a pixel, so that sums over
what lies before a splat are differences of one running sum. Compared with a loop over splats in tests.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from scipy.sparse import csr_matrix, vstack
from torch import Tensor

from ins3d.splats.gaussians import Gaussians
from ins3d.splats.harmonics import view_colors
from ins3d.splats.projection import LEAST_ALPHA, Ellipses, project
from ins3d.splats.views import View

COMPILED = find_spec("numba") is not None
MOST_ALPHA = 0.99
LEAST_LIGHT = 1e-4
"""What is left of a pixel's light behind which nothing is drawn any more."""
PAIRS_AT_ONCE = 6_000_000
"""A picture is made in bands of rows with so many pairs at most, of some 100 bytes each: half a gigabyte."""


@dataclass
class Rows:
    """Pieces of picture rows that ellipses cover, by splat: those of the nearest splat first."""

    splats: Int[Tensor, " rows"]
    first: Float[Tensor, " rows"]
    """From the ellipse's middle to the middle of the first pixel, rightwards."""
    down: Float[Tensor, " rows"]
    """From the ellipse's middle to the row's, downwards."""
    starts: Int[Tensor, " ends"]
    """Where the pairs of each begin; none is empty."""


@dataclass
class Pairs:
    """Which splat adds how much to which pixel, sorted by pixel and depth."""

    splats: Int[Tensor, " pairs"]
    pixels: Int[Tensor, " pairs"]
    starts: Int[Tensor, " ends"]
    """Where each pixel's pairs begin."""
    alphas: Float[Tensor, " pairs"]
    before: Float[Tensor, " pairs"]
    """The light that reaches each splat."""
    left: Float[Tensor, " pixels"]
    """The light that comes through all."""
    rows: Rows
    sorting: Int[Tensor, " pairs"]
    """Where each pair was, in the order of `rows`."""
    across: Float[Tensor, " pairs"]
    """From the ellipse's middle, rightwards, in pixels; in the order of `rows`."""

    @property
    def weights(self) -> Float[Tensor, " pairs"]:
        """Of the splats' colours in the pixels."""
        return self.alphas * self.before

    def matrix(self, num_splats: int) -> csr_matrix:
        """(pixels, splats): the weights."""
        shape = (len(self.left), num_splats)
        return csr_matrix((self.weights.numpy(), self.splats.numpy(), self.starts.int().numpy()), shape)


def composite(
    view: View,
    ellipses: Ellipses,
    opacities: Float[Tensor, " splats"],
    rgb: Float[Tensor, "splats channels"],
    background: Float[Tensor, " channels"],
) -> Float[Tensor, "height width channels"]:
    """The picture. Gradients reach `middles` and `conics`, opacities and colours."""
    if COMPILED:
        from ins3d.splats.compiled import Composite, tiles_of

        told = (ellipses.middles, ellipses.conics, opacities, rgb, background)
        return cast(Tensor, Composite.apply(*told, view, tiles_of(view, ellipses)))
    rows = []
    for band, top in _bands(view, ellipses):
        pairs = find_pairs(band, ellipses, opacities.detach(), top)
        rows.append(_Composite.apply(ellipses.middles, ellipses.conics, opacities, rgb, background, pairs))
    return torch.cat(cast(list[Tensor], rows)).reshape(view.height, view.width, -1)


def render(view: View, splats: Gaussians, background: Float[Tensor, " 3"]) -> Float[Tensor, "height width 3"]:
    """What a camera sees of splats, over a background; not limited to [0, 1]."""
    ellipses = project(view, splats.means, splats.scales, splats.rotations, splats.opacities)
    return composite(view, ellipses, splats.opacities, seen_rgb(splats, view), background)


@torch.no_grad()
def weights_of(view: View, splats: Gaussians) -> tuple[csr_matrix, Float[Tensor, " pixels"]]:
    """(pixels x splats: what a picture is made of, to be multiplied by colours; what is left for the background)."""
    ellipses = project(view, splats.means, splats.scales, splats.rotations, splats.opacities)
    if COMPILED:
        from ins3d.splats.compiled import weights

        return weights(view, ellipses, splats.opacities)
    bands = [find_pairs(band, ellipses, splats.opacities, top) for band, top in _bands(view, ellipses)]
    matrix = vstack([pairs.matrix(len(splats)) for pairs in bands], format="csr")
    return csr_matrix(matrix), torch.cat([pairs.left for pairs in bands])


def seen_rgb(splats: Gaussians, view: View) -> Float[Tensor, "splats 3"]:
    """Colours as a camera sees them."""
    if splats.degree == 0:
        return splats.rgb
    return splats.rgb + view_colors(splats.harmonics, F.normalize(splats.means - view.center, dim=-1))


# ---- pairs


def _bands(view: View, ellipses: Ellipses) -> Iterator[tuple[View, int]]:
    """(the camera of some rows, the first of them), so that none has too many pairs."""
    seen = ellipses.seen
    middles, reach = ellipses.middles.detach()[seen], ellipses.reach[seen]
    low, high = _box(view, middles, reach)
    wide = (high[:, 0] - low[:, 0]).clamp(min=0).double()
    change = torch.zeros(view.height + 1, dtype=torch.double)
    tall = high[:, 1] > low[:, 1]
    change.index_add_(0, low[tall, 1].long(), wide[tall])
    change.index_add_(0, high[tall, 1].long(), -wide[tall])
    row_pairs = change.cumsum(0)[:-1]
    top, filled = 0, 0.0
    for row, count in enumerate(row_pairs.tolist()):
        if row > top and filled + count > PAIRS_AT_ONCE:
            yield view.window(0, top, view.width, row - top), top
            top, filled = row, 0.0
        filled += count
    yield view.window(0, top, view.width, view.height - top), top


def _box(view: View, middles: Tensor, reach: Tensor) -> tuple[Int[Tensor, "splats 2"], Int[Tensor, "splats 2"]]:
    """First and end of the pixels whose middles an ellipse reaches."""
    extent = middles.new_tensor([view.width, view.height])
    low = (middles - reach - 0.5).ceil().clamp(min=0).minimum(extent).int()
    high = ((middles + reach - 0.5).floor() + 1).minimum(extent).clamp(min=0).int()
    return low, high


@torch.no_grad()
def find_pairs(band: View, ellipses: Ellipses, opacities: Float[Tensor, " splats"], top: int = 0) -> Pairs:
    """The pairs of a band of rows that begins `top` rows down in the picture."""
    rows, begin, size, peaks = _rows_of_ellipses(band, ellipses, opacities, top)
    place = torch.repeat_interleave(torch.arange(len(size)), size)
    step = torch.arange(len(place)) - rows.starts[place]
    pick = torch.index_select
    across = pick(rows.first, 0, place) + step
    level, slope, curve = (pick(each, 0, place) for each in peaks)
    alphas = torch.exp(level + (slope + curve * across) * across).clamp_(max=MOST_ALPHA)
    pixels, sorting = torch.sort((pick(begin, 0, place) + step).int(), stable=True)
    alphas, splats = pick(alphas, 0, sorting), pick(pick(rows.splats, 0, place), 0, sorting)
    before, left = light_of(pixels, alphas, band.width * band.height)
    lit = (before > LEAST_LIGHT).nonzero()[:, 0]
    splats, pixels, alphas, before, sorting = (pick(each, 0, lit) for each in (splats, pixels, alphas, before, sorting))
    return Pairs(splats, pixels, starts_of(pixels, len(left)), alphas, before, left, rows, sorting, across)


def _rows_of_ellipses(
    band: View, ellipses: Ellipses, opacities: Tensor, top: int
) -> tuple[Rows, Tensor, Tensor, tuple[Tensor, Tensor, Tensor]]:
    """(rows; the number of their first pixel; of how many they have; what the logarithm of alpha is made of in each).

    The logarithm is level + slope * across + curve * across^2, and at least that of 1/255 in all pixels of a row.
    """
    order = ellipses.seen.nonzero()[:, 0]
    order = order[ellipses.depths.detach()[order].argsort()]
    middles = ellipses.middles.detach()[order] - ellipses.middles.new_tensor([0.0, top])
    low, high = _box(band, middles, ellipses.reach[order])
    counts = (high[:, 1] - low[:, 1]).clamp(min=0).long() * (high[:, 0] > low[:, 0])
    rank = torch.repeat_interleave(torch.arange(len(order)), counts)
    row = torch.arange(len(rank)) - (counts.cumsum(0) - counts)[rank] + low[rank, 1]
    middle, logit = middles[rank], opacities[order].log()[rank]
    xx, xy, yy = ellipses.conics.detach()[order][rank].unbind(-1)
    down = row + 0.5 - middle[:, 1]
    level, slope, curve = logit - 0.5 * yy * down * down, -xy * down, -0.5 * xx
    # Where level + slope x + curve x^2 is log(1/255).
    root = slope * slope - 4 * curve * (level - math.log(LEAST_ALPHA))
    half = root.clamp(min=0).sqrt()
    first = ((slope - half) / (-2 * curve) + middle[:, 0] - 0.5).ceil().clamp(min=0, max=band.width)
    last = ((slope + half) / (-2 * curve) + middle[:, 0] - 0.5).floor().clamp(min=-1, max=band.width - 1)
    kept = ((root > 0) & (last >= first)).nonzero()[:, 0]
    rank, row, down, middle, first, last = (each[kept] for each in (rank, row, down, middle, first, last))
    size = (last - first).long() + 1
    starts = torch.cat([size.new_zeros(1), size.cumsum(0)])
    rows = Rows(order.int()[rank], first + 0.5 - middle[:, 0], down, starts)
    return rows, row * band.width + first.long(), size, (level[kept], slope[kept], curve[kept])


def light_of(
    pixels: Int[Tensor, " pairs"], alphas: Float[Tensor, " pairs"], number: int
) -> tuple[Float[Tensor, " pairs"], Float[Tensor, " {number}"]]:
    """Of pairs sorted by pixel and depth: (how much light reaches each pair, how much is left of each pixel's)."""
    starts = starts_of(pixels, number)
    passed = torch.cat([alphas.new_zeros(1, dtype=torch.double), torch.log1p(-alphas.double()).cumsum_(0)])
    before = (passed[:-1] - passed[starts[:-1]].index_select(0, pixels)).exp_().float()
    return before, (passed[starts[1:]] - passed[starts[:-1]]).exp_().float()


def starts_of(pixels: Int[Tensor, " pairs"], number: int) -> Int[Tensor, " ends"]:
    """Where the pairs of each pixel begin, and the end; pairs sorted by pixel."""
    counts = torch.bincount(pixels, minlength=number)
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])


class _Composite(torch.autograd.Function):
    """Pairs to pixels; backward as in Kerbl et al. 2023, over the pairs."""

    @staticmethod
    def forward(
        ctx: Any, middles: Tensor, conics: Tensor, opacities: Tensor, rgb: Tensor, background: Tensor, pairs: Pairs
    ) -> Float[Tensor, "pixels channels"]:
        ctx.pairs, ctx.matrix = pairs, pairs.matrix(len(rgb))
        ctx.save_for_backward(conics, opacities, rgb, background)
        return torch.from_numpy(ctx.matrix @ rgb.detach().numpy()) + pairs.left[:, None] * background

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        pairs: Pairs = ctx.pairs
        conics, opacities, rgb, background = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        by_rgb = torch.from_numpy(ctx.matrix.T @ gradient.numpy())
        weight, right, low, rr, rl, ll = _moments(pairs, _by_power(pairs, gradient, rgb, background), len(rgb))
        xx, xy, yy = conics.unbind(-1)
        by_middles = torch.stack([xx * right + xy * low, yy * low + xy * right], dim=-1)
        by_conics = torch.stack([-0.5 * rr, -rl, -0.5 * ll], dim=-1)
        return by_middles, by_conics, weight / opacities, by_rgb, None, None


def _by_power(pairs: Pairs, gradient: Tensor, rgb: Tensor, background: Tensor) -> Float[Tensor, " pairs"]:
    """The gradient by the logarithm of each alpha: what the splat adds, less what it hides."""
    pick = torch.index_select
    own = (pick(gradient, 0, pairs.pixels) * pick(rgb, 0, pairs.splats)).sum(-1)
    shown = torch.cat([own.new_zeros(1, dtype=torch.double), (pairs.weights * own).double().cumsum_(0)])
    behind = (pick(shown[pairs.starts[1:]], 0, pairs.pixels) - shown[1:]).float()
    behind += pick(pairs.left * (gradient @ background), 0, pairs.pixels)
    found = pairs.alphas * (pairs.before * own - behind / (1 - pairs.alphas))
    return found.masked_fill_(pairs.alphas >= MOST_ALPHA, 0)


def _moments(pairs: Pairs, values: Float[Tensor, " pairs"], number: int) -> Float[Tensor, "6 {number}"]:
    """By splat: sums of values, and of values times a pair's place: right, down, right^2, right * down, down^2."""
    rows, by_row = pairs.rows, torch.zeros_like(pairs.across)
    if not len(rows.splats):
        return values.new_zeros(6, number)
    by_row[pairs.sorting] = values
    once = by_row * pairs.across
    ends = rows.starts[:-1].numpy()
    zero, one, two = (torch.from_numpy(np.add.reduceat(each.numpy(), ends)) for each in (by_row, once, once * pairs.across))
    first = torch.cat([torch.zeros(1).long(), (rows.splats[1:] != rows.splats[:-1]).nonzero()[:, 0] + 1])
    of_rows = torch.stack([zero, one, zero * rows.down, two, one * rows.down, zero * rows.down * rows.down])
    found = values.new_zeros(6, number)
    found[:, rows.splats[first].long()] = torch.from_numpy(np.add.reduceat(of_rows.numpy(), first.numpy(), axis=1))
    return found
