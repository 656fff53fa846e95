"""Evaluates a finished run: is it consistent, is it the style, did the geometry stay? Numbers, and a page to look at.

    ins3d evaluate --load-config outputs/.../config.yml
    ins3d evaluate compare RUN_A RUN_B ...
    ins3d evaluate frames STYLISED_FOLDER --content CONTENT_FOLDER --style PICTURE   (frames of any program)

Every number stands between its floor (photographs, unstylised renders) and its ceiling (the renders painted one by one).
Stages that are finished are kept: run it again to go on, or to add what was not measured.
"""

import sys

import tyro

from ins3d.cli.subcommands import Commands, run_command
from ins3d.evaluation.comparison import run_compare
from ins3d.evaluation.frames_command import run_frames
from ins3d.evaluation.settings import Compare, Evaluate, EvaluateFrames

COMMANDS: Commands = {"compare": (Compare, run_compare), "frames": (EvaluateFrames, run_frames)}


def main(arguments: list[str] | None = None, prog: str | None = None) -> None:
    """Runs `ins3d evaluate`, which is also `scripts/evaluate.py`."""
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] and words[0] in COMMANDS:
        kind, run = COMMANDS[words[0]]
        name = f"{prog} {words[0]}" if prog else None
        run_command(run, tyro.cli(kind, args=words[1:], description=kind.__doc__, prog=name))
    else:
        run_command(_evaluate, tyro.cli(Evaluate, args=words, description=__doc__, prog=prog))


def _evaluate(settings: Evaluate) -> None:
    from ins3d.plugin.finished.evaluate import run_evaluate  # the host takes seconds; --help and compare need none of it

    run_evaluate(settings)
