"""Where a run is: stage, step, losses, gates and the time that is left, for a terminal or a log file."""

import time

import torch
from nerfstudio.utils.rich_utils import CONSOLE
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINES_EVERY = 15.0
"""Seconds between lines where there is no terminal to draw a bar in."""
VALUES_EVERY = 20
"""Steps between looks at the losses: reading them waits for a GPU."""


class StageProgress:
    """A bar for each stage in a terminal, a line now and then in a log."""

    def __init__(self, content_steps: int, style_steps: int) -> None:
        self.lengths = {"content": content_steps, "style": style_steps}
        self.in_terminal = CONSOLE.is_terminal
        self.bar: Progress | None = None
        self.stage = ""
        self.started = self.said = self.last_step = 0.0
        self.first_step = 0
        self.values = ""
        self.seconds: dict[str, float] = {}
        """Time spent in the steps of each stage since this run was started or resumed."""

    def update(self, step: int, losses: dict[str, torch.Tensor], metrics: dict[str, torch.Tensor]) -> None:
        """Call after every step, numbered over both stages."""
        stage = "content" if step < self.lengths["content"] else "style"
        step_in_stage = step - (0 if stage == "content" else self.lengths["content"]) + 1
        if stage != self.stage:
            self._begin(stage, step_in_stage)
        self.last_step = time.monotonic()
        if step_in_stage % VALUES_EVERY == 0 or step_in_stage == 1:
            values = {name: float(torch.as_tensor(value).detach()) for name, value in {**losses, **metrics}.items()}
            self.values = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        if step_in_stage == self.lengths[stage]:
            self._end(step_in_stage)
        elif self.bar is not None:
            self.bar.update(self.task, completed=step_in_stage, values=self.values)
        elif time.monotonic() - self.said > LINES_EVERY:
            self._say(step_in_stage)

    def _begin(self, stage: str, step_in_stage: int) -> None:
        self.stop()
        self.stage, self.first_step = stage, step_in_stage - 1
        self.started = self.said = time.monotonic()
        if self.in_terminal:
            columns = (
                TextColumn("[bold]{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(),
                TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[values]}"),
            )  # fmt: skip
            self.bar = Progress(*columns, console=CONSOLE, refresh_per_second=2)
            self.task = self.bar.add_task(stage, total=self.lengths[stage], completed=step_in_stage, values="")
            self.bar.start()

    def _end(self, step_in_stage: int) -> None:
        """The stage's last step: its bar must not stand in the way of what comes before the next stage's first."""
        if self.bar is not None:
            self.bar.update(self.task, completed=step_in_stage, values=self.values)
        else:
            self._say(step_in_stage)
        self.stop()

    def _say(self, step_in_stage: int) -> None:
        self.said = time.monotonic()
        elapsed = self.said - self.started
        left = elapsed / max(step_in_stage - self.first_step, 1) * (self.lengths[self.stage] - step_in_stage)
        total = self.lengths[self.stage]
        CONSOLE.print(
            f"{self.stage} {step_in_stage}/{total}  {elapsed:.0f} s, {left:.0f} s left  {self.values}", soft_wrap=True
        )

    def stop(self) -> None:
        """Takes the bar down."""
        if self.stage:
            self.seconds[self.stage] = round(self.last_step - self.started, 1)
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
