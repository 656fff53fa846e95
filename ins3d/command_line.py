"""The subcommand that a user typed is found and run."""

from collections.abc import Callable, Mapping
from typing import Any

import tyro


def run_subcommand(
    commands: Mapping[str, tuple[type, Callable[[Any], None]]], description: str | None, arguments: list[str] | None
) -> None:
    """Runs one of the commands, each given as what it is told and who does it; what a user can mend is said in a sentence.

    Leaves with 130 after Ctrl-C: what was reached has been written.
    """
    settings = tyro.extras.subcommand_cli_from_dict(
        {name: settings for name, (settings, _) in commands.items()}, description=description, args=arguments
    )
    run = next(run for kind, run in commands.values() if type(settings) is kind)
    try:
        run(settings)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None
