"""Coarse to fine: at which sizes a picture is learned, and in which steps."""

from dataclasses import dataclass
from itertools import accumulate, count

LEARNED_SIDE = 768
"""Long side in pixels at which a picture is learned at most where nobody says how large: sharp strokes within minutes."""
WRITTEN_SIDE = 2048
"""Long side in pixels of the picture that is written, at most, where nobody says how large."""
COARSEST_SIDE = 128
"""Long side in pixels below which a picture shows no composition."""
SHARES = (0.45, 0.3, 0.25)
"""Of the steps, coarse to fine: large strokes are most of the painting, and small pictures cost least."""


@dataclass(frozen=True)
class Sizes:
    """How large a picture is in each step."""

    long_sides: tuple[int, ...]
    """In pixels, coarse to fine."""
    ends: tuple[float, ...]
    """The share of all steps after which each of them ends; the last is 1."""

    def at(self, step: int, num_steps: int) -> int:
        """The index of the size of a step.

        >>> sizes = Sizes((128, 256), (0.6, 1.0))
        >>> [sizes.at(step, 5) for step in range(5)]
        [0, 0, 0, 1, 1]
        """
        done = step / num_steps
        return next((index for index, end in enumerate(self.ends) if done < end), len(self.ends) - 1)

    def refuse_few(self, num_steps: int) -> None:
        """Raises ValueError where the finest size would get no step."""
        if self.at(num_steps - 1, num_steps) < len(self.long_sides) - 1:
            least = next(number for number in count(num_steps) if self.at(number - 1, number) == len(self.long_sides) - 1)
            told = ", ".join(map(str, self.long_sides))
            raise ValueError(
                f"steps: {num_steps} are too few for pictures of {told} pixels; use {least} or more, or a smaller size."
            )


def plan_sizes(long_side: int, coarsest: int = COARSEST_SIDE) -> Sizes:
    """Halves of `long_side` that are not below `coarsest`, three sizes at most.

    >>> plan_sizes(768).long_sides, plan_sizes(300).long_sides, plan_sizes(100).long_sides
    ((192, 384, 768), (150, 300), (100,))
    """
    sides = [long_side]
    while len(sides) < len(SHARES) and sides[0] // 2 >= coarsest:
        sides.insert(0, sides[0] // 2)
    shares = SHARES[-len(sides) :]
    return Sizes(tuple(sides), tuple(end / sum(shares) for end in accumulate(shares)))


def sides(own: int, asked: int | None) -> tuple[int, int]:
    """(learned, written): long sides in pixels for a picture of long side `own`, both as `asked` where somebody asks.

    >>> sides(1920, None), sides(6000, None), sides(500, None), sides(1920, 300)
    ((768, 1920), (768, 2048), (500, 500), (300, 300))
    """
    return (asked, asked) if asked else (min(own, LEARNED_SIDE), min(own, WRITTEN_SIDE))
