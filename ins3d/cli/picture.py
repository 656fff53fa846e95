"""Pictures from pictures: a picture becomes a continuous field, is stylised, and rendered at any size.

    ins3d picture stylize --content PHOTO --styles PAINTING
    ins3d picture render --load outputs/stylize --size 4096

`fit` makes a picture a field, `stylize` paints it (INS), `blend` learns all strengths at once (INR-st), `render` asks any
of them. `transfer` paints a picture or a film in one pass, `preview` shows all paintings of a folder on a picture or a
scene, by networks that ship with ins3d; `train` makes one of your own, for one style. `gatys` paints a photograph by
optimising its pixels; `texture` makes another piece of a picture. What is trained or optimised writes picture.png and
loss.csv into the output folder while it runs; at the end also loss.png and run.json.
"""

from ins3d.cli.old_options import PICTURE
from ins3d.cli.subcommands import Commands, run_subcommand
from ins3d.pictures.commands import run_blend, run_fit, run_stylize
from ins3d.pictures.pixel_commands import run_gatys, run_texture
from ins3d.pictures.preview_command import run_preview
from ins3d.pictures.render_command import run_render
from ins3d.pictures.settings import Blend, Fit, Gatys, Preview, Render, Stylize, Texture, TrainStyle, Transfer
from ins3d.pictures.train_command import run_train
from ins3d.pictures.transfer_command import run_transfer

COMMANDS: Commands = {
    "fit": (Fit, run_fit),
    "stylize": (Stylize, run_stylize),
    "blend": (Blend, run_blend),
    "render": (Render, run_render),
    "transfer": (Transfer, run_transfer),
    "preview": (Preview, run_preview),
    "train": (TrainStyle, run_train),
    "gatys": (Gatys, run_gatys),
    "texture": (Texture, run_texture),
}


def main(arguments: list[str] | None = None, prog: str | None = None) -> None:
    """Runs a subcommand of `ins3d picture`, which is also `scripts/fit_image.py`."""
    run_subcommand(COMMANDS, __doc__, arguments, prog, PICTURE)
