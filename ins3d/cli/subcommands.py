"""Parses and runs the subcommand that a user typed."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import tyro

from ins3d.extension.old_options import refuse_old_options

Commands = Mapping[str, tuple[type, Callable[[Any], None]]]
"""By name: the dataclass of a subcommand's settings, and the function that runs it."""


def run_subcommand(
    commands: Commands,
    description: str | None,
    arguments: list[str] | None,
    prog: str | None = None,
    old: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> None:
    """Runs the one of the commands that the arguments (those of the process if None) name; `prog` is shown in the help.

    `old` says of each command's options of before what they are now.
    """
    words = sys.argv[1:] if arguments is None else arguments
    if words and words[0] in commands:
        kind, run = commands[words[0]]
        refuse_old_options(words[1:], old.get(words[0], {}))
        # Asked alone, so that a mistyped option is answered with this command's options and not with all others'.
        run_command(run, tyro.cli(kind, args=words[1:], prog=f"{prog or Path(sys.argv[0]).name} {words[0]}"))
    else:  # --help, or a mistyped command
        kinds = {name: kind for name, (kind, _) in commands.items()}
        tyro.extras.subcommand_cli_from_dict(kinds, description=description, args=words, prog=prog)


def run_command(run: Callable[[Any], None], settings: Any) -> None:
    """Runs a command; what a user can mend is said in a sentence, without a traceback.

    Leaves with 130 after Ctrl-C: what was reached has been written.
    """
    try:
        run(settings)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None
