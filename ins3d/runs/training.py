"""The training loop of fields: Adam with exponentially falling rates, whose state a resumed run goes on from exactly."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Losses = Callable[[int, torch.Generator], dict[str, Tensor]]
"""What a step minimises, by name and weighted; what is named without `_loss` at its end is only shown."""
Report = Callable[[int, dict[str, float]], None]
"""Called after every step: its number from 1 and its losses."""
LAST_RATE = 0.1
"""Learning rates fall to this share of their beginning, exponentially, where nobody says how far."""


class Training:
    """An optimiser, a step number and random numbers: all that a stopped run needs in order to go on as if undisturbed."""

    def __init__(
        self, field: nn.Module, groups: list[dict[str, Any]], num_steps: int, seed: int, last_rate: float = LAST_RATE
    ) -> None:
        """`last_rate`: the share of the learning rates' beginning that is left at the end."""
        self.field, self.num_steps, self.step, self.last_rate = field, num_steps, 0, last_rate
        self.optimizer = torch.optim.Adam(groups, eps=1e-15, fused=True)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.generator = torch.Generator().manual_seed(seed)
        self.drawn = self.generator.get_state()
        """Random numbers before the step that is being made: it may be interrupted after it has drawn some."""

    def run(self, losses_at: Losses, report: Report = lambda step, losses: None) -> None:
        """Trains the field until all steps are made."""
        while self.step < self.num_steps:
            for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
                group["lr"] = rate * self.last_rate ** (self.step / self.num_steps)
            losses = losses_at(self.step, self.generator)
            total = torch.stack([value for name, value in losses.items() if name.endswith("_loss")]).sum()
            if not total.isfinite():
                raise ValueError(f"the losses are {_values(losses)} at step {self.step + 1}; use smaller weights.")
            self.optimizer.zero_grad(set_to_none=True)
            total.backward()
            self.optimizer.step()
            self.step, self.drawn = self.step + 1, self.generator.get_state()
            report(self.step, {"total": total.item()} | _values(losses))

    def state(self) -> dict[str, Any]:
        """For `resume`."""
        return {
            "step": self.step,
            "field": self.field.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": self.drawn,
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Goes back to where `state` was taken."""
        self.step = state["step"]
        self.field.load_state_dict(state["field"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["random"])
        self.drawn = state["random"]


def _values(losses: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(f"{value.item():.6g}") for name, value in losses.items()}
