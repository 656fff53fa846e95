"""Painted objects: a mesh, or photographs of an object, becomes a signed distance field, is stylised, and a mesh again.

    ins3d object stylize --mesh OBJ --styles PAINTING
    ins3d object render --load outputs/stylize_mesh --output turntable.mp4

`fit-mesh` and `fit-images` make the field, `stylize` paints it (INS) and writes a textured mesh; without a fit it makes one
first. `export` writes any mix of the styles as a mesh, `render` a turntable or stills. Without --mesh or --images the object
is a shape of the project's own.
"""

from ins3d.cli.old_options import OBJECT
from ins3d.cli.subcommands import Commands, run_subcommand
from ins3d.surfaces.export_command import run_export
from ins3d.surfaces.fit_commands import run_fit_images, run_fit_mesh
from ins3d.surfaces.render_command import run_render_surface
from ins3d.surfaces.settings import Export, FitImages, FitMesh, RenderSurface, StylizeSurface
from ins3d.surfaces.stylize_command import run_stylize_surface

COMMANDS: Commands = {
    "fit-mesh": (FitMesh, run_fit_mesh),
    "fit-images": (FitImages, run_fit_images),
    "stylize": (StylizeSurface, run_stylize_surface),
    "export": (Export, run_export),
    "render": (RenderSurface, run_render_surface),
}


def main(arguments: list[str] | None = None, prog: str | None = None) -> None:
    """Runs a subcommand of `ins3d object`, which is also `scripts/sdf_stylize.py`."""
    run_subcommand(COMMANDS, __doc__, arguments, prog, OBJECT)
