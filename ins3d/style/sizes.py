"""What grows with the pictures that are painted: the only place that says how."""

import math
from typing import Any, Protocol, TypeVar, runtime_checkable

USUAL_PIXELS = 130_000
"""Of one picture, up to which nothing but a style's steps grows: what a CPU works on unless it is told otherwise."""
USUAL_SIDE = 480
"""Long side, in pixels, of pictures that nobody has told of."""
USUAL_CELLS = 512
Settings = TypeVar("Settings", bound=Any)


def steps_of_a_style(pixels: int) -> int:
    """That one style needs in pictures of so many: a step sees less of larger ones.

    >>> steps_of_a_style(135 * 240), steps_of_a_style(270 * 480), steps_of_a_style(1008 * 756)
    (400, 610, 1750)
    """
    return max(int(round(400 * (pixels / 32_400) ** 0.3 * _growth(pixels) ** 0.6, -1)), 200)


def steps_of_a_content(pixels: int) -> int:
    """Of 1024 rays each.

    >>> steps_of_a_content(270 * 480), steps_of_a_content(1008 * 756)
    (1850, 4480)
    """
    return int(round(1850 * _growth(pixels), -1))


def rays_to_keep(pixels: int) -> int:
    """In all windows of the style stage together, twice a picture at each of three strides: what no window shows at stride 1
    is painted without fine strokes.

    >>> rays_to_keep(270 * 480), rays_to_keep(1008 * 756)
    (1000000, 4572288)
    """
    return max(1_000_000, 6 * pixels)


def finest_cells(side: int) -> int:
    """Along a side of the scene's cube, for pictures with a long side of so many pixels: about a cell for every pixel.

    Never fewer than 512, with which pictures of 240 and of 480 pixels were tuned.

    >>> finest_cells(240), finest_cells(480), finest_cells(1008), finest_cells(1920)
    (512, 512, 1024, 2048)
    """
    return USUAL_CELLS * 2 ** max(round(math.log2(side / USUAL_CELLS)), 0)


@runtime_checkable
class SuitsPictures(Protocol):
    """Settings that leave some sizes to the pictures."""

    def suited(self, side: int) -> Any:
        """The same with sizes for pictures with a long side of so many pixels, where none were given."""
        ...


def suited(settings: Settings, side: int) -> Settings:
    """Settings with all their sizes; see `SuitsPictures`."""
    return settings.suited(side) if isinstance(settings, SuitsPictures) else settings


def _growth(pixels: int) -> float:
    return max(pixels / USUAL_PIXELS, 1) ** 0.5
