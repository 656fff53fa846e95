"""How much of each style, and how strongly: mixes, their style codes, their files, and mixes that change over time."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ins3d.extension.ranges import ranged
from ins3d.files.whole import replace_file
from ins3d.style.stroke_sizes import StrokeDial

FILE_NAME = "style_mix.json"
CONTENT_PULL = 0.3
"""Added to the content's weight towards strength 0; with 1, a strength of .1 is hardly to be seen (docs/design.md)."""


@dataclass(frozen=True)
class Mix:
    """Weights of the styles, of which only the ratios count, and a strength from 0 (the content) to 1."""

    weights: tuple[float, ...]
    strength: float = 1.0

    def code(self) -> Float[Tensor, " styles"]:
        """The style code: its direction is the mixture, its sum the strength.

        >>> Mix((1.0, 3.0), strength=0.5).code().tolist()
        [0.125, 0.375]
        """
        weights = torch.tensor(self.weights)
        return self.strength * weights / weights.sum()

    @classmethod
    def of_code(cls, code: Float[Tensor, " styles"]) -> "Mix":
        """The mix that has this style code. The zero code has no direction: it is the first style at strength 0.

        >>> Mix.of_code(torch.tensor([0.125, 0.375])), Mix.of_code(torch.zeros(2))
        (Mix(weights=(0.125, 0.375), strength=0.5), Mix(weights=(1.0, 0.0), strength=0.0))
        """
        strength = float(code.sum())
        return cls(tuple(code.tolist()), strength) if strength > 0 else single_style(0, len(code), 0.0)

    def describe(self, names: Sequence[str]) -> str:
        """For people.

        >>> Mix((1.0, 0.0, 3.0)).describe(("wave", "candy", "mosaic"))
        'wave 25 %, mosaic 75 %, strength 1'
        """
        shares = [f"{names[style]} {100 * share:.0f} %" for style, share in self.parts]
        return ", ".join([*shares, f"strength {self.strength:g}"])

    @property
    def parts(self) -> list[tuple[int, float]]:
        """(style, share) of every style that weighs anything; the shares' sum is 1."""
        return [(style, weight / sum(self.weights)) for style, weight in enumerate(self.weights) if weight > 0]

    @property
    def main(self) -> int:
        """The style that weighs most."""
        return max(range(len(self.weights)), key=lambda style: self.weights[style])

    def blend(self, style: int, share: float) -> "Mix":
        """This mix with so much of one style.

        >>> Mix((1.0, 0.0)).blend(1, 0.25).weights
        (0.75, 0.25)
        """
        kept = [(1.0 - share) * weight / sum(self.weights) for weight in self.weights]
        kept[style] += share
        return Mix(tuple(kept), self.strength)


@dataclass
class MixSettings:
    """Which mix a command shows; the same two options everywhere."""

    mix: tuple[float, ...] = ranged((), may_change=True)
    """A weight for each style, of which only the ratios count; empty: the first alone."""
    strength: float = ranged(1.0, may_change=True)
    """0 is the content, 1 the full style."""
    at_stroke_size: float | None = ranged(None, min=0.01, may_change=True)
    """Of a network that was trained with several `stroke-sizes`: the one that is shown, by default 1."""

    def mix_of(self, names: Sequence[str], prefix: str = "") -> Mix:
        """Of styles with these names. Raises ValueError naming the option."""
        dial = StrokeDial(tuple(names))
        weights = turned(dial, self.mix, self.at_stroke_size, f"{prefix}mix", f"{prefix}at-stroke-size")
        return make_mix(weights, self.strength, names, f"{prefix}mix", f"{prefix}strength")


