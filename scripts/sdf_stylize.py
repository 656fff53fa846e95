"""Painted objects: a mesh, or photographs of an object, becomes a signed distance field, is stylised, and a mesh again.

    python scripts/sdf_stylize.py stylize --mesh OBJ --styles PAINTING
    python scripts/sdf_stylize.py render --load outputs/stylize_mesh --output turntable.mp4

`fit-mesh` and `fit-images` make the field, `stylize` paints it (INS) and writes a textured mesh; without a fit it makes one
first. `export` writes any mix of the styles as a mesh, `render` a turntable or stills. Without --mesh or --images the object
is a shape of the project's own.
"""

from collections.abc import Callable
from typing import Any

from ins3d.command_line import run_subcommand
from ins3d.surface_export_command import run_export
from ins3d.surface_fit_commands import run_fit_images, run_fit_mesh
from ins3d.surface_render_command import run_render_surface
from ins3d.surface_settings import Export, FitImages, FitMesh, RenderSurface, StylizeSurface
from ins3d.surface_stylize_command import run_stylize_surface

COMMANDS: dict[str, tuple[type, Callable[[Any], None]]] = {
    "fit-mesh": (FitMesh, run_fit_mesh),
    "fit-images": (FitImages, run_fit_images),
    "stylize": (StylizeSurface, run_stylize_surface),
    "export": (Export, run_export),
    "render": (RenderSurface, run_render_surface),
}


def main(arguments: list[str] | None = None) -> None:
    run_subcommand(COMMANDS, __doc__, arguments)


if __name__ == "__main__":
    main()
