"""Objects: paint a mesh, open it, render it, write it as a mesh again."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ins3d.placement.cameras import turntable
from ins3d.style.mix import Mix, make_mix, single_style
from ins3d.surfaces.checkpoint import SurfaceField, SurfaceSpec, load_surface, show_field
from ins3d.surfaces.export_command import run_export
from ins3d.surfaces.fit_commands import run_fit_mesh
from ins3d.surfaces.rendering import render_view
from ins3d.surfaces.settings import Export, FitMesh, StylizeSurface
from ins3d.surfaces.stylize_command import run_stylize_surface


@dataclass(frozen=True)
class Object:
    """An object as a signed distance field with colours, painted or not."""

    folder: Path
    field: SurfaceField
    spec: SurfaceSpec

    @property
    def styles(self) -> tuple[str, ...]:
        """Names of the styles, in the order of a mix's weights; none of an object that is only fitted."""
        return self.spec.styles

    def render(self, views: int = 4, size: int = 256, mix: Mix | None = None) -> list[Float[Tensor, "3 {size} {size}"]]:
        """Pictures in [0, 1] from all around, before white."""
        mix = mix or single_style(0, max(len(self.styles), 1))
        mix = make_mix(mix.weights, mix.strength, self.styles or ("content",), "mix")
        device = next(self.field.parameters()).device
        surface = show_field(self.field, mix.code().to(device))
        cameras = turntable(views, self.spec.up, size).to(device)
        return [render_view(surface, cameras, view, 2).picture("rgb").cpu() for view in range(views)]

    def export(self, output: str | Path, mix: Mix | None = None, **settings: Any) -> None:
        """As `ins3d object export`; `settings` are its options (`surfaces.settings.Export`)."""
        mix = mix or single_style(0, max(len(self.styles), 1))
        run_export(Export(load=self.folder, output=Path(output), mix=mix.weights, strength=mix.strength, **settings))


def paint_object(mesh: str | Path | None, styles: Sequence[str], output: str | Path, **settings: Any) -> Object:
    """As `ins3d object stylize`; None is a shape of the project's own. `settings`: `surfaces.settings.StylizeSurface`.

    >>> import tempfile
    >>> from ins3d.style.styles import DEFAULT_STYLE
    >>> from ins3d.style.windows import CachedPatchSettings
    >>> fitted = fit_object(None, tempfile.mkdtemp(), steps=2, device="cpu")  # doctest: +ELLIPSIS
    total ...
    >>> painted = paint_object(  # doctest: +ELLIPSIS
    ...     None, [DEFAULT_STYLE], tempfile.mkdtemp(), fit=fitted.folder, steps=2, export=(), device="cpu",
    ...     patches=CachedPatchSettings(32, (1,), max_rays=5_000), views=4, view_size=96,
    ... )
    Judged by ...
    >>> painted.render(views=1, size=48)[0].shape
    torch.Size([3, 48, 48])
    """
    path = None if mesh is None else Path(mesh)
    run_stylize_surface(StylizeSurface(mesh=path, styles=tuple(map(str, styles)), output=Path(output), **settings))
    return open_object(output)


def fit_object(mesh: str | Path | None, output: str | Path, **settings: Any) -> Object:
    """As `ins3d object fit-mesh`: the mesh as a field, unpainted; `settings`: `surfaces.settings.FitMesh`."""
    run_fit_mesh(FitMesh(mesh=None if mesh is None else Path(mesh), output=Path(output), **settings))
    return open_object(output)


def open_object(folder: str | Path, device: str = "cpu") -> Object:
    """The output folder of `fit-mesh`, `fit-images` or `stylize`. Raises FileNotFoundError or ValueError for another."""
    return Object(Path(folder), *load_surface(Path(folder), "folder", torch.device(device)))
