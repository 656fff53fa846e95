"""A trained field that answers and cannot learn."""

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

Field = TypeVar("Field", bound=nn.Module)


class FrozenTeacher(Generic[Field]):
    """A copy of a field in eval mode, without gradients.

    It is not an nn.Module: so no train() reaches it, no checkpoint saves it and no optimizer lists it.
    """

    def __init__(self, field: Field) -> None:
        self.field = copy.deepcopy(field).eval().requires_grad_(False)

    @torch.no_grad()
    def __call__(self, *args, **kwargs):
        """Asks the frozen field."""
        return self.field(*args, **kwargs)
