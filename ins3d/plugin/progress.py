"""Where a run is: stage, step, losses, gates and the time that is left, for a terminal or a log file."""

import time

import torch
from nerfstudio.utils.rich_utils import CONSOLE
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINES_EVERY = 15.0
"""Seconds between lines where there is no terminal to draw a bar in."""
KEEPING = "keeping samples"
"""What comes between the stages, in samples instead of steps."""
VALUES_EVERY = 20
"""Steps between looks at the losses: reading them waits for a GPU."""


class StageProgress:
    """A bar for each stage in a terminal, a line now and then in a log."""

    def __init__(self, content_steps: int, style_steps: int) -> None:
        self.lengths = {"content": content_steps, "style": style_steps}
        self.total = self.done = 0
        self.in_terminal = CONSOLE.is_terminal
        self.bar: Progress | None = None
        self.stage = ""
        self.started = self.said = self.last_step = 0.0
        self.first_step = 0
        self.values = ""
        self.seconds: dict[str, float] = {}
        """Time spent in the steps of each stage, and between them, since this run was started or resumed."""

    def update(self, step: int, losses: dict[str, torch.Tensor], metrics: dict[str, torch.Tensor]) -> None:
        """Call after every step, numbered over both stages."""
        stage = "content" if step < self.lengths["content"] else "style"
        step_in_stage = step - (0 if stage == "content" else self.lengths["content"]) + 1
        if stage != self.stage:
            self._begin(stage, step_in_stage - 1, self.lengths[stage])
        if step_in_stage % VALUES_EVERY == 0 or step_in_stage == 1:
            values = {name: float(torch.as_tensor(value).detach()) for name, value in {**losses, **metrics}.items()}
            self.values = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        self._advance(step_in_stage)

    def keep(self, done: int, total: int) -> None:
        """Call between the stages, whenever more samples of training pixels are kept."""
        if self.stage != KEEPING:
            self._begin(KEEPING, 0, total)
        self._advance(done)

    @property
    def line(self) -> str:
        """Stage, steps and the time that is left."""
        elapsed = time.monotonic() - self.started
        left = elapsed / max(self.done - self.first_step, 1) * (self.total - self.done)
        return f"{self.stage} {self.done}/{self.total}  {elapsed:.0f} s, {left:.0f} s left"

    @property
    def share(self) -> float:
        """Of the stage, in [0, 1]."""
        return self.done / max(self.total, 1)

    def _advance(self, done: int) -> None:
        self.done, self.last_step = done, time.monotonic()
        if done == self.total:
            self._end()
        elif self.bar is not None:
            self.bar.update(self.task, completed=done, values=self.values)
        elif time.monotonic() - self.said > LINES_EVERY:
            self._say()

    def _begin(self, stage: str, done: int, total: int) -> None:
        self.stop()
        self.stage, self.first_step, self.total, self.values = stage, done, total, ""
        self.started = self.said = time.monotonic()
        if self.in_terminal:
            columns = (
                TextColumn("[bold]{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(),
                TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[values]}"),
            )  # fmt: skip
            self.bar = Progress(*columns, console=CONSOLE, refresh_per_second=2)
            self.task = self.bar.add_task(stage, total=total, completed=done, values="")
            self.bar.start()

    def _end(self) -> None:
        """The stage's last step: its bar must not stand in the way of what comes before the next stage's first."""
        if self.bar is not None:
            self.bar.update(self.task, completed=self.done, values=self.values)
        else:
            self._say()
        self.stop()

    def _say(self) -> None:
        self.said = time.monotonic()
        CONSOLE.print(f"{self.line}  {self.values}", soft_wrap=True)

    def stop(self) -> None:
        """Takes the bar down."""
        if self.stage:
            self.seconds[self.stage.replace(" ", "_")] = round(self.last_step - self.started, 1)
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