@dataclass
class MixFilmSettings(MixSettings):
    """Which mixes a film shows."""

    keyframes: tuple[str, ...] = ()
    """Mixes along the way, interpolated in between: TIME:WEIGHTS@STRENGTH with a time from 0 to 1, such as
    0:1,0@0 0.5:1,0@1 1:0,1@1; with several `stroke-sizes` also TIME:WEIGHTS@STRENGTHxSIZE. Instead of mix, strength and
    at-stroke-size."""

    def path_of(self, names: Sequence[str], otherwise: "MixPath | None" = None) -> "MixPath":
        """The keyframes; without them `otherwise`, or the one mix all the time."""
        if not self.keyframes:
            mix = self.mix_of(names)
            return otherwise or MixPath((0.0,), mix.code()[None])
        if self.mix or self.strength != 1.0 or self.at_stroke_size is not None:
            raise ValueError("keyframes: mix, strength or at-stroke-size is given too; say them in the keyframes.")
        return read_keyframes(self.keyframes, names)


def single_style(style: int, num_styles: int, strength: float = 1.0) -> Mix:
    """One style alone.

    >>> single_style(1, 3).weights
    (0.0, 1.0, 0.0)
    """
    return Mix(tuple(float(index == style) for index in range(num_styles)), strength)


def turned(
    dial: StrokeDial, weights: Sequence[float], size: float | None, setting: str, size_setting: str
) -> tuple[float, ...]:
    """Weights of all styles at a stroke size, from weights of the paintings; weights of all styles stay as they are.

    No weights: the first painting alone. Raises ValueError for a size where there is nothing to turn, or that was not
    trained.
    """
    if dial.span is None:
        if size is not None:
            raise ValueError(
                f"{size_setting}: {size:g} is not to be had of one stroke size; train several (stroke-sizes)."
            )
        return tuple(weights)
    least, most = dial.span
    if size is not None and not least <= size <= most:
        raise ValueError(f"{size_setting}: {size:g} lies outside the stroke sizes {least:g} to {most:g} that were trained.")
    if weights and len(weights) == len(dial.names):
        if size is not None:
            raise ValueError(
                f"{size_setting}: {setting} says it already; give a weight for each of {', '.join(dial.paintings)}."
            )
        return tuple(weights)
    if weights and len(weights) != len(dial.paintings):
        return tuple(weights)  # refused with the names, by `make_mix`
    alone = (1.0, *[0.0] * (len(dial.paintings) - 1))
    return dial.weights(tuple(weights) or alone, min(max(1.0, least), most) if size is None else size)


def make_mix(
    weights: Sequence[float], strength: float, names: Sequence[str], setting: str, strength_setting: str | None = None
) -> Mix:
    """A mix that is one, or a ValueError that names the setting. No weights: the first style alone."""
    known = ", ".join(names)
    weights = tuple(float(weight) for weight in weights) or (1.0, *[0.0] * (len(names) - 1))
    if len(weights) != len(names):
        raise ValueError(f"{setting}: {len(weights)} weights for {len(names)} styles; give one for each of {known}.")
    if not all(0 <= weight < float("inf") for weight in weights):
        listed = " ".join(f"{weight:g}" for weight in weights)
        raise ValueError(f"{setting}: {listed} is no mix; give weights of 0 or more, one for each of {known}.")
    if sum(weights) == 0:
        raise ValueError(
            f"{setting}: all weights are 0; give one of {known} a weight, and use a style strength of 0 for the content."
        )
    if not 0 <= strength <= 1:
        raise ValueError(f"{strength_setting or setting}: {strength:g} is outside 0 (the content) to 1 (full style).")
    return Mix(weights, float(strength))


def write_mix(path: Path, mix: Mix, names: Sequence[str]) -> None:
    """Writes the mix by the styles' names, whole or not at all; people may edit it."""
    contents = {"weights": dict(zip(names, mix.weights, strict=True)), "strength": mix.strength}
    replace_file(path, lambda aside: aside.write_text(json.dumps(contents, indent=1)))


