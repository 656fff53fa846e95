"""The style stage of anything that can be painted: begin, a step's losses, end (INS, stage 2)."""

from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from ins3d.perception.color_transfer import between
from ins3d.perception.losses import Mask
from ins3d.style.colors import StyleColors
from ins3d.style.mix import Mix, single_style
from ins3d.style.objective import StyleObjective, colors_of
from ins3d.style.sampling import MixSampler

RESTORED = 0.75
"""How far the painted patches' colours are moved to the style's at the end (docs/design.md, Colours)."""
Window = TypeVar("Window")


@dataclass
class Patches:
    """What a step judges."""

    painted: Float[Tensor, "patches 3 height width"]
    photographs: Float[Tensor, "patches 3 height width"]
    """What the content loss compares with, under the style's colour map."""
    mask: Mask | None = None
    """How much pixels count, in [0, 1]; None: all of them, fully."""
    losses: dict[str, Float[Tensor, ""]] = field(default_factory=dict)
    """Further ones, weighted: what holds a geometry that may move."""


@runtime_checkable
class Subject(Protocol[Window]):
    """What is painted: a scene, an object, a picture. It says where its patches come from, and what is seen there."""

    @property
    def colors(self) -> StyleColors:
        """Its colour maps; they know the colours of the unstylised subject."""
        ...

    def draw(self, step: int, mixes: MixSampler, generator: torch.Generator) -> tuple[Window, Mix]:
        """Where a step looks, and the mix that it trains."""
        ...

    def look(self, window: Window, mix: Mix, generator: torch.Generator) -> Patches:
        """The stylised patches of a window, with gradients."""
        ...

    def fixed(self, mix: Mix, painted: bool) -> Patches:
        """Patches that are the same in every run; unless `painted`, without strokes, under the style's colour map."""
        ...


class StyleStage(Generic[Window]):
    """Trains a subject to look like its styles. Holds nothing that is saved: it is built anew when a run is resumed."""

    def __init__(
        self, subject: Subject[Window], objective: StyleObjective, mixes: MixSampler, normalise: bool = True
    ) -> None:
        """`normalise`: losses are divided by their values at the start; otherwise they are raw (the INS release)."""
        self.subject, self.objective, self.mixes, self.normalise = subject, objective, mixes, normalise
        subject.colors.reopen(mixes.learned)

    @torch.no_grad()
    def begin(self) -> None:
        """Before the first step: the colour maps, then what each loss is divided by (`objective.normalisers`)."""
        colors, number = self.subject.colors, len(self.objective.styles)
        if self.normalise and self.objective.normalisers is None:
            terms = len(self.objective.terms)
            self.objective.normalisers = torch.ones(number, terms, device=colors.maps.device)
        for style in self.mixes.learned:
            colors.match(style, colors.scene, self.objective.styles[style].colors)
        if self.objective.normalisers is not None:
            for style in range(number):  # of those that are kept, too: others are blended with them
                seen = self.subject.fixed(single_style(style, number), painted=False)
                self.objective.normalisers[style] = self.objective.measure_normalisers(
                    seen.painted, seen.photographs, style, torch.Generator().manual_seed(self.mixes.seed), seen.mask
                )

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Float[Tensor, ""]]:
        """What one step minimises, weighted, by name."""
        window, mix = self.subject.draw(step, self.mixes, generator)
        seen = self.subject.look(window, mix, generator)
        weighted = self.objective.weighted_losses(seen.painted, seen.photographs, mix, generator, seen.mask)
        return seen.losses | weighted

    @torch.no_grad()
    def end(self) -> None:
        """After the last step: the colours of what has been painted are matched once more (ARF, section 4.3).

        Differs from ARF, which gives them all of the style's covariance: a patch of the size of strokes does not hold the
        whole palette, and what is `RESTORED` of it brings back the contrast that small patches cost. Training that is taken
        up again goes on without it.
        """
        colors = self.subject.colors
        colors.reopen(self.mixes.learned)  # what has been ended once already is ended as if it had not been
        for style in self.mixes.learned if colors.mode == "style" else []:
            seen = self.subject.fixed(single_style(style, len(self.objective.styles)), painted=True)
            found = colors_of(seen.painted, seen.mask)
            colors.finish(style, found, between(found, self.objective.styles[style].colors, RESTORED))

    @torch.no_grad()
    def gram_distance(self, style: int, strength: float = 1.0) -> float:
        """The relative Gram distance of the fixed patches to a style; at strength 0 that of the content."""
        seen = self.subject.fixed(single_style(style, len(self.objective.styles), strength), painted=True)
        return float(self.objective.gram_distance(seen.painted.clamp(0, 1), style, seen.mask))
