"""Gaussian splats: a painted scene for every viewer of splats.

    ins3d splats export --load-config outputs/.../config.yml
    ins3d splats export --load-config outputs/.../config.yml --mix 0.3 0.7 --strength 0.8 --output painted.ply

The first export of a run takes a minute or more; every further mix takes a second beside opening the run.
"""

from ins3d.cli.subcommands import Commands, run_subcommand
from ins3d.plugin.finished.splat_export import run_export_splats
from ins3d.splats.paint_command import run_paint_splats
from ins3d.splats.settings import ExportSplats, PaintSplats

COMMANDS: Commands = {
    "export": (ExportSplats, run_export_splats),
    "paint": (PaintSplats, run_paint_splats),
}


def main(arguments: list[str] | None = None, prog: str | None = None) -> None:
    """Runs a subcommand of `ins3d splats`."""
    run_subcommand(COMMANDS, __doc__, arguments, prog)
