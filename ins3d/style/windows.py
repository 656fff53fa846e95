"""How large the windows are that the style losses see, and how many are kept: the only place that says so."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ins3d.extension.ranges import ranged
from ins3d.extension.registry import Registry
from ins3d.style.patches import check_patch_fits, doubling_strides

USUAL_SIZE = 128
"""Windows of 64 rays make flecks, those of 128 strokes: a Gram matrix asks every window for the whole palette."""


@dataclass(frozen=True)
class WindowPlan:
    """Patches of `patch` x `patch` rays are cut, at any offset, out of larger windows of rays, whose answers are kept."""

    patch: int
    """Rays along one side of what a step judges; 0: all of a picture."""
    strides: tuple[int, ...]
    """Pixels between neighbouring rays; a step draws one of them, those that stand here twice twice as often."""
    sides: dict[int, int]
    """By stride: rays along one side of a window, at least `patch`."""
    counts: dict[int, int]
    """By stride: how many windows are kept."""


@runtime_checkable
class WindowRule(Protocol):
    """Says which windows there are."""

    def plan(self, extent: tuple[int, int], budget: int, strides: tuple[int, ...], size: int) -> WindowPlan:
        """For pictures of (height, width) `extent` pixels and `budget` rays in all.

        `strides`: empty where none are asked for; `size`: rays along one side of a patch.
        """
        ...


class Squares:
    """Equally many rays at each stride, in squares of one and a half patches, as far as pictures are large enough."""

    def plan(self, extent: tuple[int, int], budget: int, strides: tuple[int, ...], size: int) -> WindowPlan:
        """Strides that are not given are 1, 1, 2, 4, ...: motifs are painted large, and strokes, seen first, fine."""
        if size < 1:
            raise ValueError(f"patches.size: {size} is too little for windows; use 1 or more.")
        drawn = strides or (1, *doubling_strides(size, *extent))
        for stride in drawn:
            check_patch_fits(size, stride, *extent, "patches.size / patches.strides")
        different = sorted(set(drawn))
        sides = {stride: min(size * 3 // 2, min(extent) // stride) for stride in different}
        counts = {stride: max(budget // (len(different) * side**2), 1) for stride, side in sides.items()}
        return WindowPlan(size, tuple(drawn), sides, counts)


WINDOW_RULES: Registry[WindowRule] = Registry("window rule", "ins3d.windows", WindowRule)
WINDOW_RULES.register("squares", Squares())


@dataclass
class PatchSettings:
    """What a step of the style stage sees."""

    size: int | None = ranged(None, min=0)
    """Rays along one side of the square patches that are judged. By default 128, or as many as fit into the pictures."""
    strides: tuple[int, ...] = ranged((), min=1)
    """Pixels between neighbouring rays; each step draws one of them. Empty: 1, 1, 2, 4, ... as far as pictures are large
    enough: motifs are painted large, and strokes, which the eye sees first, fine."""
    rule: str = "squares"
    """Which rule lays the windows; other packages register theirs as `ins3d.windows`."""


@dataclass
class CachedPatchSettings(PatchSettings):
    """The same where what the frozen content says about rays is computed once, and kept."""

    size: int | None = ranged(None, min=1)
    """Rays along one side of the square patches that are judged. By default 128, or as many as fit into the pictures."""
    max_rays: int = ranged(1_000_000, min=1)
    """Rays that are kept; the steps cut their patches out of windows of so many in all."""


def plan_windows(extent: tuple[int, int], budget: int, settings: PatchSettings) -> WindowPlan:
    """The windows for pictures of (height, width) `extent` pixels, `budget` rays in all.

    Raises ValueError naming the option.
    """
    size = settings.size
    if size is None:
        size = max(min(USUAL_SIZE, min(extent) // max(settings.strides, default=1)), 1)
    return WINDOW_RULES.find(settings.rule, "patches.rule").plan(extent, budget, settings.strides, size)
