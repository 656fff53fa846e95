"""Style for implicit 3D scenes, without a training in nerfstudio: pictures, objects, and what is done with finished runs.

Scenes are painted by `ns-train ins-stylize --data SCENE --pipeline.model.styles PICTURE`.
"""

import sys
from collections.abc import Callable
from importlib import import_module

import tyro

COMMANDS = {
    "picture": "Paint a picture, and render it at any size, mix and strength.",
    "object": "Paint a mesh, or an object from photographs of it; export it, film it.",
    "splats": "Gaussian splats of a finished run of ns-train, in any mix of its styles.",
    "film": "Films of a finished run of ns-train: all styles in turn, a sweep of strength, side by side.",
    "evaluate": "Numbers and a report about a finished run of ns-train, or frames of any program; compare several.",
    "doctor": "What a bug report needs: versions, device, encoder, ffmpeg, methods, and what is missing for what.",
}
"""A module of this folder for each, with a `main(arguments, prog)`. None is imported before it is asked for."""


def main(arguments: list[str] | None = None) -> None:
    """The console command `ins3d`."""
    words = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if words[0] in COMMANDS:
        try:
            import_module(f"ins3d.cli.{words[0]}").main(words[1:], prog=f"ins3d {words[0]}")
        except KeyboardInterrupt:  # while packages are still being imported
            raise SystemExit(130) from None
    else:  # --help, or a mistyped command: tyro answers either
        listed = {name: _described(text) for name, text in COMMANDS.items()}
        tyro.extras.subcommand_cli_from_dict(listed, prog="ins3d", description=__doc__, args=words)


def _described(text: str) -> Callable[[], None]:
    def command() -> None: ...

    command.__doc__ = text
    return command


if __name__ == "__main__":
    main()
