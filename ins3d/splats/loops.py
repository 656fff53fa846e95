"""Loops that numba compiles: what `compositing` and `crossings` use where numba is installed.

The same sums as there in half the time: a splat is drawn row by row, and nothing is kept of its pixels; a ray ends where it
is dark.
"""

import inspect
from typing import Any

import numba
import numpy as np
from numba import prange

TILE = 16
MOST_ALPHA = np.float32(0.99)
LEAST_LIGHT = np.float32(1e-4)
LOG_LEAST_ALPHA = np.float32(np.log(1 / 255))
HALF = np.float32(0.5)
ONE = np.float32(1)


def compiled(function: Any) -> Any:
    """In threads; kept on disk. What checks shapes in tests is taken off first: numba cannot compile it."""
    return numba.njit(parallel=True, fastmath=True, cache=True)(inspect.unwrap(function))


def inlined(function: Any) -> Any:
    """As a part of what calls it."""
    return numba.njit(fastmath=True, inline="always")(inspect.unwrap(function))


def unlocked(function: Any) -> Any:
    """Compiled, kept on disk; other threads run beside it. What checks shapes in tests is taken off first."""
    return numba.njit(fastmath=True, cache=True, nogil=True)(inspect.unwrap(function))


@inlined
def _rows(splat: int, top: int, tall: int, middles: Any, conics: Any, logs: Any) -> tuple[int, int]:
    """First and end of the rows of a tile that a splat reaches."""
    xx, xy, yy = conics[splat, 0], conics[splat, 1], conics[splat, 2]
    depth = max(logs[splat] - LOG_LEAST_ALPHA, np.float32(0))
    reach = np.sqrt(2 * depth * xx / max(xx * yy - xy * xy, np.float32(1e-30)))
    middle = middles[splat, 1] - top - HALF
    first = int(np.ceil(max(middle - reach, np.float32(-1))))
    return max(0, first), min(tall, int(np.floor(min(middle + reach, np.float32(TILE)))) + 1)


@inlined
def _columns(level: Any, slope: Any, xx: Any, middle: Any, wide: int) -> tuple[int, int]:
    """First and end of the columns of a row where alpha is at least 1/255."""
    root = slope * slope + 2 * xx * (level - LOG_LEAST_ALPHA)
    if root <= 0:
        return 0, 0
    half, center = np.sqrt(root) / xx, slope / xx + middle
    first = int(np.ceil(max(center - half, np.float32(-1))))
    return max(0, first), min(wide, int(np.floor(min(center + half, np.float32(TILE)))) + 1)


