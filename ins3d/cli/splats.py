"""Gaussian splats: a painted scene for every viewer of splats, and splats painted, whoever made them.

    ins3d splats export --load-config outputs/.../config.yml
    ins3d splats export --load-config outputs/.../config.yml --mix 0.3 0.7 --strength 0.8 --output painted.ply
    ins3d splats paint --splats scene.ply --cameras transforms.json --styles PAINTING
    ins3d splats view outputs/splats

The first export of a run takes a minute or more; every further mix takes a second beside opening the run.
"""

from pathlib import Path

from ins3d.cli.subcommands import Commands, run_subcommand
from ins3d.splats.page import view_shown
from ins3d.splats.paint_command import run_paint_splats
from ins3d.splats.settings import ExportSplats, PaintSplats, RenderSplats, ViewSplats
from ins3d.splats.showing import ShownSplats, export_shown, is_run, open_splats, render_shown


def run_export(settings: ExportSplats) -> None:
    """`export`."""
    path = settings.load_config
    named = is_run(path) or not path.is_dir()
    export_shown(settings, lambda: _run_splats(path, settings) if named else open_splats(path, "load-config"))


def run_render(settings: RenderSplats) -> None:
    """`render`."""
    render_shown(settings, lambda: opened(settings.load))


def run_view(settings: ViewSplats) -> None:
    """`view`."""
    view_shown(settings, lambda: opened(settings.load))


def opened(path: Path) -> ShownSplats:
    """Whatever holds splats, or can be made splats of."""
    return _run_splats(path) if is_run(path) else open_splats(path, "load")


def _run_splats(path: Path, settings: ExportSplats | None = None) -> ShownSplats:
    from ins3d.plugin.finished.splat_export import run_splats  # ten seconds, which other splats do not need

    return run_splats(path, settings)


COMMANDS: Commands = {
    "export": (ExportSplats, run_export),
    "paint": (PaintSplats, run_paint_splats),
    "render": (RenderSplats, run_render),
    "view": (ViewSplats, run_view),
}


def main(arguments: list[str] | None = None, prog: str | None = None) -> None:
    """Runs a subcommand of `ins3d splats`."""
    run_subcommand(COMMANDS, __doc__, arguments, prog)
