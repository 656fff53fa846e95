"""Pictures: paint one as a continuous field, open it, render it at any size."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ins3d.pictures.checkpoint import FieldSpec, PictureField, load_field
from ins3d.pictures.commands import run_fit, run_stylize
from ins3d.pictures.rendering import StrengthMap, render_picture
from ins3d.pictures.settings import Fit, Stylize
from ins3d.pictures.windows import WHOLE, Bounds, window_of_size
from ins3d.style.mix import Mix, make_mix, single_style


@dataclass(frozen=True)
class Picture:
    """A picture as a field: a function of place, painted or not."""

    field: PictureField
    spec: FieldSpec

    @property
    def styles(self) -> tuple[str, ...]:
        """Names of the styles, in the order of a mix's weights; none of a picture that is only fitted."""
        return self.spec.styles

    def render(
        self, size: int | None = None, mix: Mix | None = None, bounds: Bounds = WHOLE, strengths: StrengthMap | None = None
    ) -> Float[Tensor, "3 height width"]:
        """In [0, 1]; `size` is the long side in pixels, by default as it was written.

        `bounds`: left, top, right, bottom in shares of the picture. `strengths`: how strong where, instead of the mix's.
        """
        mix = mix or single_style(0, max(len(self.styles), 1))
        mix = make_mix(mix.weights, mix.strength, self.styles or ("content",), "mix")
        window = window_of_size(size or self.spec.size, self.spec.aspect, bounds)
        return render_picture(self.field, window, mix, strengths or StrengthMap(mix.strength))


def paint_picture(content: str | Path, styles: Sequence[str], output: str | Path, **settings: Any) -> Picture:
    """As `ins3d picture stylize`; `settings` are its options (`pictures.settings.Stylize`).

    >>> import tempfile
    >>> from ins3d.pictures.settings import DEFAULT_CONTENT
    >>> from ins3d.style.styles import DEFAULT_STYLE
    >>> fit, output, small = Path(tempfile.mkdtemp()), tempfile.mkdtemp(), {"size": 64, "device": "cpu"}
    >>> fitted = fit_picture(DEFAULT_CONTENT, fit, steps=60, **small)  # doctest: +ELLIPSIS
    total ...
    >>> painted = paint_picture(DEFAULT_CONTENT, [DEFAULT_STYLE], output, fit=fit, steps=3, **small)  # doctest: +ELLIPSIS
    Judged by ...
    >>> painted.render(128, Mix((1.0,), strength=0.5)).shape
    torch.Size([3, 128, 128])
    """
    run_stylize(Stylize(content=Path(content), styles=tuple(map(str, styles)), output=Path(output), **settings))
    return open_picture(output)


def fit_picture(content: str | Path, output: str | Path, **settings: Any) -> Picture:
    """As `ins3d picture fit`: the picture as a field, unpainted; `settings` are its options (`pictures.settings.Fit`)."""
    run_fit(Fit(content=Path(content), output=Path(output), **settings))
    return open_picture(output)


def open_picture(folder: str | Path, device: str = "cpu") -> Picture:
    """The output folder of `fit`, `stylize` or `blend`. Raises FileNotFoundError or ValueError for another folder."""
    return Picture(*load_field(Path(folder), "folder", torch.device(device)))
