"""Styles of one network that are one painting at several stroke sizes, and the dial that goes between them."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ins3d.style.styles import Style, stroke_size_of

SIZED = re.compile(r"(?P<painting>.+) x(?P<size>0\.[0-9]*[1-9][0-9]*|[1-9][0-9]*(\.[0-9]+)?)")


def at_stroke_sizes(styles: Sequence[Style], sizes: Sequence[float], setting: str) -> tuple[Style, ...]:
    """Every painting at every size, as styles called `NAME xSIZE`; the styles themselves where no sizes are given."""
    different = sorted({stroke_size_of(str(size), setting) for size in sizes})
    if len(different) != len(sizes):
        raise ValueError(f"{setting}: {' '.join(f'{size:g}' for size in sizes)} names a size twice; name each once.")
    return tuple(_at(style, size, setting) for style in styles for size in different) if different else tuple(styles)


def _at(style: Style, size: float, setting: str) -> Style:
    sizes = [stroke_size_of(str(source.stroke_size * size), f"{setting}: {style}") for source in style.sources]
    sources = tuple(replace(source, stroke_size=own) for source, own in zip(style.sources, sizes, strict=True))
    return Style(f"{style.name} x{size:g}", sources)


@dataclass(frozen=True)
class StrokeDial:
    """What the names of a network's styles say about paintings and stroke sizes."""

    names: tuple[str, ...]

    @cached_property
    def sizes(self) -> dict[str, dict[float, int]]:
        """By painting: {stroke size: number of the style}; a style that was trained at one size is a painting of its own.

        >>> StrokeDial(("wave x0.5", "wave x2", "candy")).sizes
        {'wave': {0.5: 0, 2.0: 1}, 'candy': {1.0: 2}}
        """
        found: dict[str, dict[float, int]] = {}
        matches = [SIZED.fullmatch(name) for name in self.names]
        paintings = [match["painting"] for match in matches if match]
        for number, (name, match) in enumerate(zip(self.names, matches, strict=True)):
            if match and paintings.count(match["painting"]) > 1:
                found.setdefault(match["painting"], {})[float(match["size"])] = number
            else:
                found[name] = {1.0: number}
        return found

    @property
    def paintings(self) -> tuple[str, ...]:
        """Their names, each once."""
        return tuple(self.sizes)

    @property
    def span(self) -> tuple[float, float] | None:
        """The least and the largest stroke size; None where there is nothing to turn."""
        every = [size for sizes in self.sizes.values() if len(sizes) > 1 for size in sizes]
        return (min(every), max(every)) if every else None

    def weights(self, paintings: Sequence[float], size: float) -> tuple[float, ...]:
        """Of all styles, for weights of the paintings: between two sizes both weigh something, by the size's logarithm.

        >>> StrokeDial(("wave x1", "wave x4")).weights((1.0,), 2.0)
        (0.5, 0.5)
        """
        weights = [0.0] * len(self.names)
        for share, sizes in zip(paintings, self.sizes.values(), strict=True):
            known = sorted(sizes)
            place = float(np.interp(math.log(size), [math.log(each) for each in known], range(len(known))))
            below = min(int(place), len(known) - 1)
            weights[sizes[known[below]]] += share * (1 - (place - below))
            if place > below:
                weights[sizes[known[below + 1]]] += share * (place - below)
        return tuple(weights)

    def read(self, weights: Sequence[float]) -> tuple[tuple[float, ...], float]:
        """(weights of the paintings, stroke size) that these weights of all styles come nearest to.

        >>> StrokeDial(("wave x1", "wave x4")).read((0.5, 0.5))
        ((1.0,), 2.0)
        """
        paintings = tuple(sum(weights[number] for number in sizes.values()) for sizes in self.sizes.values())
        turned = [(weights[number], math.log(size)) for sizes in self.sizes.values() if len(sizes) > 1
                  for size, number in sizes.items()]  # fmt: skip
        total = sum(weight for weight, _ in turned)
        return paintings, math.exp(sum(weight * size for weight, size in turned) / total) if total > 0 else 1.0
