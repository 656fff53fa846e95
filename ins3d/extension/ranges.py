"""Settings whose fields say themselves which values they take, and what else is true of them."""

from dataclasses import field, fields, is_dataclass
from typing import Any, TypeVar

T = TypeVar("T")


def ranged(default: T, min: int | float | None = None, max: int | float | None = None, **facts: bool) -> T:
    """A dataclass field with a default and bounds, both included; of a tuple every number must lie between them.

    `facts` are what `with_fact` finds fields by, such as `may_change`: a run that is resumed may be given another value.
    What is not said here is as in the class that declared the field first.
    """
    return field(default=default, metadata={"min": min, "max": max, **facts})


def check_ranges(settings: Any, prefix: str = "") -> None:
    """Raises ValueError, naming option, value and bound, for the first field of a dataclass that is out of its range.

    Fields that hold dataclasses are looked into; `prefix` is what options begin with, such as `pipeline.`. A field that a
    subclass declares again keeps its bounds.
    """
    for each in fields(settings):
        value, option = getattr(settings, each.name), prefix + each.name.replace("_", "-")
        if is_dataclass(value) and not isinstance(value, type):
            check_ranges(value, f"{option}.")
        told = _told(settings, each.name)
        low, high = told.get("min"), told.get("max")
        for number in value if isinstance(value, tuple) else (value,):
            if low is not None and number is not None and not number >= low:
                raise ValueError(f"{option}: {number} is too little; use {low:g} or more.")
            if high is not None and number is not None and not number <= high:
                raise ValueError(f"{option}: {number} is too much; use {high:g} or less.")


def with_fact(settings: Any, fact: str) -> list[str]:
    """The names of the fields of which a fact was said."""
    return [each.name for each in fields(settings) if _told(settings, each.name).get(fact)]


def _told(settings: Any, name: str) -> dict[str, Any]:
    """A field's metadata, those of the classes that declared it first included."""
    told: dict[str, Any] = {}
    for kind in reversed(type(settings).__mro__):
        declared = getattr(kind, "__dataclass_fields__", {}).get(name)
        if declared is not None:
            told |= {key: value for key, value in declared.metadata.items() if value is not None}
    return told
