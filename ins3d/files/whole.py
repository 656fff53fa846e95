"""Atomic writing: a file takes its name once it is complete."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: Path, scratch: Path | None = None) -> Iterator[Path]:
    """Where to write; the file takes its name once the block is left without an error and the disk holds it.

    Whoever is killed here leaves the old file whole. It is written in the folder `scratch`, by default beside its name: the
    host takes every name in its checkpoint folder for a checkpoint.
    """
    aside = (scratch or path.parent) / f"{path.stem}.writing{path.suffix}"
    for folder in {aside.parent, path.parent}:
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield aside
        with aside.open("r+b") as written:
            os.fsync(written.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def replace_file(path: Path, write: Callable[[Path], object], scratch: Path | None = None) -> None:
    """What `write` writes, as `written_whole` does."""
    with written_whole(path, scratch) as aside:
        write(aside)
