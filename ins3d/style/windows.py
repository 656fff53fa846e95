"""How large the windows are that the style losses see, and how many are kept: the only place that says so."""

import math
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, runtime_checkable

from ins3d.extension.ranges import ranged
from ins3d.extension.registry import Registry
from ins3d.style.patches import check_patch_fits, doubling_strides
from ins3d.style.sizes import rays_to_keep

Extent = tuple[int, int]
WHOLE_PATCHES = 2
"""All of a picture is judged where it has no more rays than so many square patches."""


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
    whole: dict[int, Extent] = field(default_factory=dict)
    """By stride, where a step judges all of a picture: rays (down, across)."""

    def patch_at(self, stride: int) -> Extent:
        """Rays (down, across) of what a step judges."""
        return self.whole.get(stride, (self.patch, self.patch))

    def window_at(self, stride: int) -> Extent:
        """Rays (down, across) of a window, of which patches are cut."""
        side = self.sides.get(stride, 0)
        return self.whole.get(stride, (side, side))

    def rays_of_step(self) -> float:
        """Rays of one patch, in the mean over steps."""
        return sum(math.prod(self.patch_at(stride)) for stride in self.strides) / len(self.strides)


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


class Frames:
    """All of a picture, wherever that is no more than two patches; elsewhere squares.

    A patch of all of it says how the painting's colours and strokes are shared out over the picture; squares, how fine
    strokes look.
    """

    def plan(self, extent: tuple[int, int], budget: int, strides: tuple[int, ...], size: int) -> WindowPlan:
        """Strides that are not given: 1, its doublings, and the first at which all of a picture fits: without those in
        between, what the squares leave out knows nothing finer than a picture of 200 pixels shows."""
        check_patch_fits(size, 1, *extent, "patches.size / patches.strides")
        whole = {stride: at for stride in range(1, min(extent) + 1) if _fits(at := _extent_at(extent, stride), size)}
        first = min(whole, default=1)
        doublings = [2**power for power in range(first.bit_length()) if 2**power < first]
        drawn = strides or (*(each for each in doublings if size * each <= min(extent)), first)
        squares = tuple(stride for stride in drawn if stride not in whole)
        plan = Squares().plan(extent, budget, squares, size) if squares else WindowPlan(size, (), {}, {})
        different = sorted(set(drawn))
        counts = {
            stride: max(
                budget // (len(different) * math.prod(whole.get(stride) or (plan.sides[stride], plan.sides[stride]))), 1
            )
            for stride in different
        }
        kept = {stride: whole[stride] for stride in different if stride in whole}
        return WindowPlan(plan.patch, drawn, plan.sides, counts, kept)


def _extent_at(extent: Extent, stride: int) -> Extent:
    return extent[0] // stride, extent[1] // stride


def _fits(extent: Extent, size: int) -> bool:
    return math.prod(extent) <= WHOLE_PATCHES * size**2


WINDOW_RULES: Registry[WindowRule] = Registry("window rule", "ins3d.windows", WindowRule)
WINDOW_RULES.register("squares", Squares())
WINDOW_RULES.register("frames", Frames())


@dataclass
class PatchSettings:
    """What a step of the style stage sees."""

    usual_size: ClassVar[int] = 128
    """Windows of 64 rays make flecks, those of 128 strokes: a Gram matrix asks every window for the whole palette."""
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

    usual_size: ClassVar[int] = 192
    size: int | None = ranged(None, min=1)
    """Rays along one side of the square patches that are judged. By default 192, or as many as fit into the pictures."""
    max_rays: int | None = ranged(None, min=1)
    """Rays that are kept; the steps cut their patches out of windows of so many in all. By default a million, or six
    times a picture's pixels: every surface is to be seen at every stride."""

    def rays_of(self, extent: Extent) -> int:
        """That are kept of pictures of (height, width) pixels."""
        return rays_to_keep(math.prod(extent)) if self.max_rays is None else self.max_rays


def plan_windows(extent: tuple[int, int], budget: int, settings: PatchSettings) -> WindowPlan:
    """The windows for pictures of (height, width) `extent` pixels, `budget` rays in all.

    Raises ValueError naming the option.
    """
    rule = WINDOW_RULES.find(settings.rule, "patches.rule")
    usual = max(min(settings.usual_size, min(extent)), 1)
    try:
        plan = rule.plan(extent, budget, settings.strides, usual if settings.size is None else settings.size)
    except ValueError:
        if settings.size is not None:
            raise
        # Squares at a stride are no larger than pictures that are reduced by it.
        usual = max(min(usual, min(extent) // max(settings.strides, default=1)), 1)
        plan = rule.plan(extent, budget, settings.strides, usual)
    if isinstance(settings, CachedPatchSettings) and settings.max_rays is not None:
        _refuse_small_budget(plan, settings.max_rays)
    return plan


def _refuse_small_budget(plan: WindowPlan, max_rays: int) -> None:
    least = sum(math.prod(plan.window_at(stride)) for stride in plan.counts)
    if max_rays < least:
        raise ValueError(
            f"patches.max-rays: {max_rays} rays are fewer than one window at every stride has; use {least} or more, or a "
            "smaller patches.size."
        )
