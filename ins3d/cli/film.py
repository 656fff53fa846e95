"""Makes three videos of a finished run in one go: a walk through all styles, a sweep of strength, all styles side by side.

    ins3d film --load-config outputs/.../config.yml

`--mix 0.3 0.7 --strength 0.8 --save-mix` writes a mix next to the run instead, as the viewer's button does: ns-render,
ns-export and ns-viewer take it from there.
"""

import tyro

from ins3d.cli.subcommands import run_command
from ins3d.plugin.finished.films import Film, run_film


def main(arguments: list[str] | None = None, prog: str | None = None) -> None:
    """Runs `ins3d film`, which is also `scripts/render_styles.py`."""
    run_command(run_film, tyro.cli(Film, args=arguments, description=__doc__, prog=prog))