@compiled
def draw(starts: Any, entries: Any, across: int, middles: Any, conics: Any, logs: Any, rgb: Any, picture: Any, left: Any,
         last: Any, ends: Any, splats: Any, weights: Any) -> None:  # fmt: skip
    """Fills `picture` (without a background), and by pixel what is `left` of the light and its `last` entry.

    Moves each pixel's of `ends` on by as many splats as it has, and fills `splats` and `weights` from there on, where they
    are not empty.
    """
    height, width, channels = picture.shape
    for tile in prange(len(starts) - 1):
        x, y = (tile % across) * TILE, (tile // across) * TILE
        wide, tall, dark = min(TILE, width - x), min(TILE, height - y), 0
        for entry in range(starts[tile], starts[tile + 1]):
            splat = entries[entry]
            xx, xy, yy = conics[splat, 0], conics[splat, 1], conics[splat, 2]
            middle = middles[splat, 0] - x - HALF
            first_row, end_row = _rows(splat, y, tall, middles, conics, logs)
            for row in range(first_row, end_row):
                down = row + HALF + y - middles[splat, 1]
                level, slope = logs[splat] - HALF * yy * down * down, -xy * down
                first, end = _columns(level, slope, xx, middle, wide)
                for column in range(first, end):
                    light = left[y + row, x + column]
                    if light <= LEAST_LIGHT:
                        continue
                    right = column - middle
                    alpha = min(np.exp(level + (slope - HALF * xx * right) * right), MOST_ALPHA)
                    for channel in range(channels):
                        picture[y + row, x + column, channel] += alpha * light * rgb[splat, channel]
                    if len(splats):
                        place = ends[y + row, x + column]
                        splats[place], weights[place] = splat, alpha * light
                    light *= ONE - alpha
                    left[y + row, x + column] = light
                    last[y + row, x + column] = entry
                    ends[y + row, x + column] += 1
                    dark += light <= LEAST_LIGHT
            if dark == wide * tall:
                break


@compiled
def pull(starts: Any, entries: Any, across: int, middles: Any, conics: Any, logs: Any, rgb: Any, gradient: Any, left: Any,
         last: Any, behind: Any, found: Any) -> None:  # fmt: skip
    """Fills `found`, by entry: gradients of a splat's middle (2), conic (3), log opacity (1) and colours.

    `behind`, by pixel: the gradient times the background, times what is left; it and `left` are used up.
    """
    height, width, channels = gradient.shape
    for tile in prange(len(starts) - 1):
        x, y = (tile % across) * TILE, (tile // across) * TILE
        wide, tall = min(TILE, width - x), min(TILE, height - y)
        for entry in range(starts[tile + 1] - 1, starts[tile] - 1, -1):
            splat = entries[entry]
            xx, xy, yy = conics[splat, 0], conics[splat, 1], conics[splat, 2]
            middle = middles[splat, 0] - x - HALF
            first_row, end_row = _rows(splat, y, tall, middles, conics, logs)
            for row in range(first_row, end_row):
                down = row + HALF + y - middles[splat, 1]
                level, slope = logs[splat] - HALF * yy * down * down, -xy * down
                first, end = _columns(level, slope, xx, middle, wide)
                for column in range(first, end):
                    if entry > last[y + row, x + column]:
                        continue
                    right = column - middle
                    alpha = np.exp(level + (slope - HALF * xx * right) * right)
                    capped, alpha = alpha >= MOST_ALPHA, min(alpha, MOST_ALPHA)
                    light = left[y + row, x + column] / (ONE - alpha)
                    left[y + row, x + column] = light
                    own = np.float32(0)
                    for channel in range(channels):
                        slope_of = gradient[y + row, x + column, channel]
                        own += slope_of * rgb[splat, channel]
                        found[entry, 6 + channel] += alpha * light * slope_of
                    if not capped:
                        power = alpha * (light * own - behind[y + row, x + column] / (ONE - alpha))
                        found[entry, 0] += power * (xx * right + xy * down)
                        found[entry, 1] += power * (yy * down + xy * right)
                        found[entry, 2] -= HALF * power * right * right
                        found[entry, 3] -= power * right * down
                        found[entry, 4] -= HALF * power * down * down
                        found[entry, 5] += power
                    behind[y + row, x + column] += alpha * light * own


@unlocked
def march(rays: Any, ray_starts: Any, entries: Any, entry_starts: Any, points: Any, middles: Any, conics: Any, logs: Any,
          left: Any, ends: Any, which: Any, weights: Any) -> None:  # fmt: skip
    """Moves each of `ends` on by as many splats as the ray crosses, and fills `which` and `weights` from there on, where
    they are not empty; `left`: what is left of each ray's light."""
    for cell in range(len(ray_starts) - 1):
        for place in range(ray_starts[cell], ray_starts[cell + 1]):
            ray, light = rays[place], ONE
            for entry in range(entry_starts[cell], entry_starts[cell + 1]):
                splat = entries[entry]
                right, down = points[ray, 0] - middles[splat, 0], points[ray, 1] - middles[splat, 1]
                across = conics[splat, 0] * right * right + conics[splat, 2] * down * down
                power = logs[splat] - HALF * across - conics[splat, 1] * right * down
                if power < LOG_LEAST_ALPHA:
                    continue
                alpha = min(np.exp(power), MOST_ALPHA)
                if len(which):
                    which[ends[ray]], weights[ends[ray]] = splat, alpha * light
                ends[ray] += 1
                light *= ONE - alpha
                if light <= LEAST_LIGHT:
                    break
            left[ray] = light
