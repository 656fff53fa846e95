"""Learning rates by stage: a warm-up and an exponential decay inside the stage that a group learns in."""

from dataclasses import dataclass, field
from typing import Literal

import tyro
from nerfstudio.engine.optimizers import AdamOptimizerConfig
from nerfstudio.engine.schedulers import Scheduler, SchedulerConfig
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


@dataclass
class FusedAdamConfig(AdamOptimizerConfig):
    """Adam in one pass over the memory: on a CPU the planes' update takes half the time."""

    fused: tyro.conf.Suppress[bool] = True
    """Whether to use torch's fused kernel."""


@dataclass
class StageScheduleConfig(SchedulerConfig):
    """The trainer fills in where the stages begin; everything returned is a plain float, so checkpoints load safely."""

    _target: type = field(default_factory=lambda: StageSchedule)
    stage: tyro.conf.Suppress[Literal["content", "style"]] = "content"
    """The stage in which the group learns at its full rate."""
    warmup: int = 50
    """Steps over which the rate rises from 0.02 of itself."""
    final: float = 0.02
    """What is left of the rate at the stage's end."""
    style_stage_mult: tyro.conf.Suppress[float] = 0.0
    """Content groups only: their rate in the style stage, as a share of their full rate (0: frozen)."""
    content_steps: tyro.conf.Suppress[int] = 0
    style_steps: tyro.conf.Suppress[int] = 0


class StageSchedule(Scheduler):
    """Builds the torch scheduler."""

    config: StageScheduleConfig

    def get_scheduler(self, optimizer: Optimizer, lr_init: float) -> LambdaLR:
        """The factor on the group's rate at every step of the run."""
        return LambdaLR(optimizer, lr_lambda=lambda step: self.factor(step))

    def factor(self, step: int) -> float:
        """Warm-up and decay, counted from the stage's first step."""
        config = self.config
        in_style = step >= config.content_steps
        if config.stage == "style":
            return self._decay(step - config.content_steps, config.style_steps) if in_style else 0.0
        if in_style:
            return config.style_stage_mult * self._decay(step - config.content_steps, config.style_steps)
        return self._decay(step, config.content_steps)

    def _decay(self, step: int, num_steps: int) -> float:
        warm = min(1.0, 0.02 + 0.98 * step / max(self.config.warmup, 1))
        return float(warm * self.config.final ** min(step / max(num_steps, 1), 1.0))