def read_mix(path: Path, names: Sequence[str]) -> Mix:
    """What `write_mix` wrote; styles that it does not mention weigh nothing. Raises ValueError for one that is gone."""
    try:
        contents = json.loads(path.read_text())
        weights = {str(name): float(weight) for name, weight in contents["weights"].items()}
        strength = float(contents["strength"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f'style mix: {path} is not {{"weights": {{NAME: WEIGHT, ...}}, "strength": S}} ({error!r}); mend or delete it.'
        ) from error
    gone = [name for name in weights if name not in names]
    if gone:
        raise ValueError(
            f"style mix: {path} asks for {gone[0]!r}, and this run's styles are {', '.join(names)}; edit the file, or "
            "delete it and save a new mix in the viewer."
        )
    return make_mix([weights.get(name, 0.0) for name in names], strength, names, f"style mix: {path}")


@dataclass(frozen=True)
class MixPath:
    """Style codes at times from 0 to 1; between two of them they are interpolated, beyond the ends they stay."""

    times: tuple[float, ...]
    codes: Float[Tensor, "keyframes styles"]

    def code(self, time: float) -> Float[Tensor, " styles"]:
        """The style code at a time.

        >>> MixPath((0.0, 1.0), torch.tensor([[1.0, 0.0], [0.0, 0.5]])).code(0.5).tolist()
        [0.5, 0.25]
        """
        return torch.tensor([float(np.interp(time, self.times, column)) for column in self.codes.T.tolist()])


def through_styles(mix: Mix) -> MixPath:
    """The mix itself at time 0, then each of N styles alone at 1/N, 2/N, ..., 1: times that a camera path's keyframes carry.

    >>> through_styles(Mix((0.5, 0.5))).code(0.75).tolist()
    [0.5, 0.5]
    """
    number = len(mix.weights)
    codes = torch.cat([mix.code()[None], mix.strength * torch.eye(number)])
    return MixPath(tuple(key / number for key in range(number + 1)), codes)


def round_trip(num_styles: int) -> MixPath:
    """From the first style through all others and back to the first (INS's `linear_eval`).

    >>> [round_trip(2).code(time).tolist() for time in (0.0, 0.25, 0.5)]
    [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    """
    codes = torch.cat([torch.eye(num_styles), torch.eye(num_styles)[:1]])
    return MixPath(tuple(key / num_styles for key in range(num_styles + 1)), codes)


def read_keyframes(words: Sequence[str], names: Sequence[str], setting: str = "keyframes") -> MixPath:
    """Mixes at times, each written TIME:WEIGHTS@STRENGTH; without a strength it is 1. Raises ValueError for others.

    >>> read_keyframes(["0:1,0", "1:1,3@0.5"], ("wave", "candy")).code(1.0).tolist()
    [0.125, 0.375]
    """
    keys = sorted((_read_keyframe(word, names, setting) for word in words), key=lambda key: key[0])
    return MixPath(tuple(time for time, _ in keys), torch.stack([mix.code() for _, mix in keys]))


def _read_keyframe(word: str, names: Sequence[str], setting: str) -> tuple[float, Mix]:
    time_word, _, rest = word.partition(":")
    weights_word, _, how = rest.partition("@")
    strength_word, _, size_word = how.partition("x")
    try:
        time, strength, size = float(time_word), float(strength_word or 1), float(size_word) if size_word else None
        weights = [float(weight) for weight in weights_word.split(",")]
    except ValueError as error:
        example = f"0.5:{','.join('1' for _ in names)}@0.8"
        raise ValueError(f"{setting}: {word!r} is not TIME:WEIGHTS@STRENGTH, such as {example}.") from error
    if not 0 <= time <= 1:
        raise ValueError(f"{setting}: the time of {word!r} is outside 0 (the first frame) to 1 (the last).")
    whose = f"{setting}: {word!r}"
    return time, make_mix(turned(StrokeDial(tuple(names)), weights, size, whose, whose), strength, names, whose)


def strength_factors(strength: float) -> tuple[float, float]:
    """(what the style losses are multiplied by, what is added to the content loss's weight) at a strength in (0, 1].

    At full strength losses are as they are set; towards 0 the pull of the style gives way to that of the content.
    Differs from INR-st (Kim et al. 2022, spec B), whose factors -a ln(1 - a) have no finite value at full strength.

    >>> strength_factors(1.0), strength_factors(0.5)
    ((1.0, 0.0), (0.5, 0.15))
    """
    return strength, CONTENT_PULL * (1.0 - strength)
