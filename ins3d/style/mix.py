"""How much of each style, and how strongly, becomes a style code; mixes become small files, and walks through all styles."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ins3d.files.whole import replace_file

FILE_NAME = "style_mix.json"
CONTENT_PULL = 0.3
"""Added to the content's weight towards strength 0; with 1, a strength of .1 is hardly to be seen (docs/design.md)."""


@dataclass(frozen=True)
class StyleMix:
    """Weights of the styles, of which only the ratios count, and a strength from 0 (the content) to 1."""

    weights: tuple[float, ...]
    strength: float = 1.0

    def code(self) -> Float[Tensor, " styles"]:
        """The style code: its direction is the mixture, its sum the strength.

        >>> StyleMix((1.0, 3.0), strength=0.5).code().tolist()
        [0.125, 0.375]
        """
        weights = torch.tensor(self.weights)
        return self.strength * weights / weights.sum()

    def describe(self, names: Sequence[str]) -> str:
        """For people.

        >>> StyleMix((1.0, 0.0, 3.0)).describe(("wave", "candy", "mosaic"))
        'wave 25 %, mosaic 75 %, strength 1'
        """
        shares = [f"{names[style]} {100 * share:.0f} %" for style, share in self.parts]
        return ", ".join([*shares, f"strength {self.strength:g}"])

    @property
    def parts(self) -> list[tuple[int, float]]:
        """(style, share) of every style that weighs anything; the shares' sum is 1."""
        return [(style, weight / sum(self.weights)) for style, weight in enumerate(self.weights) if weight > 0]

    def blend(self, style: int, share: float) -> "StyleMix":
        """This mix with so much of one style.

        >>> StyleMix((1.0, 0.0)).blend(1, 0.25).weights
        (0.75, 0.25)
        """
        kept = [(1.0 - share) * weight / sum(self.weights) for weight in self.weights]
        kept[style] += share
        return StyleMix(tuple(kept), self.strength)


def single_style(style: int, num_styles: int, strength: float = 1.0) -> StyleMix:
    """One style alone.

    >>> single_style(1, 3).weights
    (0.0, 1.0, 0.0)
    """
    return StyleMix(tuple(float(index == style) for index in range(num_styles)), strength)


def make_mix(
    weights: Sequence[float], strength: float, names: Sequence[str], setting: str, strength_setting: str | None = None
) -> StyleMix:
    """A mix that is one, or a ValueError that names the setting. No weights: the first style alone."""
    known = ", ".join(names)
    weights = tuple(float(weight) for weight in weights) or (1.0, *[0.0] * (len(names) - 1))
    if len(weights) != len(names):
        raise ValueError(f"{setting}: {len(weights)} weights for {len(names)} styles; give one for each of {known}.")
    if not all(0 <= weight < float("inf") for weight in weights):
        raise ValueError(f"{setting}: {_listed(weights)} is no mix; give weights of 0 or more, one for each of {known}.")
    if sum(weights) == 0:
        raise ValueError(
            f"{setting}: all weights are 0; give one of {known} a weight, and use a style strength of 0 for the content."
        )
    if not 0 <= strength <= 1:
        raise ValueError(f"{strength_setting or setting}: {strength:g} is outside 0 (the content) to 1 (full style).")
    return StyleMix(weights, float(strength))


def write_mix(path: Path, mix: StyleMix, names: Sequence[str]) -> None:
    """Writes the mix by the styles' names, whole or not at all; people may edit it."""
    contents = {"weights": dict(zip(names, mix.weights, strict=True)), "strength": mix.strength}
    replace_file(path, lambda aside: aside.write_text(json.dumps(contents, indent=1)))


def read_mix(path: Path, names: Sequence[str]) -> StyleMix:
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


def style_code(index: int, num_styles: int, device: torch.device) -> Float[Tensor, " styles"]:
    """The one-hot code of one style at full strength.

    >>> style_code(1, 3, torch.device("cpu")).tolist()
    [0.0, 1.0, 0.0]
    """
    return F.one_hot(torch.tensor(index, device=device), num_styles).float()


def code_at_time(time: float, mix: StyleMix) -> Float[Tensor, " styles"]:
    """A walk along the list of styles: the mix itself at time 0, then each of N styles alone at 1/N, 2/N, ..., 1.

    Keyframes of a camera path carry such times. In between codes are blended; outside [0, 1] the ends go on.

    >>> code_at_time(0.75, StyleMix((0.5, 0.5), strength=1.0)).tolist()
    [0.5, 0.5]
    """
    stops = torch.cat([mix.code()[None], mix.strength * torch.eye(len(mix.weights))])
    return _between(stops, min(max(time, 0.0), 1.0) * len(mix.weights))


def round_trip_codes(num_styles: int, num_frames: int) -> Float[Tensor, "num_frames num_styles"]:
    """From the first style through all others and back to the first (INS's `linear_eval`), evenly, without the last frame.

    >>> round_trip_codes(2, 4).tolist()
    [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0], [0.5, 0.5]]
    """
    stops = torch.cat([torch.eye(num_styles), torch.eye(num_styles)[:1]])
    return torch.stack([_between(stops, frame / num_frames * num_styles) for frame in range(num_frames)])


def strength_factors(strength: float) -> tuple[float, float]:
    """(what the style losses are multiplied by, what is added to the content loss's weight) at a strength in (0, 1].

    At full strength losses are as they are set; towards 0 the pull of the style gives way to that of the content.
    Differs from INR-st (Kim et al. 2022, spec B), whose factors -a ln(1 - a) have no finite value at full strength.

    >>> strength_factors(1.0), strength_factors(0.5)
    ((1.0, 0.0), (0.5, 0.15))
    """
    return strength, CONTENT_PULL * (1.0 - strength)


def _between(stops: Float[Tensor, "stops styles"], place: float) -> Float[Tensor, " styles"]:
    before = min(int(place), len(stops) - 2)
    return torch.lerp(stops[before], stops[before + 1], place - before)


def _listed(weights: Sequence[float]) -> str:
    return " ".join(f"{weight:g}" for weight in weights)
