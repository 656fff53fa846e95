"""The subcommand that a user typed is found and run."""

from collections.abc import Callable, Mapping
from typing import Any

import tyro

Commands = Mapping[str, tuple[type, Callable[[Any], None]]]
"""What each subcommand is told, and who does it."""


def run_subcommand(
    commands: Commands, description: str | None, arguments: list[str] | None, prog: str | None = None
) -> None:
    """Runs the one of the commands that the arguments (those of the process if None) name; `prog` is shown in the help."""
    settings = tyro.extras.subcommand_cli_from_dict(
        {name: settings for name, (settings, _) in commands.items()},
        description=description,
        args=arguments,
        prog=prog,
    )
    run = next(run for kind, run in commands.values() if type(settings) is kind)
    run_command(run, settings)


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
