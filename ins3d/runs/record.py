"""Progress of a run: a bar, loss.csv and picture.png while it goes on; loss.png and run.json at its end."""

import csv
import json
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn, track
from torch import Tensor

from ins3d.files.pictures import write_rgb
from ins3d.files.run_record import run_record

CONSOLE = Console()
say = partial(CONSOLE.print, soft_wrap=True, markup=False)
"""A line of ours: on one line, and without reading brackets as colours."""
LINES_EVERY = 15.0
"""Seconds between lines where there is no terminal to draw a bar in."""
T = TypeVar("T")


class PictureRecord:
    """Shows and writes what happens while a picture is made: picture.png and loss.csv; in the end loss.png and run.json.

    What an earlier run left in the folder is replaced, but for the first `resumed_from` rows of its curve. After Ctrl-C,
    what was reached is written, and `stopped` recorded.
    """

    def __init__(self, output: Path, steps: int, write_every: int, resumed_from: int = 0, **about: Any) -> None:
        self.output, self.steps, self.write_every, self.about = output, steps, write_every, about
        self.resumed_from = resumed_from
        self.rows: list[dict[str, Any]] = []
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.bar = Progress(*columns, console=CONSOLE)
        self.task = self.bar.add_task("looking at the pictures", total=steps)

    def __enter__(self) -> "PictureRecord":
        make_folder(self.output)
        if self.resumed_from and (self.output / "loss.csv").is_file():
            with (self.output / "loss.csv").open(newline="") as before:
                self.rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(before)]
            self.rows = [row | {"step": int(row["step"])} for row in self.rows if row["step"] <= self.resumed_from]
        for name in ("picture.png", "loss.png", "run.json"):
            (self.output / name).unlink(missing_ok=True)
        self._write_rows()
        self.said = time.perf_counter()
        self.started = self.said - (self.rows[-1]["seconds"] if self.rows else 0)
        self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.bar.stop()
        self._write_rows()
        if kind is KeyboardInterrupt and self.rows:
            self.end(self.picture(), stopped=True)

    def __call__(self, step: int, losses: dict[str, float], picture: Callable[[], Tensor]) -> None:
        """Records a step; every `write_every` steps writes the curve and the picture."""
        row = {"step": step, "seconds": round(time.perf_counter() - self.started, 3), **losses}
        self.rows.append(row)
        self.picture = picture
        self.bar.update(self.task, completed=step, description=words_of(losses))
        if not CONSOLE.is_terminal and time.perf_counter() - self.said > LINES_EVERY:
            self.said = time.perf_counter()
            say(f"{step}/{self.steps}  {row['seconds']:.0f} s  {words_of(losses)}")
        if step % self.write_every == 0:
            self._write_rows()
            write_rgb(self.output / "picture.png", picture())

    def end(self, picture: Tensor, **more: Any) -> None:
        """Writes the last picture, loss.png and run.json."""
        write_rgb(self.output / "picture.png", picture)
        if self.rows:
            self._plot()
        told = {"last": self.rows[-1], "least": min(row["total"] for row in self.rows)} if self.rows else {}
        record = run_record(**self.about, **told, **more)
        (self.output / "run.json").write_text(json.dumps(record, indent=1, default=str))
        CONSOLE.print(f"Wrote {self.output / 'picture.png'}, loss.csv, loss.png and run.json.", soft_wrap=True)

    def _write_rows(self) -> None:
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        with (self.output / "loss.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self.rows)

    def _plot(self) -> None:
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.add_subplot(yscale="log", xlabel="step", ylabel="loss")
        for name in [name for name in self.rows[-1] if name == "total" or name.endswith("_loss")]:
            points = [(row["step"], row[name]) for row in self.rows if name in row]
            axes.plot(*zip(*points, strict=True), label=name)
        # Content starts at nothing, which a logarithm would show at the cost of all else; a total may end there.
        axes.set_ylim(bottom=0.1 * min((row["total"] for row in self.rows if row["total"] > 0), default=1.0))
        axes.legend()
        figure.savefig(self.output / "loss.png", dpi=110)


def progress(steps: Sequence[T], what: str) -> Iterable[T]:
    """The steps, under a bar named `what` that disappears after the last one."""
    return track(steps, what, console=CONSOLE, transient=True)


def make_folder(path: Path) -> None:
    """Makes the output folder; ValueError where a part of its path is a file."""
    for each in (path, *path.parents):
        if each.exists() and not each.is_dir():
            raise ValueError(f"output: {each} is a file; name a folder.")
    path.mkdir(parents=True, exist_ok=True)


def words_of(losses: dict[str, float]) -> str:
    """The losses of a step, as the progress bar shows them.

    >>> words_of({"total": 0.5, "gram_loss": 0.25, "psnr": 31.46})
    'total 0.5 gram 0.25 psnr 31.5 dB'
    """
    return " ".join(
        f"psnr {value:.1f} dB" if name == "psnr" else f"{name.removesuffix('_loss')} {value:.3g}"
        for name, value in losses.items()
    )
