"""Pictures from pictures: a picture becomes a continuous field, is stylised, and rendered at any size.

    python scripts/fit_image.py stylize --content PHOTO --styles PAINTING
    python scripts/fit_image.py render --load outputs/stylize --size 2048

`fit` makes a picture a field, `stylize` paints it (INS), `blend` learns all strengths at once (INR-st), `render` asks any
of them. `gatys` paints a photograph by optimising its pixels; `texture` makes another piece of a picture. While they run
they write picture.png and loss.csv into the output folder; at the end also loss.png and run.json.
"""

from collections.abc import Callable
from typing import Any

from ins3d.command_line import run_subcommand
from ins3d.picture_commands import run_blend, run_fit, run_stylize
from ins3d.picture_render_command import run_render
from ins3d.picture_settings import Blend, Fit, Gatys, Render, Stylize, Texture
from ins3d.pixel_commands import run_gatys, run_texture

COMMANDS: dict[str, tuple[type, Callable[[Any], None]]] = {
    "fit": (Fit, run_fit),
    "stylize": (Stylize, run_stylize),
    "blend": (Blend, run_blend),
    "render": (Render, run_render),
    "gatys": (Gatys, run_gatys),
    "texture": (Texture, run_texture),
}


def main(arguments: list[str] | None = None) -> None:
    run_subcommand(COMMANDS, __doc__, arguments)


if __name__ == "__main__":
    main()
