"""Which way up a picture is meant to be read, where cameras or masks tell its size."""

from collections.abc import Iterable

from ins3d.files.pictures import StoredPicture, turned_size

Size = tuple[int, int]
"""(width, height)."""


def same_shape(one: Size, other: Size) -> bool:
    """Whether one is the other made larger or smaller, but for the rounding of both.

    >>> same_shape((271, 481), (136, 241)), same_shape((270, 480), (480, 270))
    (True, False)
    """
    (width, height), (across, down) = one, other
    slack = 1.0 + max(width / across, height / down, 1.0)
    return abs(width - across * height / down) <= slack or abs(height - down * width / across) <= slack


def fitting_orientation(stored: StoredPicture, camera: Size, others: Iterable[int] = ()) -> int | None:
    """What is taken for the tag of a picture so that it has its camera's size, or else its shape: none (1), its own, or one
    of `others`; the first that fits, None where none does."""
    ways = {tag: turned_size(stored.size, tag) for tag in (1, stored.orientation, *others)}
    exact = (tag for tag, size in ways.items() if size == camera)
    return next(exact, next((tag for tag, size in ways.items() if same_shape(size, camera)), None))
