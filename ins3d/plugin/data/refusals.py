"""How we refuse in the host's commands: one sentence, exit code 1, and nothing left behind."""

import sys
import traceback
from contextlib import suppress
from pathlib import Path
from types import TracebackType

OURS = Path(__file__).resolve().parents[2]
COMMANDS = ("ns-train", "ns-render", "ns-eval", "ns-viewer", "ns-export")
BEGUN_WITH = {"config.yml", "dataparser_transforms.json"}
"""What the host writes of a run before its first step."""


def speak_plainly() -> None:
    """From here on, in one of the host's commands, what we refuse is a sentence on stderr instead of tracebacks."""
    if Path(sys.argv[0]).stem in COMMANDS:
        sys.excepthook = tell


def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Prints a refusal of ours, or hands on whatever else it is."""
    if isinstance(error, (ValueError, FileNotFoundError, FloatingPointError)) and _is_ours(trace):
        print(error, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def _is_ours(trace: TracebackType | None) -> bool:
    frames = traceback.extract_tb(trace)
    return bool(frames) and Path(frames[-1].filename).resolve().is_relative_to(OURS)


def remove_unbegun(folder: Path) -> None:
    """Removes the folder of a run that was refused before its first step, and those above it that become empty."""
    if not folder.is_dir() or not {path.name for path in folder.iterdir()} <= BEGUN_WITH:
        return
    for path in folder.iterdir():
        path.unlink()
    with suppress(OSError):  # the first that is not empty
        for each in (folder, *list(folder.parents)[:3]):
            each.rmdir()
