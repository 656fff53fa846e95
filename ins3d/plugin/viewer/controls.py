"""Sliders in the viewer become the style code that pictures are rendered with; without a viewer, their defaults do."""

import threading
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from nerfstudio.utils.rich_utils import CONSOLE
from nerfstudio.viewer.viewer_elements import (
    ViewerButton,
    ViewerCheckbox,
    ViewerDropdown,
    ViewerElement,
    ViewerSlider,
    ViewerText,
)
from torch import Tensor

from ins3d.style.mix import Mix, make_mix, read_mix, through_styles, write_mix
from ins3d.style.stroke_sizes import StrokeDial

MIXED = "(a mix)"


class StyleControls:
    """A switch, sliders for strength and for stroke size where several were trained, a button; where there are several
    paintings, a drop-down and a slider for each. `ScenePage` shows them.

    No module: the host would find the elements in it, and show them under its own five folders.
    """

    def __init__(self, names: Sequence[str], mix: Mix) -> None:
        self.names, self.dial = tuple(names), StrokeDial(tuple(names))
        self.mix_file: Path | None = None
        """Where the button writes to; set by the pipeline."""
        paintings, (weights, size) = self.dial.paintings, self.dial.read(mix.weights)
        self.stylized = ViewerCheckbox("Stylised", True, hint="Off: the scene as it is.")
        self.strength = ViewerSlider("Strength", mix.strength, 0.0, 1.0, 0.01, hint="0: the content, 1: full style.")
        self.stroke_size: ViewerSlider | None = None
        if self.dial.span is not None:
            self.stroke_size = ViewerSlider("Stroke size", size, *self.dial.span, 0.01, hint="Beside the picture.")
        self.single = ViewerDropdown(
            "Style", self._single(weights), [*paintings, MIXED], cb_hook=self._choose, hint="One style alone."
        )
        self._shown = self.single.value
        """What the hooks know the drop-down to show: to set it calls its hook, as a click does."""
        self._one_at_a_time = threading.Lock()
        """The server runs every hook in a thread of its own; one that has looked must write before the next looks."""
        self.weights = [
            # With spaces the panel can break a long name into lines.
            ViewerSlider(name.replace("_", " "), weight / max(weights), 0.0, 1.0, 0.01, cb_hook=self._weighed)
            for name, weight in zip(paintings, weights, strict=True)
        ]
        self.save = ViewerButton("Save this mix", self._save)
        self.told = ViewerText("Saved", "", disabled=True, hint="What ns-render and ns-export will take.")
        stops = "0: the mix above; " + "; ".join(
            f"{(index + 1) / len(self.names):.2g}: {name}" for index, name in enumerate(self.names)
        )
        self.stops = ViewerText(
            "Keyframes", stops, disabled=True,
            hint="Default Time, and Override Time of a keyframe, in the Render tab walk through these.",
        )  # fmt: skip

    @property
    def of_all(self) -> list[ViewerElement]:
        """What stands above the paintings, from top to bottom."""
        return [
            self.stylized, self.strength, *([] if self.stroke_size is None else [self.stroke_size]),
            *([self.single] if len(self.weights) > 1 else []),
        ]  # fmt: skip

    @property
    def of_paintings(self) -> list[ViewerSlider]:
        """One for each painting, in their order; none where there is but one: its share is all, whatever its weight."""
        return self.weights if len(self.weights) > 1 else []

    @property
    def of_the_mix(self) -> list[ViewerElement]:
        """What stands under the paintings."""
        return [self.save, self.told, *([self.stops] if len(self.names) > 1 else [])]

    # ---- read by the model

    def code(self, time: float = 0.0) -> Float[Tensor, " styles"]:
        """The style code now: all zero when switched off, or when every slider is at 0."""
        mix = self.mix
        if mix is None or not self.stylized.value:
            return torch.zeros(len(self.names))
        return through_styles(mix).code(time)

    @property
    def mix(self) -> Mix | None:
        """What the sliders say; None when all weights are 0."""
        weights = self._weights
        if sum(weights) == 0:
            return None
        size = 1.0 if self.stroke_size is None else float(self.stroke_size.value)
        return Mix(self.dial.weights(weights, size), float(self.strength.value))

    # ---- set from outside

    def show(self, mix: Mix) -> None:
        """Moves the sliders."""
        self.strength.value = mix.strength
        weights, size = self.dial.read(mix.weights)
        if self.stroke_size is not None:
            self.stroke_size.value = size
        for slider, weight in zip(self.weights, weights, strict=True):
            slider.value = weight / max(weights)
        self._weighed(self.strength)

    def take_saved(self, mix_file: Path) -> None:
        """From now on the button writes there; what has been saved there is shown."""
        self.mix_file = mix_file
        if mix_file.is_file():
            self.show(read_mix(mix_file, self.names))
            CONSOLE.print(f"Style mix from {mix_file}: {self.mix.describe(self.names) if self.mix else ''}.", soft_wrap=True)

    # ---- answers to clicks

    @property
    def _weights(self) -> tuple[float, ...]:
        """Of the paintings."""
        return tuple(float(slider.value) for slider in self.weights)

    def _single(self, weights: Sequence[float]) -> str:
        """The name of the only painting that weighs anything."""
        weighing = [name for name, weight in zip(self.dial.paintings, weights, strict=True) if weight > 0]
        return weighing[0] if len(weighing) == 1 else MIXED

    def _choose(self, element: ViewerElement) -> None:
        """The drop-down was set: by a click, which moves the sliders, or by `_weighed`, which has moved nothing."""
        with self._one_at_a_time:
            chosen = self.single.value
            if chosen == self._shown:
                return
            self._shown = chosen
            if chosen == MIXED:
                return
            for name, slider in zip(self.dial.paintings, self.weights, strict=True):
                slider.value = float(name == chosen)

    def _weighed(self, element: ViewerElement) -> None:
        """A slider was moved; the drop-down says whether one style is left."""
        with self._one_at_a_time:
            if self.single.value != self._shown:
                return  # a click, whose own hook is about to move the sliders
            self._shown = self._single(self._weights)
            if self.single.value != self._shown:
                self.single.value = self._shown

    def _save(self, element: ViewerElement) -> None:
        strength = float(self.strength.value) if self.stylized.value else 0.0
        try:
            if self.mix_file is None:
                raise ValueError("this run has no folder yet; start training first.")
            mix = self.mix
            mix = make_mix(self._weights if mix is None else mix.weights, strength, self.names, "the sliders")
            write_mix(self.mix_file, mix, self.names)
        except (ValueError, OSError) as error:
            self.told.value = f"not saved: {error}"
            return
        self.told.value = f"{mix.describe(self.names)} → {self.mix_file}"
        CONSOLE.print(f"Saved {self.told.value}", soft_wrap=True)
